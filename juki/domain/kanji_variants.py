"""Kanji variants of person names, as data: one group a word, the key form first.

Well-known variants only (old and new forms, popular forms). A table of this project: general lists
of variants match too much (they join 渡部 and 渡邉, or 太 and 大). Forms that Unicode itself calls
compatible (神 U+FA19, 都 U+FA26, ...) are left to NFKC.
"""

from __future__ import annotations

from typing import Final

# 斉 and 斎 are two characters by origin; families, forms and keyboards mix them so often that a
# search must find either. 部, 河, 碕, 薗, 庄 and 大/太 stay apart: they make other surnames.
_GROUPS: Final = """
高髙 崎﨑嵜㟢 辺邊邉 斎齋斉齊 浜濱濵 沢澤 広廣 真眞 桜櫻 徳德 吉𠮷 島嶋嶌㠀 富冨 竜龍 国國 学學 恵惠
蔵藏 与與 豊豐 寿壽 栄榮 実實 円圓 滝瀧 瀬瀨 浅淺 条條 将將 黒黑 増增 桑桒 館舘 柳栁 船舩 橋槗 土𡈽
曽曾 鉄鐵 関關 塩鹽 頼賴 淵渕渊 松枩 鶴靏靍 剣劍剱 芦蘆 祢禰 弥彌 宝寳寶 静靜 亀龜 巌巖 団團 戸戶
黄黃 青靑 清淸 呉吳 双雙 万萬 尭堯 遥遙 槙槇 桧檜 緑綠 郷鄕 為爲 会會 児兒 励勵 勲勳 壮壯 声聲 応應
恒恆 悦悅 慎愼 旧舊 暁曉 栃杤 梅楳 楽樂 様樣 横橫 歩步 歳歲 毎每 気氣 渓溪 温溫 満滿 県縣 研硏 礼禮
禄祿 穂穗 穣穰 経經 絵繪 総總 縁緣 縄繩 翠翆 聡聰 芸藝 荘莊 薫薰 虎乕 蛍螢 衛衞 覚覺 誉譽 讃讚 郎郞
鎮鎭 霊靈 顕顯 鶏鷄 麦麥 麹麴 昇曻 兎兔 沖冲 凛凜 喜㐂 壱壹 寛寬 峰峯 巣巢 帯帶 枡桝 煕熙熈 秋龝
籠篭 藪薮 録錄 錬鍊 鴎鷗 鴬鶯 鯵鰺 隣鄰
"""


def _table() -> dict[int, str]:
    table: dict[int, str] = {}
    for group in _GROUPS.split():
        for variant in group[1:]:
            table[ord(variant)] = group[0]
    return table


TO_KEY_FORM: Final = _table()
"""For `str.translate`: code point of a variant to its key form."""

"""Names as data: given names by generation, variants of surnames, names of foreign residents.

Given names: frequent ones of each generation, kanji/reading. Everyday knowledge, no source copied.
"""

from __future__ import annotations

from typing import Final

GIVEN_NAMES: Final[dict[str, dict[int, str]]] = {
    "men": {
        1900: """
            清/キヨシ 正雄/マサオ 正一/ショウイチ 茂/シゲル 武雄/タケオ 三郎/サブロウ 実/ミノル
            正/タダシ 勇/イサム 一郎/イチロウ 昭/アキラ 博/ヒロシ 弘/ヒロシ 進/ススム 義雄/ヨシオ
            辰雄/タツオ 喜一/キイチ 嘉一/カイチ 徳次/トクジ 眞一/シンイチ
        """,
        1935: """
            勝/マサル 勲/イサオ 隆/タカシ 和夫/カズオ 弘/ヒロシ 稔/ミノル 勝利/カツトシ 進/ススム
            幸雄/ユキオ 清/キヨシ 修/オサム 豊/ユタカ 功/イサオ 忠/タダシ 昭/アキラ 孝/タカシ
            正/タダシ 博/ヒロシ 茂/シゲル 繁/シゲル 徳雄/トクオ 國男/クニオ 榮一/エイイチ
        """,
        1955: """
            誠/マコト 浩/ヒロシ 修/オサム 隆/タカシ 茂/シゲル 明/アキラ 博/ヒロシ 浩一/コウイチ
            和彦/カズヒコ 哲也/テツヤ 健一/ケンイチ 正樹/マサキ 直樹/ナオキ 剛/ツヨシ 学/マナブ
            浩二/コウジ 英樹/ヒデキ 聡/サトシ 真一/シンイチ 豊/ユタカ 眞人/マコト 德之/ノリユキ
        """,
        1975: """
            大輔/ダイスケ 健太郎/ケンタロウ 誠/マコト 直樹/ナオキ 剛/ツヨシ 哲也/テツヤ 学/マナブ
            健太/ケンタ 達也/タツヤ 拓也/タクヤ 翔太/ショウタ 和也/カズヤ 亮/リョウ 雄太/ユウタ
            智之/トモユキ 洋平/ヨウヘイ 祐介/ユウスケ 慎太郎/シンタロウ 龍一/リュウイチ
            竜也/タツヤ
        """,
        1990: """
            翔太/ショウタ 拓也/タクヤ 健太/ケンタ 翔/ショウ 大樹/ダイキ 大輝/ダイキ 翼/ツバサ
            拓海/タクミ 海斗/カイト 蓮/レン 大輔/ダイスケ 直人/ナオト 優太/ユウタ 達也/タツヤ
            駿/シュン 陸/リク 亮太/リョウタ 諒/リョウ 龍之介/リュウノスケ 悠斗/ユウト
        """,
        2005: """
            蓮/レン 陽翔/ハルト 湊/ミナト 蒼/アオイ 大翔/ヒロト 悠真/ユウマ 陽太/ヒナタ 樹/イツキ
            律/リツ 颯太/ソウタ 悠人/ユウト 朝陽/アサヒ 新/アラタ 凪/ナギ 碧/アオ 大和/ヤマト
            湊斗/ミナト 瑛太/エイタ 伊織/イオリ 暖/ダン 昊/ソラ 琉生/ルイ
        """,
    },
    "women": {
        1900: """
            ハル/ハル キヨ/キヨ フミ/フミ 千代/チヨ ヨシ/ヨシ 文子/フミコ 静子/シズコ 久子/ヒサコ
            芳子/ヨシコ 美代子/ミヨコ トシ/トシ きみ/キミ 富美子/フミコ 幸子/サチコ 和子/カズコ
            節子/セツコ 愛子/アイコ ヱイ/エイ しづ/シヅ 壽子/ヒサコ
        """,
        1935: """
            和子/カズコ 幸子/サチコ 節子/セツコ 洋子/ヨウコ 弘子/ヒロコ 美智子/ミチコ
            京子/キョウコ 悦子/エツコ 恵子/ケイコ 紀子/ノリコ 勝子/カツコ 信子/ノブコ 孝子/タカコ
            順子/ジュンコ 陽子/ヨウコ 久美子/クミコ 文子/フミコ 惠美子/エミコ 廣子/ヒロコ
            スミ子/スミコ
        """,
        1955: """
            恵子/ケイコ 由美子/ユミコ 久美子/クミコ 真由美/マユミ 明美/アケミ 直美/ナオミ
            智子/トモコ 裕子/ユウコ 陽子/ヨウコ 順子/ジュンコ 幸子/サチコ 洋子/ヨウコ
            京子/キョウコ 由美/ユミ 香織/カオリ 純子/ジュンコ 美穂/ミホ 典子/ノリコ 惠子/ケイコ
            眞理子/マリコ
        """,
        1975: """
            久美子/クミコ 裕子/ユウコ 真由美/マユミ 智子/トモコ 陽子/ヨウコ 香織/カオリ 恵/メグミ
            愛/アイ 麻衣/マイ 裕美/ヒロミ 友美/トモミ 美穂/ミホ 綾/アヤ さやか/サヤカ 絵美/エミ
            千尋/チヒロ 恵美/エミ 舞/マイ 彩/アヤ めぐみ/メグミ 由香里/ユカリ
        """,
        1990: """
            美咲/ミサキ 愛/アイ 彩/アヤ 彩香/アヤカ 萌/モエ 舞/マイ 遥/ハルカ 葵/アオイ 楓/カエデ
            優花/ユウカ 七海/ナナミ 千尋/チヒロ 愛美/マナミ 詩織/シオリ 明日香/アスカ 麻衣/マイ
            未来/ミク さくら/サクラ 夏海/ナツミ 美優/ミユ 真央/マオ
        """,
        2005: """
            陽葵/ヒマリ 凜/リン 結菜/ユイナ 葵/アオイ 紬/ツムギ 咲良/サクラ 結愛/ユア 莉子/リコ
            美桜/ミオ 陽菜/ヒナ 心春/コハル 芽依/メイ 杏/アン 澪/ミオ 詩/ウタ さくら/サクラ
            ひまり/ヒマリ 凛/リン 花/ハナ 琴音/コトネ 楓/カエデ 櫻子/サクラコ 結衣/ユイ
        """,
    },
}
"""By sex and the first year of birth of a generation: names as `written/reading`."""

SURNAME_VARIANTS: Final[dict[str, dict[str, int]]] = {
    "高": {"髙": 90},
    "崎": {"﨑": 110, "嵜": 8},
    "辺": {"邉": 130, "邊": 110, "邉\U000e0101": 12, "邊\U000e0101": 12, "邉\U000e0106": 6},
    "斎": {"齋": 110, "齋\U000e0101": 6},
    "斉": {"齊": 50},
    "浜": {"濱": 120, "濵": 60},
    "沢": {"澤": 130},
    "広": {"廣": 60},
    "桜": {"櫻": 90},
    "島": {"嶋": 60, "嶌": 6},
    "富": {"冨": 90},
    "吉": {"𠮷": 40},
    "徳": {"德": 50},
    "国": {"國": 40},
    "柳": {"栁": 20},
    "橋": {"槗": 6},
    "葛": {"葛\U000e0100": 300},
    "辻": {"辻\U000e0100": 350},
    "榊": {"榊\U000e0100": 200},
    "芦": {"芦\U000e0100": 100, "蘆": 20},
    "黒": {"黑": 15},
    "竜": {"龍": 200},
    "滝": {"瀧": 100},
    "関": {"關": 8},
    "塚": {"\ufa10": 30},
    "神": {"\ufa19": 10},
    "瀬": {"瀨": 40},
}
"""In a thousand bearers of a surname with the character: how many write it so."""

FOREIGN_NAMES: Final[tuple[tuple[int, str, str, str], ...]] = (
    (24, "WANG/王 LI/李 ZHANG/張 LIU/劉 CHEN/陳 YANG/楊 ZHAO/趙 HUANG/黄 ZHOU/周 WU/呉",
     "WEI/偉 QIANG/強 LEI/磊 YONG/勇 JUN/軍 TAO/濤 MING/明 CHAO/超 HAO/浩 PENG/鵬",
     "FANG/芳 NA/娜 XIU_YING/秀英 MIN/敏 JING/静 LI/麗 YAN/艶 JUAN/娟 XIA/霞 YU_TING/雨婷"),
    (19, "NGUYEN TRAN LE PHAM HOANG PHAN VU DANG BUI DO",
     "VAN_ANH DUC_MINH VAN_HUNG QUANG_HUY TUAN_ANH VAN_NAM THANH_LONG VAN_DUNG",
     "THI_LAN THI_HOA THI_THU_HA THI_MAI THI_HUONG NGOC_ANH THI_LINH THI_THAO"),
    (13, "KIM/金 LEE/李 PARK/朴 CHOI/崔 JUNG/鄭 KANG/姜 CHO/趙 YOON/尹 JANG/張 LIM/林",
     "MINJUN/民俊 JIHOON/志勲 SUNGHO/成浩 DONGHYUN/東賢 YOUNGSOO/英洙 JAEWON/在元",
     "JIYOUNG/智英 SEOYEON/瑞妍 EUNJI/恩智 MISOOK/美淑 YOUNGJA/英子 SUJIN/秀珍"),
    (10, "DELA_CRUZ SANTOS REYES GARCIA BAUTISTA MENDOZA OCAMPO VILLANUEVA",
     "JOSE_MARIE MARK_ANTHONY JOHN_PAUL RAMON JERICHO CARLO",
     "MARIA_LUISA ROSE_ANN JENNIFER MARICEL CRISTINA MARY_GRACE"),
    (7, "SILVA SANTOS OLIVEIRA SOUZA PEREIRA YAMADA_DA_SILVA TANAKA_DOS_SANTOS FERREIRA",
     "LUCAS GABRIEL RAFAEL MARCELO_KENJI RODRIGO ANDERSON",
     "ANA_PAULA JULIANA FERNANDA PATRICIA_YUMI CAMILA BEATRIZ"),
    (6, "SHRESTHA TAMANG GURUNG THAPA RAI MAGAR ADHIKARI KC",
     "BIKASH SURESH RAMESH DIPAK SANTOSH PRAKASH",
     "SITA SUNITA ANJALI SARITA GITA PUJA"),
    (5, "WIJAYA SUSANTO HIDAYAT PRATAMA SAPUTRA RAHAYU",
     "BUDI AGUS RIZKY DEDI ANDI EKO", "SITI_NUR DEWI RINA FITRI PUTRI INDAH"),
    (4, "SMITH JOHNSON O'BRIEN MUELLER DUBOIS IVANOVA-SATO",
     "MICHAEL DAVID JEAN-PIERRE THOMAS ALEXANDER DANIEL",
     "SARAH EMILY ANNE-MARIE CHARLOTTE OLGA LAURA"),
)  # fmt: skip
"""Weight, surnames, men's and women's given names; `_` is a space inside a name, `/` parts the
alphabet from the kanji on the residence card."""

BUILDINGS: Final = (
    "メゾン青葉 コーポさくら ハイツ富士 グリーンハイツ サンコーポ パークハイム 第二若葉荘 "
    "プラザ駅前 レジデンス中央 シャトー緑ヶ丘 エステートみなみ ヴィラ・マリーナ ガーデン東 市営住宅"
)
"""Names of buildings, parted by spaces."""

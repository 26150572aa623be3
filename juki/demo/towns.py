"""Where the demo plays: two prefectures, four municipalities, and how they are called."""

from __future__ import annotations

from typing import Final

HAMAMATSU: Final = "221309"
"""浜松市, Shizuoka: a designated city, one municipality on the network."""

SHIZUOKA: Final = "221007"
CHIYODA: Final = "131016"
SHIBUYA: Final = "131130"

PREFECTURES: Final = {"22": (HAMAMATSU, SHIZUOKA), "13": (CHIYODA, SHIBUYA)}

NAMES: Final = {
    HAMAMATSU: "浜松市 (Hamamatsu)",
    SHIZUOKA: "静岡市 (Shizuoka)",
    CHIYODA: "千代田区 (Chiyoda)",
    SHIBUYA: "渋谷区 (Shibuya)",
}

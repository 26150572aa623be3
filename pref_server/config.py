"""Configuration of a prefectural server; a key that is not named here stops the start."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from juki.lookup.running import LookupConfiguration
from juki.server_config import PeerConfiguration, RegisterServerConfiguration

PREFECTURE: Final = r"^(0[1-9]|[1-3][0-9]|4[0-7])$"


class PrefecturalConfiguration(RegisterServerConfiguration):
    """One prefecture's server."""

    prefecture: str = Field(pattern=PREFECTURE)
    """Two digits."""

    nation: PeerConfiguration
    """Where the national server is."""

    lookups: LookupConfiguration | None = None
    """What it answers look-ups with (Art. 30-13, 30-15, 30-15-2, 37 (2)), and passes them on by;
    left out, it does neither."""

    prefectures: dict[Annotated[str, Field(pattern=PREFECTURE)], PeerConfiguration] = Field(
        default_factory=dict
    )
    """Servers of other prefectures, by their two digits: to whom requests under 30-13 (3) go."""

    worker_threads: int = Field(default=240, ge=4, le=1000)
    """Threads; each gateway's return stream holds one. Streams get three quarters of them."""

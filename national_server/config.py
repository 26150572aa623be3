"""Configuration of the national server; a key that is not named here stops the start."""

from __future__ import annotations

from pydantic import Field

from juki.disclosure.configuration import FeeConfiguration
from juki.lookup.running import LookupConfiguration
from juki.server_config import RegisterServerConfiguration


class NationalConfiguration(RegisterServerConfiguration, LookupConfiguration):
    """The nation's server."""

    disclosure_fee: FeeConfiguration | None = None
    """The fee of a disclosure. Left out, disclosure is not served: there is no fee to ask."""

    worker_threads: int = Field(default=160, ge=4, le=1000)
    """Threads; each prefecture's return stream holds one. Streams get three quarters of them."""

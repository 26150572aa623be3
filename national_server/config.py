"""Configuration of the national server; a key that is not named here stops the start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from juki.disclosure.configuration import FeeConfiguration
from juki.server_config import RegisterServerConfiguration


class NationalConfiguration(RegisterServerConfiguration):
    """The nation's server."""

    agencies: Path
    """TOML file of the registered bodies and the affairs each may use."""

    law_revisions: Path | None = None
    """Directory of later revisions of the law, each in a directory named by its first day."""

    audit_directory: Path
    person_index_directory: Path
    """Of the private index from persons to the audit log's entries; made for the server alone."""

    index_directory: Path
    """On memory-backed storage: the index holds identification information in the clear."""

    disclosure_fee: FeeConfiguration | None = None
    """The fee of a disclosure. Left out, disclosure is not served: there is no fee to ask."""

    worker_threads: int = Field(default=160, ge=4, le=1000)
    """Threads; each prefecture's return stream holds one. Streams get three quarters of them."""

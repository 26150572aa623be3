"""Configuration of the national server; a key that is not named here stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from juki.disclosure.configuration import FeeConfiguration
from juki.policy.acts.config import ActsConfiguration
from juki.server_config import RegisterServerConfiguration


class NationalConfiguration(RegisterServerConfiguration):
    """The nation's server."""

    acts: ActsConfiguration | None = None
    """The register of bodies and their grants, by signed administrative acts."""

    agencies: Path | None = None
    """In its place a TOML file that nobody has signed: for development and tests."""

    audit_directory: Path
    person_index_directory: Path
    """Of the private index from persons to the audit log's entries; made for the server alone."""

    index_directory: Path
    """On memory-backed storage: the index holds identification information in the clear."""

    disclosure_fee: FeeConfiguration | None = None
    """The fee of a disclosure. Left out, disclosure is not served: there is no fee to ask."""

    worker_threads: int = Field(default=160, ge=4, le=1000)
    """Threads; each prefecture's return stream holds one. Streams get three quarters of them."""

    @model_validator(mode="after")
    def _one_register(self) -> Self:
        if (self.acts is None) == (self.agencies is None):
            raise ValueError("either [acts] or agencies says who may ask")
        return self

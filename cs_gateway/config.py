"""The gateway's configuration file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from juki.config import Configuration
from juki.domain.codes import LocalGovernmentCode
from juki.server_config import PeerConfiguration, ServerConfiguration


class DropFolderConfiguration(Configuration):
    """Where the register drops files."""

    directory: Path
    poll_seconds: float = Field(default=0.2, gt=0, le=60)


class GatewayConfiguration(ServerConfiguration):
    """Everything that one gateway process is told."""

    municipality: str
    """Local government code; a designated city is one municipality."""

    listen_address: str
    """Host and port for the resident register; port 0 takes a free one."""

    upstream: PeerConfiguration
    """Where the prefectural server is."""

    drop_folder: DropFolderConfiguration | None = None
    metrics_port: int = Field(default=0, ge=0, le=65535)
    low_water: int = Field(default=500, ge=0, le=50_000)
    """Unused codes below which an allotment is asked for."""

    target: int = Field(default=2000, ge=1, le=50_000)
    """Unused codes after an allotment."""

    worker_threads: int = Field(default=32, ge=4, le=512)
    """Calls served at once; each follower of progress holds one."""

    @field_validator("municipality")
    @classmethod
    def _keeps_a_register(cls, value: str) -> str:
        if LocalGovernmentCode(value).is_prefecture:
            raise ValueError("a prefecture keeps no resident register")
        return value

    @model_validator(mode="after")
    def _marks_are_in_order(self) -> GatewayConfiguration:
        if self.target < self.low_water:
            raise ValueError("the target lies below the low-water mark")
        return self

"""Names the machine a figure was measured on: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc


@dataclass(frozen=True, slots=True)
class Machine:
    """What figures depend on."""

    processor: str
    cores: int
    """Those this process may run on."""

    python: str
    grpcio: str

    @classmethod
    def this(cls) -> Machine:
        """The machine this runs on."""
        return cls(
            _processor(),
            len(os.sched_getaffinity(0)),
            platform.python_version(),
            str(grpc.__version__),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, Python {self.python}, grpcio {self.grpcio}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

"""What processes with keys or persons' data deny themselves: core dumps, being read, orphanhood."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from juki.domain.errors import JukiError, Reason

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def harden_process() -> None:
    """No core dump, memory closed to other processes of the same user (prctl(2)).

    Raises CONFIGURATION_INVALID where the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent(parent: int) -> None:
    """Be killed when the parent process (its id) ends, however it ends (prctl(2)).

    Raises CONFIGURATION_INVALID where it has ended already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise JukiError(Reason.CONFIGURATION_INVALID, "the process that started this one has ended")


def is_dumpable() -> bool:
    """Whether this process may be dumped, traced or read by others of its user."""
    return _prctl(_PR_GET_DUMPABLE, 0) != 0


def _prctl(option: int, value: int) -> int:
    function = ctypes.CDLL(None, use_errno=True).prctl
    result: int = function(
        option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    if result < 0:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"the process cannot be hardened: {os.strerror(ctypes.get_errno())}",
        )
    return result

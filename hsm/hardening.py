"""What custody's processes deny themselves: core dumps, being traced or read, outliving custody."""

from __future__ import annotations

from juki.hardening import end_with_parent, harden_process, is_dumpable

__all__ = ["end_with_parent", "harden_process", "is_dumpable"]

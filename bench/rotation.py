"""Rotates every class of keys of a bench's trust domain while it measures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hsm.generations import generation_files
from hsm.host_files import ROOT_LABEL, host_files
from hsm.key_classes import key_classes
from hsm.plan import ProvisioningPlan
from hsm.rotation import in_order
from hsm.unattended_rotation import rotate
from juki.custody.port import ISSUING_AUTHORITY

_KNOWN_SECONDS = 5.0
"""After a new root: channels look for one every two seconds, and connect anew. After a new
authority: its first revocation list is taken from custody and spread."""


def rotate_every_class(
    plan: ProvisioningPlan,
    told: Callable[[str], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Rotates each class of `key_classes` at all of its holders, the root first, then authorities.

    Nothing is certified by a new key before everybody had the time to hear of it.
    """
    for one in in_order(key_classes(plan)):
        rotate(plan, one.label)
        told(one.label)
        if one.label in (ROOT_LABEL, ISSUING_AUTHORITY):
            pause(_KNOWN_SECONDS)


def rotated_everywhere(plan: ProvisioningPlan) -> list[str]:
    """The classes of which every holder has a later generation than the first in use."""
    return [
        one.label
        for one in key_classes(plan)
        if all(
            generation_files(host_files(plan.directory, holder).certificates, one.label).current > 1
            for holder in one.holders
        )
    ]


class Background:
    """Work that goes on while something is measured."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="rotation", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether it goes on; raises what it failed with."""
        if self._failure is not None:
            raise self._failure
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as failure:  # told to the main thread
            self._failure = failure

    @classmethod
    @contextmanager
    def running(cls, work: Callable[[], None]) -> Iterator[Background]:
        """Starts it; waits for its end when the context is left."""
        background = cls(work)
        background._thread.start()
        try:
            yield background
        finally:
            background._thread.join()

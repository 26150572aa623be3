"""The keys under the audit log's pseudonyms: the newest is used, every one is kept."""

from __future__ import annotations

import threading
from typing import Final

from juki.audit.pseudonym import Pseudonymiser
from juki.store.data_keys import KeyPurpose, KeyStore

_LOOK_SECONDS: Final = 1.0


class PseudonymKeys:
    """Takes up a new version within a second; `work` is a worker's round."""

    def __init__(self, keys: KeyStore) -> None:
        """Makes the first key where there is none.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE, or TAMPERING_DETECTED when the stored key was not
                wrapped by this host's token.
        """
        self._keys = keys
        self._newest = Pseudonymiser(*keys.newest(KeyPurpose.PSEUDONYMS))
        self._woken = threading.Event()

    def newest(self) -> Pseudonymiser:
        """What new records are written with."""
        return self._newest

    def every(self) -> list[Pseudonymiser]:
        """One of each version, the oldest first: a person's records are found under all of them."""
        found = self._keys.all_of(KeyPurpose.PSEUDONYMS)
        return [Pseudonymiser(key, version) for version, key in found.items()]

    def refresh(self) -> None:
        """Takes up a newer version.

        Raises:
            JukiError: As the constructor does; the present key stays in use.
        """
        if self._keys.newest_version(KeyPurpose.PSEUDONYMS) > self._newest.version:
            self._newest = Pseudonymiser(*self._keys.newest(KeyPurpose.PSEUDONYMS))

    def work(self) -> None:
        """One round, a second long."""
        self._woken.wait(_LOOK_SECONDS)
        self.refresh()

    def wake(self) -> None:
        """Ends the pause of a round."""
        self._woken.set()

"""Names of keys: a class ("signing") means the generation in use, "signing.2" the second one."""

from __future__ import annotations

import re
from dataclasses import dataclass

_GENERATION = re.compile(r"(?P<key_class>.+)\.(?P<generation>[1-9][0-9]{0,5})", re.DOTALL)


@dataclass(frozen=True)
class KeyName:
    """What a caller names: a class of keys, and perhaps one generation of it."""

    key_class: str
    generation: int | None = None
    """From 1; None means the one in use."""

    @classmethod
    def parse(cls, text: str) -> KeyName:
        """Read a name; whatever does not end in a generation is a class."""
        found = _GENERATION.fullmatch(text)
        return cls(found["key_class"], int(found["generation"])) if found else cls(text)

    def __str__(self) -> str:
        return self.key_class if self.generation is None else f"{self.key_class}.{self.generation}"


def token_label(key_class: str, generation: int) -> str:
    """The label in the token: the first generation bears the class's, as keys did before."""
    return key_class if generation == 1 else f"{key_class}.{generation}"

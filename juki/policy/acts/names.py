"""The names of bodies, those no longer registered among them: what a person is told of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from juki.policy.acts.register import Register
from juki.v1 import acts_pb2 as pb


class BodyNames(Mapping[str, str]):
    """Name by identity, as each body was last registered."""

    def __init__(self, register: Callable[[], Register]) -> None:
        self._register = register

    def __getitem__(self, identity: str) -> str:
        what = self._register().entries[("body", identity)][-1].what
        assert isinstance(what, pb.RegisterBody)
        return what.name

    def __iter__(self) -> Iterator[str]:
        return (key[1] for key in self._register().entries if key[0] == "body")

    def __len__(self) -> int:
        return sum(1 for _ in self)

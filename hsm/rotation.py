"""Rotation of a class of keys: a new generation in each holder's token, while custody runs on it.

Held like a ceremony, with the officers who open the tokens, and written into the same chain of
transcripts. What puts a new generation in use is the last thing done for a host: its chain, or its
mark (`hsm.generations`). Run again after an interruption, a key that was made and not put in use is
the one that is put in use.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsm.ceremony import Ceremony, Steps
from hsm.certificates import chain_file, read_chain, write_chain
from hsm.generations import generation_files, ready_file
from hsm.host_files import ROOT_HOST, ROOT_LABEL, ceremony_files, host_files, root_file
from hsm.key_classes import KeyClass, key_classes, profile_of
from hsm.plan import AES256, HMAC_SHA256, P256, P256_AGREEMENT, ProvisioningPlan
from hsm.root_pins import settle_root_pins
from hsm.sealed_pins import open_sealed_pins
from hsm.token import Token
from hsm.transcript import Transcript
from juki.custody.naming import token_label
from juki.custody.port import ISSUING_AUTHORITY
from juki.domain.errors import JukiError, Reason


@dataclass(frozen=True)
class Rotation:
    """What to rotate."""

    key_class: str
    """Label of `hsm.key_classes`, for example "signing"."""
    hosts: tuple[str, ...] = ()
    """Names of hosts; empty: every holder whose directory is here."""


def hold_rotation(ceremony: Ceremony, rotation: Rotation) -> Path:
    """Make and put in use a new generation of a class of keys; gives the transcript's text.

    Raises CONFIGURATION_INVALID for a class or host that the plan does not have, otherwise as
    `hold_ceremony`.
    """
    plan = ceremony.plan
    key_class = find_class(plan, rotation.key_class, rotation.hosts)
    files = ceremony_files(plan.directory)
    with open_sealed_pins(files.sealed_pins, ceremony.table) as pins:
        settle_root_pins(plan, pins)
        steps = _RotationSteps(ceremony, pins, Transcript(files.transcripts, ceremony.clock))
        steps.open_table()
        steps.rotate(key_class, rotation.hosts or holders_here(plan, key_class))
        return steps.close_table()


def find_class(plan: ProvisioningPlan, label: str, hosts: Sequence[str]) -> KeyClass:
    """A class of keys that all of these hosts hold; raises CONFIGURATION_INVALID."""
    if not ceremony_files(plan.directory).sealed_pins.exists():
        raise JukiError(Reason.CONFIGURATION_INVALID, "no ceremony has been held here")
    found = {one.label: one for one in key_classes(plan)}.get(label)
    if found is None or not set(hosts) <= set(found.holders):
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"no such keys: {label} of {', '.join(hosts) or 'any host'}",
        )
    return found


def in_order(classes: Sequence[KeyClass]) -> list[KeyClass]:
    """The order in which to rotate several: who certifies before whom it certifies."""
    return sorted(
        classes, key=lambda one: (one.label != ROOT_LABEL, one.label != ISSUING_AUTHORITY)
    )


def holders_here(plan: ProvisioningPlan, key_class: KeyClass) -> tuple[str, ...]:
    """Those holders of a class whose directory is here; raises CONFIGURATION_INVALID for none."""
    found = tuple(
        holder
        for holder in key_class.holders
        if host_files(plan.directory, holder).directory.is_dir()
    )
    if not found:
        raise JukiError(Reason.CONFIGURATION_INVALID, f"no host with {key_class.label} is here")
    return found


class _RotationSteps(Steps):
    """The steps of a ceremony, for generations that are made beside those in use."""

    def rotate(self, key_class: KeyClass, holders: tuple[str, ...]) -> None:
        """New keys in the holders' tokens, then their certificates or marks."""
        for holder in holders:
            self._make_key(key_class, holder)
        hosts = [host for host in self._plan.hosts() if host.name in holders]
        if key_class.label == ROOT_LABEL:
            self._sign_root()
        elif key_class.label == ISSUING_AUTHORITY:
            # Hosts get certificates under it when their keys are rotated or fall due: its first
            # revocation list has to be everywhere by then.
            self.sign_authorities(hosts)
        elif key_class.lifetime is not None:
            for issuing in self._plan.hosts():
                mine = [(host, key_class.label) for host in hosts if host.issuer == issuing.name]
                if mine:
                    self.sign_hosts(issuing, mine)
        else:
            for holder in holders:
                self._mark_ready(key_class.label, holder)
        self._making.clear()
        for holder in holders:
            self._transcript.say(
                "generation in use", host=holder, key=self._label(holder, key_class.label)
            )

    def _make_key(self, key_class: KeyClass, holder: str) -> None:
        folder = self._files(holder).certificates
        folder.mkdir(exist_ok=True)
        files = generation_files(folder, key_class.label)
        number = max(*files.made, *files.retired, 1) + 1
        self._making[holder, key_class.label] = number
        label = token_label(key_class.label, number)
        with self._open(holder, writable=True) as token:
            found = token.has_key(label)
            if not found:
                _GENERATE[key_class.kind](token, label)
            token.refuse_extractable(label)
            step = "key found, made in an interrupted rotation" if found else "key made"
            is_pair = key_class.kind in (P256, P256_AGREEMENT)
            public_key = token.public_key(label) if is_pair else None
            if public_key is not None:
                self._public_keys[holder, key_class.label] = public_key
            self._say_key(holder, label, key_class.kind, public_key, step)

    def _sign_root(self) -> None:
        """The new root before the old one in `root.pem`: both are trusted from now on."""
        file = root_file(self._plan.directory)
        label = self._label(ROOT_HOST, ROOT_LABEL)
        with self._open(ROOT_HOST) as token:
            key = token.signing_key(label)
            old = [one for one in read_chain(file) if one.public_key() != key.public_key()]
            name = self._subject(ROOT_HOST, ROOT_LABEL, f"Juki-Net root {self._plan.trust_domain}")
            made = self._authority.root(key, name, profile_of(self._plan, ROOT_LABEL))
        self._say_certificate(ROOT_HOST, ROOT_LABEL, made)
        write_chain(file, [made, *old])
        write_chain(chain_file(self._files(ROOT_HOST).certificates, label), [made])

    def _mark_ready(self, key_class: str, holder: str) -> None:
        file = ready_file(self._files(holder).certificates, self._label(holder, key_class))
        with file.open("wb") as opened:
            os.fsync(opened.fileno())


_GENERATE = {
    P256: Token.generate_signing_key,
    P256_AGREEMENT: Token.generate_agreement_key,
    AES256: Token.generate_wrapping_key,
    HMAC_SHA256: Token.generate_mac_key,
}

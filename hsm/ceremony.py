"""The key ceremony: tokens, keys and certificates of every host of a plan, step by step.

Each step looks first at what is already there. Run again, a ceremony changes nothing, needs no
officer and leaves no transcript, except that what is missing is made, what the plan says otherwise
is changed, and a certificate with a third of its life left is made anew for the same key. Only for
a process that uses PKCS#11 for nothing else: the module wants one thread and one token at a time.
"""

from __future__ import annotations

import platform
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.authority import Authority, Issuer, Names, subject_of
from hsm.authority_record import record_certified
from hsm.ceremony_works import (
    What,
    Work,
    certificate_is_due,
    has_keys,
    keys_of,
    present_configuration,
    wanted_configuration,
    wanted_names,
    works,
)
from hsm.certificate_names import names_in, permitted_names
from hsm.certificates import chain_file, read_chain, write_chain
from hsm.configuration_writing import changes
from hsm.generations import generation_files
from hsm.host_files import (
    ROOT_HOST,
    ROOT_LABEL,
    HostFiles,
    ceremony_files,
    host_files,
    root_file,
)
from hsm.key_classes import certified_labels, profile_of
from hsm.plan import AES256, HMAC_SHA256, P256, P256_AGREEMENT, Host, ProvisioningPlan
from hsm.profiles import CERTIFIABLE
from hsm.root_pins import settle_root_pins
from hsm.sealed_pins import OfficersTable, SealedPins, open_sealed_pins
from hsm.token import Token, open_token
from hsm.token_making import PIN_BYTES, make_softhsm_token, write_secret
from hsm.transcript import Transcript, has_transcripts
from hsm.transcript_text import Fact
from juki.custody.naming import token_label
from juki.custody.port import ISSUING_AUTHORITY
from juki.domain.errors import JukiError, Reason


@dataclass(frozen=True)
class Ceremony:
    """A ceremony to hold."""

    plan: ProvisioningPlan
    table: OfficersTable
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    random_pin: Callable[[], str] = lambda: secrets.token_hex(PIN_BYTES)
    file_digest: str = ""
    """SHA-256 (hex) of the ceremony file, for the transcript."""

    told: Callable[[Work], None] = lambda _: None
    """Told of each work when it is done."""

    def works(self) -> list[Work]:
        """What would be made now; empty where a ceremony would change nothing."""
        return works(self.plan, self.clock())

    def due(self) -> list[str]:
        """The same in words."""
        return [str(work) for work in self.works()]

    def is_due(self, host: Host, label: str) -> bool:
        """Whether a certificate is to be made: see `certificate_is_due`."""
        return certificate_is_due(self.plan, host, label, self.clock())


def hold_ceremony(ceremony: Ceremony) -> Path | None:
    """Make what is due; gives the transcript's text, None where nothing was due.

    Raises KEY_USE_NOT_PERMITTED where too few officers are present or a passphrase is wrong (no
    token has seen a PIN then), CONFIGURATION_INVALID where a token or a file is not as expected.
    """
    # SoftHSM's configuration holds an absolute path: custody may be started from anywhere.
    plan = replace(ceremony.plan, directory=ceremony.plan.directory.resolve())
    ceremony = replace(ceremony, plan=plan)
    if not ceremony.due():
        return None
    files = ceremony_files(plan.directory)
    if has_transcripts(files.transcripts) and not root_file(plan.directory).exists():
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            "root.pem is missing though a ceremony was held here: put it back, "
            "or the root key would be made anew",
        )
    if root_file(plan.directory).exists() and not files.sealed_pins.exists():
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"{files.sealed_pins} is missing though there is a root: bring the directory "
            f"{files.directory.name} back to where this ceremony is held",
        )
    files.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_sealed_pins(files.sealed_pins, ceremony.table) as pins:
        settle_root_pins(plan, pins)
        transcript = Transcript(files.transcripts, ceremony.clock)
        steps = Steps(ceremony, pins, transcript)
        steps.open_table()
        hosts = plan.hosts()
        steps.make_root()
        for host in hosts:
            steps.make_host(host)
        steps.certify_authorities([host for host in hosts if host.issuing_names])
        for issuer in [host for host in hosts if host.issuing_names]:
            steps.certify_hosts(issuer, [host for host in hosts if host.issuer == issuer.name])
        return steps.close_table()


class Steps:
    """The steps of one ceremony."""

    def __init__(self, ceremony: Ceremony, pins: SealedPins, transcript: Transcript) -> None:
        self._ceremony = ceremony
        self._plan = ceremony.plan
        self._authority = Authority(ceremony.clock)
        self._pins = pins
        self._transcript = transcript
        self._public_keys: dict[tuple[str, str], ec.EllipticCurvePublicKey] = {}
        self._making: dict[tuple[str, str], int] = {}
        """Generations being made, which are not in use yet, by host and class."""
        # A new root is introduced under the signature of the one before it.
        self._signs_transcript = self._label(ROOT_HOST, ROOT_LABEL)

    def open_table(self) -> None:
        """Who is present, with what software."""
        officers = self._ceremony.table.officers
        self._transcript.say(
            "ceremony resumed" if self._transcript.resumes else "ceremony opened",
            trust_domain=self._plan.trust_domain,
            ceremony_file_sha256=self._ceremony.file_digest or "none (unattended)",
            officers_present=list(self._pins.present),
            officers_needed=f"{officers.threshold} of {len(officers.names)}",
            software=[
                f"python {platform.python_version()}",
                *(f"{name} {version(name)}" for name in ("cryptography", "python-pkcs11")),
            ],
            pkcs11_module_sha256=_file_digest(self._plan.module),
            networks_up=_networks_up() or "none",
        )

    def close_table(self) -> Path:
        """The root key signs the transcript."""
        with self._open(ROOT_HOST) as token:
            self._transcript.say(
                "ceremony closed", token=f"{token.manufacturer} {token.model}".strip()
            )
            return self._transcript.finish(token.signing_key(self._signs_transcript))

    def make_root(self) -> None:
        """The root's token and certificate."""
        file = root_file(self._plan.directory)
        if file.exists():
            return
        with self._new_token(ROOT_HOST, only_ceremonies_open=True) as token:
            token.generate_signing_key(ROOT_LABEL)
            name = f"Juki-Net root {self._plan.trust_domain}"
            key, profile = token.signing_key(ROOT_LABEL), profile_of(self._plan, ROOT_LABEL)
            self._say_key(ROOT_HOST, ROOT_LABEL, P256, key.public_key())
            made = self._authority.root(key, name, profile)
            self._say_certificate(ROOT_HOST, ROOT_LABEL, made)
            write_chain(file, [made])
            self._ceremony.told(Work(What.CERTIFICATE, ROOT_HOST, ROOT_LABEL))

    def make_host(self, host: Host) -> None:
        """A host's token and keys; then its directory of certificates, which says they are whole.

        Last its configuration, which is written again where it is not as the plan wants it.
        """
        files = self._files(host.name)
        present = present_configuration(self._plan, host)
        if not has_keys(self._plan, host):
            if present:
                raise JukiError(
                    Reason.CONFIGURATION_INVALID,
                    f"the certificates of {host.name} are missing: put them back, "
                    "or its keys would be made anew",
                )
            with self._new_token(host.name) as token:
                self._make_missing_keys(host, token)
            files.certificates.mkdir()
        wanted = wanted_configuration(self._plan, host, None if present else self._serial(host))
        if present == wanted:
            return
        if present:
            with self._open(host.name, writable=True) as token:
                self._make_missing_keys(host, token)
        difference = changes(present, wanted)
        self._transcript.say("custody configured", host=host.name, changes=difference)
        unfinished = files.configuration.with_name("custody.toml.new")
        unfinished.write_text(wanted, "utf-8")
        unfinished.rename(files.configuration)
        self._ceremony.told(Work(What.CONFIGURATION, host.name))

    def certify_authorities(self, hosts: Sequence[Host]) -> None:
        """The issuing authorities' certificates, by the root; names bound to their hosts."""
        wanted = [host for host in hosts if self._ceremony.is_due(host, ISSUING_AUTHORITY)]
        if wanted:
            self.sign_authorities(wanted)

    def sign_authorities(self, wanted: Sequence[Host]) -> None:
        """Certificates of issuing authorities, due or not."""
        keys = {host: self._public_key(host, ISSUING_AUTHORITY) for host in wanted}
        profile = profile_of(self._plan, ISSUING_AUTHORITY)
        with self._open(ROOT_HOST) as token:
            issuer = self._root(token)
            for host in wanted:
                subject = self._subject(
                    host.name,
                    ISSUING_AUTHORITY,
                    f"Juki-Net issuing authority {host.name} {self._plan.trust_domain}",
                )
                names = wanted_names(self._plan, host, ISSUING_AUTHORITY)
                made = self._authority.certify(issuer, keys[host], subject, names, profile)
                self._say_certificate(host.name, ISSUING_AUTHORITY, made)
                write_chain(self._chain_file(host, ISSUING_AUTHORITY), [made])
                self._ceremony.told(Work(What.CERTIFICATE, host.name, ISSUING_AUTHORITY))

    def certify_hosts(self, issuing: Host, hosts: Sequence[Host]) -> None:
        """The certificates of hosts, by their prefecture's or the nation's authority."""
        wanted = [
            (host, label)
            for host in hosts
            for label in certified_labels(host)
            if label in CERTIFIABLE and self._ceremony.is_due(host, label)
        ]
        if wanted:
            self.sign_hosts(issuing, wanted)

    def sign_hosts(self, issuing: Host, wanted: Sequence[tuple[Host, str]]) -> None:
        """Certificates of hosts' keys (by class) under one authority, due or not."""
        keys = [self._public_key(host, label) for host, label in wanted]
        chain = read_chain(self._chain_file(issuing, ISSUING_AUTHORITY))
        with self._open(issuing.name) as token:
            signer = token.signing_key(self._label(issuing.name, ISSUING_AUTHORITY))
            issuer = Issuer(signer, chain)
            for (host, label), key in zip(wanted, keys, strict=True):
                profile = profile_of(self._plan, label)
                subject = self._subject(
                    host.name, label, subject_of(profile, Names((host.identity,)))
                )
                names = wanted_names(self._plan, host, label)
                made = self._authority.certify(issuer, key, subject, names, profile)
                # On record before it exists elsewhere: what is issued can be revoked by name.
                record = self._files(issuing.name).authority_record
                record_certified(record, chain[0], made, host.identity)
                self._say_certificate(host.name, label, made)
                write_chain(self._chain_file(host, label), [made, *chain])
                self._ceremony.told(Work(What.CERTIFICATE, host.name, label))

    def _files(self, host: str) -> HostFiles:
        return host_files(self._plan.directory, host)

    def _chain_file(self, host: Host, label: str) -> Path:
        return chain_file(self._files(host.name).certificates, self._label(host.name, label))

    def _generation(self, host: str, key_class: str) -> int:
        """The generation that is certified and used in this ceremony."""
        in_use = generation_files(self._files(host).certificates, key_class).current
        return self._making.get((host, key_class), in_use)

    def _label(self, host: str, key_class: str) -> str:
        return token_label(key_class, self._generation(host, key_class))

    def _subject(self, host: str, key_class: str, subject: str) -> str:
        """Verifiers find issuers by their subjects: each generation's key has one of its own."""
        generation = self._generation(host, key_class)
        return subject if generation == 1 else f"g{generation} {subject}"

    def _root(self, token: Token) -> Issuer:
        """The root's generation in use, of the roots that `root.pem` holds."""
        key = token.signing_key(self._label(ROOT_HOST, ROOT_LABEL))
        for root in read_chain(root_file(self._plan.directory)):
            if root.public_key() == key.public_key():
                return Issuer(key, (root,))
        raise JukiError(Reason.CONFIGURATION_INVALID, "root.pem lacks the root in use")

    @contextmanager
    def _new_token(self, host: str, *, only_ceremonies_open: bool = False) -> Iterator[Token]:
        """A new token, open; what an interrupted run left behind goes first.

        Its PINs are sealed before the token knows them. The security officer's PIN could set the
        user's anew, so that it is kept nowhere else; a host's custody has the user's in a file.
        """
        directory = self._files(host).directory
        if directory.exists():
            if not self._transcript.resumes:
                raise JukiError(
                    Reason.CONFIGURATION_INVALID,
                    f"{host} has files of a token that no interrupted ceremony left behind: "
                    "nothing is destroyed that this ceremony did not make",
                )
            self._transcript.say("token discarded", host=host)
            shutil.rmtree(directory)
        directory.mkdir(mode=0o700, parents=True)
        pin, officer_pin = self._ceremony.random_pin(), self._ceremony.random_pin()
        self._pins.put(f"security officer of {host}", officer_pin)
        self._pins.put(host, pin)
        location = self._files(host).token(self._plan.module, host)
        make_softhsm_token(location, pin, officer_pin)
        if not only_ceremonies_open:
            write_secret(location.pin_file, pin)
        self._transcript.say("token made", host=host)
        self._ceremony.told(Work(What.TOKEN, host))
        with open_token(location, writable=True, pin=pin) as token:
            yield token

    def _serial(self, host: Host) -> str:
        with self._open(host.name) as token:
            return token.serial

    def _make_missing_keys(self, host: Host, token: Token) -> None:
        """Those keys of a host that its token does not hold yet."""
        make = {
            AES256: token.generate_wrapping_key,
            HMAC_SHA256: token.generate_mac_key,
            P256: token.generate_signing_key,
            P256_AGREEMENT: token.generate_agreement_key,
        }
        for label, kind in keys_of(host):
            if token.has_key(self._label(host.name, label)):
                continue
            make[kind](label)
            public_key = token.public_key(label) if kind in (P256, P256_AGREEMENT) else None
            if public_key is not None:
                self._public_keys[host.name, label] = public_key
            self._say_key(host.name, label, kind, public_key)

    def _open(self, host: str, *, writable: bool = False) -> AbstractContextManager[Token]:
        location = self._files(host).token(self._plan.module, host)
        return open_token(location, writable=writable, pin=self._pins.get(host))

    def _public_key(self, host: Host, label: str) -> ec.EllipticCurvePublicKey:
        known = self._public_keys.get((host.name, label))
        if known is not None:
            return known
        with self._open(host.name) as token:
            return token.public_key(self._label(host.name, label))

    def _say_key(
        self,
        host: str,
        label: str,
        kind: str,
        key: ec.EllipticCurvePublicKey | None,
        step: str = "key made",
    ) -> None:
        facts = {} if key is None else {"fingerprint": _fingerprint(key)}
        self._transcript.say(step, host=host, key=label, kind=kind, **facts)
        self._ceremony.told(Work(What.KEY, host, label, kind))

    def _say_certificate(self, host: str, label: str, made: x509.Certificate) -> None:
        key = made.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self._transcript.say(
            "certificate signed",
            host=host,
            key=label,
            fingerprint=_fingerprint(key),
            serial=f"{made.serial_number:x}",
            subject=made.subject.rfc4514_string(),
            issuer=made.issuer.rfc4514_string(),
            **_names_said(made),
            not_after=made.not_valid_after_utc.isoformat(),
        )


def _names_said(made: x509.Certificate) -> dict[str, Fact]:
    """The names in a certificate, and those that an authority may give."""
    names, permitted = names_in(made), permitted_names(made)
    said: dict[str, Fact] = {}
    if names.uris or names.dns:
        said["names"] = [*names.uris, *names.dns]
    if permitted.uris or permitted.dns:
        said["may_name"] = [
            *(f"URI {host}" for host in permitted.uris),
            *(f"DNS {name}" for name in permitted.dns),
        ]
    return said


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 (hex) of the SubjectPublicKeyInfo."""
    return sha256(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hexdigest()


def _networks_up() -> list[str]:
    """Network interfaces that are up (Linux): a ceremony is held without any."""
    states = Path("/sys/class/net").glob("*/operstate")
    return sorted(one.parent.name for one in states if one.read_text("ascii").strip() == "up")


def _file_digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest() if file.exists() else "no such file"

"""A small ceremony as a file, officers with passphrase files, and what a ceremony left behind."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from hsm.ceremony_cli import app
from hsm.ceremony_works import keys_of
from hsm.certificates import chain_file, read_chain
from hsm.host_files import ceremony_files, host_files, root_file
from hsm.key_classes import certified_labels
from hsm.plan import ProvisioningPlan
from hsm.token import open_token
from hsm.transcript import verify_transcripts

NAMES = ("aoki", "baba", "chiba")


def passphrase(name: str) -> str:
    """An officer's."""
    return f"the long passphrase of {name}"


@dataclass(frozen=True)
class CeremonyRoom:
    """A directory with a ceremony file; `network` beside it gets what is made."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "ceremony.toml"

    @property
    def network(self) -> Path:
        return self.folder / "network"

    @property
    def transcripts(self) -> Path:
        return ceremony_files(self.network).transcripts

    def write(
        self,
        *,
        municipalities: str = '["221309"]',
        officers: str = f"threshold = 2\nnames = {list(NAMES)}",
        more: str = "",
        top: str = f"allowed_uids = [{os.getuid()}]",
    ) -> None:
        """Write the ceremony file: the nation and Shizuoka, unless `more` says more."""
        self.file.write_text(
            f'trust_domain = "juki.example"\ndirectory = "network"\n{top}\n'
            f"[officers]\n{officers}\n"
            f'[[prefectures]]\ncode = "22"\nmunicipalities = {municipalities}\n{more}\n'
        )

    def present(self, *names: str, **wrong: str) -> Path:
        """A directory with the passphrases of these officers, those of `wrong` as given."""
        folder = self.folder / "passphrases"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for name, text in {**{name: passphrase(name) for name in names}, **wrong}.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text + "\n")
        return folder

    def command(self, name: str, *arguments: str | Path) -> Any:
        """`juki hsm ceremony NAME FILE …`."""
        return CliRunner().invoke(app, [name, str(self.file), *map(str, arguments)])

    def run(self, *names: str, command: str = "run", **wrong: str) -> Any:
        """Hold the ceremony with these officers present."""
        return self.command(command, "--passphrases", self.present(*names, **wrong), "--yes")

    def text(self, number: int) -> str:
        """What officers read in a transcript."""
        return (self.transcripts / f"{number:04}.txt").read_text("utf-8")

    def ceremonies(self) -> int:
        """How many transcripts there are; each is verified."""
        return verify_transcripts(self.transcripts, root_key(self.network)).ceremonies


def verify(*arguments: str | Path) -> Any:
    """`juki hsm ceremony verify-transcript …`."""
    return CliRunner().invoke(app, ["verify-transcript", *map(str, arguments)])


def root_key(network: Path) -> ec.EllipticCurvePublicKey:
    """The root's, from its certificate."""
    key = read_chain(root_file(network))[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def contents(folder: Path, *, tokens: bool = True) -> dict[str, str]:
    """Every file's digest."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and (tokens or "tokens" not in file.parts)
    }


def certificates(plan: ProvisioningPlan) -> dict[tuple[str, str], x509.Certificate]:
    """Every host's certificates by host and key."""
    return {
        (host.name, label): read_chain(
            chain_file(host_files(plan.directory, host.name).certificates, label)
        )[0]
        for host in plan.hosts()
        for label in certified_labels(host)
    }


def assert_whole(plan: ProvisioningPlan) -> None:
    """Every host holds the keys of the plan and no others, each certified under the root."""
    root = read_chain(root_file(plan.directory))[0]
    for host in plan.hosts():
        files = host_files(plan.directory, host.name)
        assert not list(files.directory.rglob("*.new"))
        with open_token(files.token(plan.module, host.name)) as token:
            for label, _ in keys_of(host):
                token.refuse_extractable(label)
            for label in certified_labels(host):
                chain = read_chain(chain_file(files.certificates, label))
                assert chain[0].public_key() == token.public_key(label)
                for below, above in zip(chain, [*chain[1:], root], strict=True):
                    below.verify_directly_issued_by(above)

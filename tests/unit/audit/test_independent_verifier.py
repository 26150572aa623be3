"""docs/verify/verify.py, alone in a clean interpreter, believes real logs and no tampered ones."""

from __future__ import annotations

import ast
import copy
import json
import re
import runpy
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from juki.audit.checkpoint import CheckpointSigning
from juki.audit.cli import app
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.domain.outcome import Outcome
from juki.v1 import audit_pb2
from tests.audit_keys import signing_with

MakeRecord = Callable[..., AuditRecord]

VERIFIER: Final = Path(__file__).parents[3] / "docs" / "verify" / "verify.py"


@pytest.fixture(scope="module")
def log(
    tmp_path_factory: pytest.TempPathFactory, record: MakeRecord, signing: CheckpointSigning
) -> Path:
    """A log of 600 records; `old` beside it is its checkpoint at 270."""
    directory = tmp_path_factory.mktemp("audit") / "log"
    for start, end in ((0, 270), (270, 600)):
        with FileAuditLog(directory, signing=signing, sync=lambda _descriptor: None) as writing:
            for n in range(start, end):
                outcomes = bytes([Outcome.NOT_FOUND]) * 11 if n == 300 else None
                changes = {"outcomes": outcomes} if outcomes else {}
                writing.append(record(f"request-{n}", 11 if n == 300 else 1 + n % 3, **changes))
        if end == 270:
            old = (directory / "public" / "checkpoint").read_bytes()
            (directory.parent / "old").write_bytes(old)
    return directory


def run(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    return done.returncode, done.stdout + done.stderr


def prove(log: Path, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["prove", str(log), *arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def check(proof: dict[str, Any], key: Path, tmp_path: Path) -> tuple[int, str]:
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    return run("proof", tmp_path / "proof.json", "--key", key)


def test_it_is_short_and_imports_nothing_of_ours() -> None:
    source = VERIFIER.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 300
    imported = {
        str(node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - sys.stdlib_module_names == {"cryptography"}


def test_it_knows_every_fact_and_outcome() -> None:
    known = runpy.run_path(str(VERIFIER))
    assert known["OUTCOMES"] == {int(o): o.name.lower().replace("_", " ") for o in Outcome}
    fields = {field.number for field in audit_pb2.AuditRecord.DESCRIPTOR.fields}
    assert fields - known["FACTS"].keys() == {13, 14, 17}, "pseudonyms, outcomes and the salt seed"


@pytest.mark.parametrize("entry", [("1", "0"), ("256", "0"), ("301", "10"), ("600", "2")])
def test_a_proof_of_any_entry_holds_and_says_what_was_done(
    log: Path, public_key: Path, tmp_path: Path, entry: tuple[str, str]
) -> None:
    code, output = check(prove(log, *entry), public_key, tmp_path)
    assert (code, output.splitlines()[-1]) == (0, "HOLDS")
    assert "article: 30-9" in output
    assert f"request: request-{int(entry[0]) - 1}" in output
    assert ("not found" in output) == (entry[0] == "301")


def test_a_call_is_found_by_its_request(log: Path) -> None:
    assert prove(log, "request-300", "4")["sequence"] == 301
    for wrong in (("request-9999", "0"), ("601", "0"), ("1", "1")):
        result = CliRunner().invoke(app, ["prove", str(log), *wrong])
        assert result.exit_code == 1


def test_a_proof_tells_nothing_of_other_persons(log: Path, record: MakeRecord) -> None:
    shown = json.dumps(prove(log, "301", "4"))
    pseudonyms = record("request-300", 11).pseudonyms
    for person in range(11):
        other = pseudonyms[16 * person : 16 * person + 16]
        assert (other.hex() in shown) == (person == 4)
        assert b64encode(other)[:20].decode() not in shown


def test_whatever_of_a_proof_is_altered_it_does_not_hold(
    log: Path, public_key: Path, tmp_path: Path
) -> None:
    proof = prove(log, "301", "4")

    def altered(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        other = copy.deepcopy(proof)
        change(other)
        assert other != proof
        return other

    def other_hex(text: str) -> str:
        return ("1" if text[0] == "0" else "0") + text[1:]

    changes: list[Callable[[dict[str, Any]], None]] = [
        lambda p: p.update(sequence=302),
        lambda p: p.update(persons=12),
        lambda p: p.update(facts=b64encode(b"\x3a\x041-30").decode()),
        lambda p: p.update(facts_salt=other_hex(p["facts_salt"])),
        lambda p: p.update(path=p["path"][:-1]),
        lambda p: p.update(path=[other_hex(p["path"][0]), *p["path"][1:]]),
        lambda p: p["person"].update(outcome=1),
        lambda p: p["person"].update(index=5),
        lambda p: p["person"].update(salt=other_hex(p["person"]["salt"])),
        lambda p: p["person"].update(pseudonym=other_hex(p["person"]["pseudonym"])),
        lambda p: p["person"].update(path=p["person"]["path"][1:]),
        lambda p: p.update(checkpoint=p["checkpoint"].replace("\n600\n", "\n601\n")),
        lambda p: p.update(checkpoint=re.sub("— .*\n", "", p["checkpoint"])),
        lambda p: p.update(format="another"),
    ]
    for change in changes:
        code, output = check(altered(change), public_key, tmp_path)
        assert (code, output[:6]) == (1, "WRONG:"), output


def test_a_key_that_did_not_sign_proves_nothing(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert check(prove(log, "1", "0"), other, tmp_path)[0] == 1


def test_a_proof_that_cannot_be_read_ends_with_two(public_key: Path, tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text("{}")
    assert run("proof", tmp_path / "proof.json", "--key", public_key)[0] == 2


def test_a_grown_log_is_consistent_and_a_rewritten_one_is_not(
    log: Path,
    public_key: Path,
    tmp_path: Path,
    record: MakeRecord,
    log_key: ec.EllipticCurvePrivateKey,
) -> None:
    old, public = log.parent / "old", log / "public"
    code, output = run("consistency", old, public / "checkpoint", public, "--key", public_key)
    assert (code, output.splitlines()[-2:]) == (0, ["600 records continue 270", "HOLDS"])
    newer = public / "checkpoint"
    assert run("consistency", newer, newer, public, "--key", public_key)[0] == 0
    assert run("consistency", newer, old, public, "--key", public_key)[0] == 1

    # The operator writes history anew and signs it with the log's own key.
    with FileAuditLog(
        tmp_path / "rewritten", signing=signing_with(log_key), sync=lambda _descriptor: None
    ) as rewriting:
        for n in range(600):
            rewriting.append(record(f"request-{n}", operator="nobody" if n == 100 else "someone"))
    forged = tmp_path / "rewritten" / "public"
    code, output = run("consistency", old, forged / "checkpoint", forged, "--key", public_key)
    assert code == 1
    assert "does not continue" in output
    assert run("consistency", old, forged / "checkpoint", public, "--key", public_key)[0] == 1

"""Whatever byte of whatever file of a co-signed log is altered, `juki audit verify` names it.

The log, its checkpoint and the cosignature are as servers make them, with keys in tokens. A sample
of the bytes is tried; all of them in the slow test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.checkpoint import CheckpointKey, CheckpointSigning
from juki.audit.log import FileAuditLog
from juki.audit.verify import verify
from juki.audit.witness.running import log_origin
from tests.audit_faults.logs import numbered_record
from tests.custody_fixtures import RunningCustody, TrustDomain, running_custody
from tests.people import memory_directory
from tests.witness_fixtures import NATION, TwoTiers, two_tiers

SAMPLED = 12
"""Bytes of each file."""

WITHOUT_ENTRY = ("checkpoint", "cosigned", "cosigned.before", ".der")
"""Files that are about the log as a whole."""


@dataclass(frozen=True)
class CosignedLog:
    """A log of several segments with full and partial tiles, and the key of its checkpoints."""

    directory: Path
    key: ec.EllipticCurvePublicKey

    def files(self) -> list[Path]:
        return sorted(
            path.relative_to(self.directory)
            for path in self.directory.rglob("*")
            if path.is_file() and path.name != "lock"
        )


@pytest.fixture(scope="module")
def log(trust_domain: TrustDomain, national_custody: RunningCustody) -> Iterator[CosignedLog]:
    with (
        running_custody(trust_domain.files("pref22")) as prefecture,
        memory_directory() as scratch,
        two_tiers(trust_domain, national_custody.client, prefecture.client, scratch) as tiers,
    ):
        for first, last in ((1, 4), (5, 9)):
            _append(tiers, national_custody, first, last)
            assert tiers.watcher.look()
        yield CosignedLog(tiers.nation.log.directory, tiers.nation.parts.signer.key.public_key)


def _append(tiers: TwoTiers, custody: RunningCustody, first: int, last: int) -> None:
    signer = tiers.nation.parts.signer
    key = CheckpointKey(
        signer.key.key_id, lambda digest: custody.client.sign(signer.key.name, [digest])[0]
    )
    signing = CheckpointSigning(log_origin(NATION), lambda: key, interval_seconds=3600)
    with FileAuditLog(tiers.nation.log.directory, signing=signing, segment_bytes=500) as written:
        for number in range(first, last + 1):
            written.append(numbered_record(number))


def test_the_log_has_every_kind_of_file_and_is_good(log: CosignedLog) -> None:
    names = {str(path) for path in log.files()}
    assert {"00000000.seg", "00000001.seg", "public/checkpoint"} <= names
    assert {"public/cosigned", "public/cosigned.before"} <= names
    assert any(name.startswith("public/witnesses/") for name in names)
    assert any(name.startswith("public/tile/0/") for name in names)
    assert any(name.startswith("public/tile/entries/") for name in names)
    report = verify(log.directory, keys=[log.key])
    assert report.problem is None
    assert report.witnesses == ["pref22.juki.example/server"]


def check_mutation(log: CosignedLog, file: Path, offset: int, flip: int) -> None:
    path = log.directory / file
    whole = path.read_bytes()
    changed = whole[:offset] + bytes([whole[offset] ^ flip]) + whole[offset + 1 :]
    path.write_bytes(changed)
    try:
        problem = verify(log.directory, keys=[log.key]).problem
    finally:
        path.write_bytes(whole)
    where = f"{file} at {offset} ^ {flip:#x}: {problem}"
    assert problem is not None, where
    assert problem.file == str(file), where
    if not file.name.endswith(WITHOUT_ENTRY) and not (file.suffix == ".seg" and offset < 24):
        assert problem.entry is not None, where


def test_a_sample_of_altered_bytes_is_found_in_every_file(log: CosignedLog) -> None:
    random = Random(5)
    for file in log.files():
        for _ in range(SAMPLED):
            size = (log.directory / file).stat().st_size
            check_mutation(log, file, random.randrange(size), 1 << random.randrange(8))


@pytest.mark.slow
def test_every_altered_byte_is_found_in_every_file(log: CosignedLog) -> None:
    random = Random(6)
    for file in log.files():
        for offset in range((log.directory / file).stat().st_size):
            check_mutation(log, file, offset, random.randrange(1, 256))


def test_every_file_taken_away_but_the_cosigned_ones_is_missed(
    log: CosignedLog, tmp_path: Path
) -> None:
    needed = [file for file in log.files() if "cosigned" not in file.name]
    for number, file in enumerate(needed):
        copy = Path(shutil.copytree(log.directory, tmp_path / str(number)))
        (copy / file).unlink()
        problem = verify(copy, keys=[log.key]).problem
        stale = file.parent.name.endswith(".p") and not str(file).endswith("/9")
        assert (problem is None) == stale, file

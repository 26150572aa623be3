"""A log that was rewritten and signed anew disagrees with what its witnesses keep of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from juki.audit.cli import app
from juki.audit.log import FileAuditLog
from juki.audit.verify import verify
from juki.audit.witness.comparing import compare
from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.records import HISTORY_SECONDS, WitnessRecords
from juki.audit.witness.rule import Offer
from tests.audit_faults.logs import numbered_record
from tests.audit_keys import signing_with
from tests.witnessed_logs import LOG, LOG_KEY, NAME, KeyInMemory, witness_with


def write(directory: Path, numbers: range, key: ec.EllipticCurvePrivateKey = LOG_KEY) -> None:
    """Appends records and publishes them under the log's key."""
    with FileAuditLog(directory, signing=signing_with(key), random=bytes) as log:
        for number in numbers:
            log.append(numbered_record(number))


@pytest.fixture
def witnessed(tmp_path: Path) -> tuple[Path, Path]:
    """A log of 20 records, and a witness's records of its sizes 5, 10, 15 and 20."""
    log, directory = tmp_path / "log", tmp_path / "witness"
    records, cosigner, seen = WitnessRecords(directory), KeyInMemory(), 0
    for end in (5, 10, 15, 20):
        write(log, range(seen + 1, end + 1))
        held = OfferedLog(log).hold_out(seen)
        assert held is not None
        cosigner.seconds += HISTORY_SECONDS
        offer = Offer(seen, held.proof, held.checkpoint.note.encode(), ())
        witness_with(records, cosigner).cosign(LOG, offer)
        seen = end
    records.close()
    return log, directory


def test_an_honest_log_is_as_it_was_cosigned_and_may_be_longer(
    witnessed: tuple[Path, Path],
) -> None:
    log, directory = witnessed
    write(log, range(21, 31))
    found = compare(log, [directory], [LOG_KEY.public_key()])
    assert found.problem is None
    assert (found.agreed, found.size, found.witnesses) == (20, 30, (NAME,))


@pytest.mark.parametrize(
    ("numbers", "agreed", "entry"),
    [
        ([1, 2, 3, 4, 5, 6, 99, *range(8, 26)], 5, 6),  # one record altered
        ([*range(1, 13), *range(14, 26)], 10, 11),  # one left out
        ([*range(1, 16)], 15, 16),  # cut off
    ],
)
def test_a_rewritten_log_is_good_in_itself_and_disagrees_with_its_witness(
    witnessed: tuple[Path, Path], tmp_path: Path, numbers: list[int], agreed: int, entry: int
) -> None:
    directory = witnessed[1]
    forged = tmp_path / "forged"
    # Whoever rewrites keeps the rest as it is, its salts too.
    with FileAuditLog(forged, signing=signing_with(LOG_KEY), random=bytes) as log:
        for number in numbers:
            log.append(numbered_record(number))
    assert verify(forged, keys=[LOG_KEY.public_key()]).problem is None
    found = compare(forged, [directory], [LOG_KEY.public_key()])
    assert found.problem is not None
    assert NAME in found.problem.what
    assert (found.agreed, found.problem.entry) == (agreed, entry)

    result = CliRunner().invoke(
        app, ["verify", str(forged), "--witness-records", str(directory), "--json"]
    )
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problem"]["entry"] == entry
    result = CliRunner().invoke(app, ["witnesses", str(directory), "--log", str(forged), "--json"])
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert {one["size"] for one in shown["witnessed"]} == {5, 10, 15, 20}
    assert shown["log"]["problem"]["entry"] == entry


def test_a_witness_alone_accuses_nobody(witnessed: tuple[Path, Path], tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    write(tmp_path / "other", range(100, 110), other)
    # The witness's records are signed by LOG_KEY, which is not this log's.
    found = compare(tmp_path / "other", [witnessed[1]], [other.public_key()])
    assert found.problem is None
    assert found.compared == 0

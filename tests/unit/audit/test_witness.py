"""A witness co-signs a log that grows honestly, and raises the alarm for any other."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.audit.checkpoint import Checkpoint, NoteSignature, SignedCheckpoint
from juki.audit.witness.cosignature import (
    CosigningKey,
    cosigned_at,
    parse_line,
    with_cosignature,
)
from juki.audit.witness.records import HISTORY_SECONDS, WitnessRecords, read_latest, read_records
from juki.audit.witness.rule import WITNESSED_SIZE, Cosigned, Offer, Witness
from juki.domain.errors import InvalidValue, JukiError, Reason
from tests.witnessed_logs import (
    LOG,
    NAME,
    WITNESS_KEY,
    KeyInMemory,
    Log,
    leaves,
    witness_with,
)


def refusal(one: Witness, offer: Offer) -> JukiError:
    with pytest.raises(JukiError) as refused:
        one.cosign(LOG, offer)
    return refused.value


@pytest.fixture
def records(tmp_path: Path) -> WitnessRecords:
    return WitnessRecords(tmp_path / "witness")


def test_a_log_that_grows_is_cosigned_step_by_step(records: WitnessRecords, tmp_path: Path) -> None:
    log, one = Log(leaves(300)), witness_with(records)
    key = CosigningKey(NAME, WITNESS_KEY.public_key())
    for old, new in ((0, 0), (0, 1), (1, 1), (1, 7), (7, 256), (256, 300)):
        cosigned = one.cosign(LOG, log.offer(old, new))
        assert one.witnessed_size(LOG) == new
        assert key.verifies(log.signed(new).checkpoint.text, parse_line(cosigned.line.line))
        kept = read_latest(tmp_path / "witness", LOG.origin)
        assert kept is not None
        assert kept.checkpoint == log.signed(new).checkpoint
        assert [line.name for line in kept.signatures] == [LOG.origin, NAME]
    assert records.alarms() == []
    one.check()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_the_sizes_honest_growth_is_cosigned_and_a_fork_is_not(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("witness")
    sizes = sorted(data.draw(st.lists(st.integers(0, 600), min_size=1, max_size=5)))
    one = witness_with(WitnessRecords(directory))
    log, before = Log(leaves(sizes[-1])), 0
    for size in sizes:
        one.cosign(LOG, log.offer(before, size))
        before = size
    if before:
        changed = leaves(before + 40)
        changed[data.draw(st.integers(0, before - 1))] = b"rewritten"
        size = data.draw(st.integers(1, before + 40))
        refused = refusal(one, Log(changed).offer(before, size))
        expected = (
            Reason.LOG_SHORTENED
            if size < before
            else Reason.LOG_REWRITTEN
            if size == before
            else Reason.LOG_FORKED
        )
        assert refused.reason is expected
        assert one.witnessed_size(LOG) == before


@pytest.mark.parametrize(
    ("dishonest", "size", "reason"),
    [
        ([*leaves(9), b"another"], 10, Reason.LOG_REWRITTEN),
        (leaves(10), 9, Reason.LOG_SHORTENED),
        (leaves(10), 0, Reason.LOG_SHORTENED),
        ([b"another", *leaves(19)], 15, Reason.LOG_FORKED),
    ],
)
def test_what_no_honest_log_shows_is_an_alarm_with_its_evidence(
    records: WitnessRecords, dishonest: list[bytes], size: int, reason: Reason
) -> None:
    honest, one = Log(leaves(20)), witness_with(records)
    one.cosign(LOG, honest.offer(0, 10))
    for _ in range(3):
        assert refusal(one, Log(dishonest).offer(10, size)).reason is reason
    (evidence,) = records.alarms()
    text = evidence.read_text()
    assert text.startswith(f"{reason.value}\ntime 1793000000\n")
    assert honest.signed(10).checkpoint.text in text
    assert Log(dishonest).signed(size).checkpoint.text in text
    # An honest log is co-signed again; the alarm stands until somebody has dealt with it.
    one.cosign(LOG, honest.offer(10, 20))
    with pytest.raises(JukiError):
        one.check()
    evidence.unlink()
    one.check()


def test_nothing_is_cosigned_that_the_log_did_not_sign(records: WitnessRecords) -> None:
    log, one = Log(leaves(5)), witness_with(records)
    other = ec.generate_private_key(ec.SECP256R1())
    stranger = Offer(0, (), log.signed(5, other).note.encode(), ())
    assert refusal(one, stranger).reason is Reason.SIGNATURE_INVALID
    honest = log.signed(5)
    altered = SignedCheckpoint(
        Checkpoint(LOG.origin, 5, hashlib.sha256(b"x").digest()), honest.signatures
    )
    assert refusal(one, Offer(0, (), altered.note.encode(), ())).reason is Reason.SIGNATURE_INVALID
    elsewhere = Offer(0, (), honest.note.replace("national", "pref22").encode(), ())
    assert refusal(one, elsewhere).reason is Reason.INVALID_FIELD
    assert refusal(one, Offer(0, (), b"\xff", ())).reason is Reason.INVALID_FIELD
    assert one.witnessed_size(LOG) == 0


def test_a_log_that_remembers_another_size_is_told_which_the_witness_saw(
    records: WitnessRecords,
) -> None:
    log, one = Log(leaves(20)), witness_with(records)
    one.cosign(LOG, log.offer(0, 10))
    for believed in (0, 9, 11):
        refused = refusal(one, log.offer(believed, 12))
        assert refused.reason is Reason.WITNESS_ELSEWHERE
        assert refused.metadata[WITNESSED_SIZE] == "10"
    assert records.alarms() == []


def test_a_witness_started_again_goes_on_from_what_it_cosigned(tmp_path: Path) -> None:
    log = Log(leaves(20))
    records = WitnessRecords(tmp_path)
    witness_with(records).cosign(LOG, log.offer(0, 10))
    with pytest.raises(JukiError, match="another process"):
        WitnessRecords(tmp_path)
    records.close()
    again = witness_with(WitnessRecords(tmp_path))
    assert refusal(again, Log(leaves(20, "other")).offer(10, 12)).reason is Reason.LOG_FORKED
    again.cosign(LOG, log.offer(10, 20))


def test_a_witness_that_lost_its_latest_cosigns_nothing(tmp_path: Path) -> None:
    log = Log(leaves(20))
    records = WitnessRecords(tmp_path)
    witness_with(records).cosign(LOG, log.offer(0, 10))
    records.close()
    (latest,) = tmp_path.glob("*/latest")
    text = latest.read_text()
    for damage in ("", text.replace("10", "11x"), text[:-30]):
        latest.write_text(damage)
        found = WitnessRecords(tmp_path)
        assert refusal(witness_with(found), log.offer(0, 20)).reason is Reason.TAMPERING_DETECTED
        found.close()
    latest.unlink()
    found = WitnessRecords(tmp_path)
    assert refusal(witness_with(found), log.offer(0, 20)).reason is Reason.TAMPERING_DETECTED
    found.close()


def test_the_history_keeps_one_checkpoint_each_five_minutes_whatever_a_crash_left(
    tmp_path: Path,
) -> None:
    log, cosigner = Log(leaves(60)), KeyInMemory()
    begun = cosigner.seconds
    records = WitnessRecords(tmp_path)
    for size in range(1, 41):
        cosigner.seconds = begun + size * 60
        witness_with(records, cosigner).cosign(LOG, log.offer(size - 1, size))
    records.close()
    (history,) = tmp_path.glob("*/history")
    whole = history.read_bytes()
    for cut in range(len(whole) - 300, len(whole)):
        history.write_bytes(whole[:cut])
        records = WitnessRecords(tmp_path)
        cosigner.seconds = begun + 41 * 60 + HISTORY_SECONDS
        witness_with(records, cosigner).cosign(LOG, log.offer(40, 40))
        records.close()
        times = [cosigned_at(note.signatures[-1]) - begun for note in read_records(tmp_path)]
        assert times[:7] == [60 + 300 * n for n in range(7)]
        assert times[-2:] == [41 * 60 + HISTORY_SECONDS] * 2


def test_a_full_disk_gives_no_cosignature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, records = Log(leaves(20)), WitnessRecords(tmp_path)
    one = witness_with(records)
    one.cosign(LOG, log.offer(0, 10))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert refusal(one, log.offer(10, 20)).reason is Reason.STORE_UNAVAILABLE
    assert one.witnessed_size(LOG) == 10
    one.cosign(LOG, log.offer(10, 20))


def test_every_part_of_a_cosignature_is_under_its_signature(records: WitnessRecords) -> None:
    log = Log(leaves(5))
    cosigned: Cosigned = witness_with(records).cosign(LOG, log.offer(0, 5))
    key = CosigningKey(NAME, WITNESS_KEY.public_key())
    text = cosigned.checkpoint.checkpoint.text
    assert key.verifies(text, cosigned.line)
    assert not key.verifies(log.signed(4).checkpoint.text, cosigned.line)
    value = base64.b64decode(cosigned.line.line.split(" ")[2])
    for at in range(len(value)):
        changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        line = NoteSignature(NAME, changed[:4], changed[4:])
        assert not key.verifies(text, line), at
    assert not CosigningKey("another", WITNESS_KEY.public_key()).verifies(text, cosigned.line)
    with pytest.raises(InvalidValue):
        cosigned_at(NoteSignature(NAME, cosigned.line.key_id, cosigned.line.signature[:-1]))


def test_a_witness_stands_once_under_a_checkpoint(records: WitnessRecords) -> None:
    log, cosigner = Log(leaves(5)), KeyInMemory()
    one = witness_with(records, cosigner)
    first = one.cosign(LOG, log.offer(0, 5))
    cosigner.seconds += 10
    second = one.cosign(LOG, log.offer(5, 5))
    note = with_cosignature(with_cosignature(log.signed(5), first.line), second.line)
    assert [line.name for line in note.signatures] == [LOG.origin, NAME]
    assert note.signatures[-1] == second.line

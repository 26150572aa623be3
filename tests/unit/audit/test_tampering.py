"""Whatever byte is altered or cut off is found; what a crash leaves unfinished is mended."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from juki.audit.checkpoint import CheckpointSigning, SignedCheckpoint
from juki.audit.cli import app
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.segment import HEADER_BYTES, Tampered, read_frames, read_header, segments
from juki.audit.verify import CheckpointStatus, verify
from juki.domain.errors import Reason
from tests.audit_keys import signing_with

MakeRecord = Callable[..., AuditRecord]

RECORDS = 8
SIZES = (0, 300, 310, 600, 700)


@pytest.fixture(scope="session")
def original(
    tmp_path_factory: pytest.TempPathFactory, record: MakeRecord, signing: CheckpointSigning
) -> Path:
    """A log of several segments under a signed checkpoint; tests alter copies of it."""
    directory = tmp_path_factory.mktemp("audit") / "log"
    with FileAuditLog(directory, segment_bytes=450, signing=signing) as log:
        for n in range(RECORDS):
            log.append(record(f"request-{n}", n % 3))
    assert len(segments(directory)) >= 3
    assert segments(directory)[-1].stat().st_size > HEADER_BYTES
    return directory


@pytest.fixture(scope="session")
def long_original(
    tmp_path_factory: pytest.TempPathFactory, record: MakeRecord, signing: CheckpointSigning
) -> Path:
    """A log with full and partial tiles of two levels, of several checkpoints."""
    directory = tmp_path_factory.mktemp("audit") / "log"
    for start, end in pairwise(SIZES):
        with FileAuditLog(
            directory, segment_bytes=30_000, signing=signing, sync=lambda _descriptor: None
        ) as log:
            for n in range(start, end):
                log.append(record(f"request-{n}", n % 3))
    assert {str(path.relative_to(directory / "public")) for path in published(directory)} == {
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/0/002.p/188",
        "tile/1/000.p/1",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
        "tile/entries/002.p/188",
    }
    return directory


def published(log: Path) -> list[Path]:
    return sorted(path for path in (log / "public").rglob("*") if path.is_file())


@pytest.fixture
def log(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "log"))


@pytest.fixture
def long_log(long_original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(long_original, tmp_path / "log"))


def frame_ends(path: Path) -> list[int]:
    with path.open("rb") as file:
        read_header(path, file)
        return [HEADER_BYTES, *(frame.end for frame in read_frames(path, file))]


def cli(log: Path, *options: str | Path) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["verify", str(log), "--json", *map(str, options)])
    return result.exit_code, json.loads(result.stdout)


@settings(deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_a_segment_is_found_and_its_file_named(
    original: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    log = Path(shutil.copytree(original, tmp_path_factory.mktemp("flip") / "log"))
    path = data.draw(st.sampled_from(segments(log)))
    content = bytearray(path.read_bytes())
    offset = data.draw(st.integers(0, len(content) - 1))
    content[offset] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)

    problem = verify(log).problem
    assert problem is not None
    assert problem.file == path.name
    frame_start = max([0, *(end for end in frame_ends(original / path.name) if end <= offset)])
    assert problem.offset == frame_start


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_what_is_published_is_found_and_its_file_named(
    long_original: Path,
    log_key: ec.EllipticCurvePrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    log = Path(shutil.copytree(long_original, tmp_path_factory.mktemp("flip") / "log"))
    path = data.draw(st.sampled_from(published(log)))
    content = bytearray(path.read_bytes())
    offset = data.draw(st.integers(0, len(content) - 1))
    content[offset] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)

    problem = verify(log, keys=[log_key.public_key()]).problem
    assert problem is not None
    assert problem.file == str(path.relative_to(log))
    if path.name != "checkpoint":
        assert problem.offset == offset
    if "entries" in path.parts or "tile/0/" in problem.file:
        number = int((path.parent.name if path.parent.suffix == ".p" else path.name)[:3])
        place = offset // 32 if "tile/0/" in problem.file else offset // 71
        assert problem.entry == number * 256 + place + 1


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_record_altered_with_a_good_check_does_not_fit_what_is_published(
    long_original: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    log = Path(shutil.copytree(long_original, tmp_path_factory.mktemp("forged") / "log"))
    path = data.draw(st.sampled_from([one for one in segments(log) if len(frame_ends(one)) > 1]))
    with path.open("rb") as file:
        first = read_header(path, file)
        frames = list(read_frames(path, file))
    number = data.draw(st.integers(0, len(frames) - 1))
    frame = frames[number]
    # The last bytes are the seed's: they decode whatever they are.
    record = bytearray(frame.record)
    record[data.draw(st.integers(len(record) - 16, len(record) - 1))] ^= 1
    content = bytearray(path.read_bytes())
    content[frame.offset + 8 : frame.end] = record + zlib.crc32(record).to_bytes(4, "big")
    path.write_bytes(content)

    problem = verify(log).problem
    assert problem is not None
    assert (problem.file, problem.offset) == (path.name, frame.offset)
    assert problem.entry == first + number


def test_a_published_file_taken_away_is_missed(
    long_log: Path, log_key: ec.EllipticCurvePrivateKey
) -> None:
    for path in published(long_log):
        content = path.read_bytes()
        path.unlink()
        problem = verify(long_log, keys=[log_key.public_key()]).problem
        if path.name in ("88", "1"):
            assert problem is None, "partial tiles of older checkpoints may go"
        else:
            assert problem is not None
            assert problem.file == str(path.relative_to(long_log))
        path.write_bytes(content)


def test_a_log_is_verified_from_a_trusted_checkpoint_on(
    tmp_path: Path, record: MakeRecord, signing: CheckpointSigning, public_key: Path
) -> None:
    log = tmp_path / "log"
    sizes = (0, 300, 512, 513, 700)
    for before, size in pairwise(sizes):
        with FileAuditLog(log, signing=signing, segment_bytes=20_000) as writing:
            for n in range(before, size):
                writing.append(record(f"request-{n}"))
        (tmp_path / str(size)).write_bytes((log / "public" / "checkpoint").read_bytes())
    whole = cli(log, "--public-key", public_key)[1]
    for size in sizes[1:]:
        trusted = tmp_path / str(size)
        code, report = cli(log, "--public-key", public_key, "--from", trusted)
        assert (code, report["since"], report["records"]) == (0, size, 700 - size)
        assert report["bytes_read"] < whole["bytes_read"]

    with FileAuditLog(tmp_path / "other", signing=signing) as other:
        for n in range(300):
            other.append(record(f"other-{n}"))
    code, report = cli(log, "--from", tmp_path / "other" / "public" / "checkpoint")
    assert code == 1
    assert report["problem"]["file"] == "public/checkpoint"
    assert cli(tmp_path / "other", "--from", tmp_path / "700")[0] == 1


def test_a_trusted_checkpoint_that_is_none_ends_with_two(log: Path, tmp_path: Path) -> None:
    (tmp_path / "none").write_text("no note")
    result = CliRunner().invoke(app, ["verify", str(log), "--from", str(tmp_path / "none")])
    assert result.exit_code == 2


def test_the_format_before_this_one_is_named_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "00000000.seg").write_bytes(b"JUKIAUD1" + (1).to_bytes(4, "big") + bytes(44))
    problem = verify(tmp_path).problem
    assert problem is not None
    assert "format 1 is not known" in problem.what
    with pytest.raises(Tampered, match="format 1 is not known"):
        FileAuditLog(tmp_path)


def test_every_byte_of_the_last_segment_counts_at_the_next_start_too(log: Path) -> None:
    last = segments(log)[-1]
    content = last.read_bytes()
    for offset in range(len(content)):
        last.write_bytes(content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :])
        with pytest.raises(Tampered) as refused:
            FileAuditLog(log)
        assert refused.value.reason is Reason.TAMPERING_DETECTED
        assert refused.value.metadata["file"] == last.name
        assert last.stat().st_size == len(content), "nothing is mended over what was altered"


def test_a_tail_torn_at_any_byte_is_recovered_and_the_log_goes_on(
    tmp_path: Path, record: MakeRecord
) -> None:
    with FileAuditLog(tmp_path / "log") as log:
        for n in range(2):
            log.append(record(f"kept-{n}"))
    last = segments(tmp_path / "log")[0]
    kept = last.stat().st_size
    with FileAuditLog(tmp_path / "log") as log:
        log.append(record("torn", 2))
    content = last.read_bytes()
    for size in range(kept, len(content)):
        last.write_bytes(content[:size])
        torn = verify(tmp_path / "log").torn_tail
        assert (torn is not None) == (size > kept)
        with FileAuditLog(tmp_path / "log") as log:
            assert last.stat().st_size == kept
            assert log.append(record("after")).sequence == 3
        report = verify(tmp_path / "log")
        assert report.problem is None
        assert report.torn_tail is None
        assert report.records == 3


@pytest.mark.parametrize("size", range(HEADER_BYTES))
def test_a_segment_whose_beginning_was_torn_is_begun_anew(
    tmp_path: Path, record: MakeRecord, size: int
) -> None:
    with FileAuditLog(tmp_path, segment_bytes=1) as log:
        log.append(record("a"))
        log.append(record("b"))
    newest = segments(tmp_path)[-1]
    assert newest.stat().st_size == HEADER_BYTES
    newest.write_bytes(newest.read_bytes()[:size])
    with FileAuditLog(tmp_path, segment_bytes=1) as log:
        assert log.append(record("c")).sequence == 3
    assert verify(tmp_path).problem is None


def test_records_cut_off_that_the_checkpoint_covers_are_missed(log: Path) -> None:
    last = segments(log)[-1]
    end = frame_ends(last)[-2]
    last.write_bytes(last.read_bytes()[:end])
    problem = verify(log).problem
    assert problem is not None
    assert (problem.file, problem.offset) == (last.name, end)
    with pytest.raises(Tampered, match="checkpoint"):
        FileAuditLog(log)


def test_a_tail_cut_within_a_covered_record_is_not_taken_for_a_crash(
    log: Path,
) -> None:
    last = segments(log)[-1]
    size = last.stat().st_size - 1
    last.write_bytes(last.read_bytes()[:size])
    assert verify(log).problem is not None
    with pytest.raises(Tampered, match="checkpoint"):
        FileAuditLog(log)
    assert last.stat().st_size == size


def test_a_whole_segment_taken_away_is_missed(log: Path) -> None:
    for victim in (segments(log)[-1], segments(log)[0]):
        content = victim.read_bytes()
        victim.unlink()
        assert verify(log).problem is not None
        with pytest.raises(Tampered):
            FileAuditLog(log)
        victim.write_bytes(content)
    assert verify(log).problem is None


def test_all_segments_taken_away_is_no_new_log(log: Path) -> None:
    for path in segments(log):
        path.unlink()
    assert verify(log).problem is not None
    with pytest.raises(Tampered):
        FileAuditLog(log)


def test_a_log_rewritten_does_not_fit_the_checkpoint(
    log: Path, tmp_path: Path, record: MakeRecord, signing: CheckpointSigning
) -> None:
    forged = tmp_path / "forged"
    with FileAuditLog(forged, segment_bytes=450, signing=signing) as forging:
        for n in range(RECORDS):
            forging.append(record(f"request-{n}", n % 3, operator="someone else"))
    shutil.copy(log / "public" / "checkpoint", forged / "public" / "checkpoint")
    problem = verify(forged).problem
    assert problem is not None
    assert problem.file == "public/checkpoint"
    with pytest.raises(Tampered, match="checkpoint"):
        FileAuditLog(forged, signing=signing)


def test_a_log_whose_checkpoint_was_taken_away_does_not_start(
    log: Path, signing: CheckpointSigning
) -> None:
    (log / "public" / "checkpoint").unlink()
    assert verify(log).problem is not None
    with pytest.raises(Tampered, match="no checkpoint"):
        FileAuditLog(log, signing=signing)


def test_a_whole_log_verifies_with_its_key(log: Path, public_key: Path) -> None:
    code, report = cli(log, "--public-key", public_key)
    assert code == 0
    assert report["records"] == report["size"] == RECORDS
    assert report["entries"] == sum(n % 3 for n in range(RECORDS))
    assert report["checkpoint"] == CheckpointStatus.VERIFIED
    assert report["problem"] is None


def test_every_line_of_the_checkpoint_is_under_its_signature(log: Path, public_key: Path) -> None:
    path = log / "public" / "checkpoint"
    note = path.read_text()
    origin, size, root, *_ = note.split("\n")
    for line, other in ((origin, "other.example/audit"), (size, "7"), (root, "A" * 43 + "=")):
        path.write_text(note.replace(f"{line}\n", f"{other}\n", 1))
        code, report = cli(log, "--public-key", public_key)
        assert code == 1
        assert report["problem"]["file"] == "public/checkpoint"


def test_a_checkpoint_of_another_key_is_not_good(log: Path, public_key: Path) -> None:
    path = log / "public" / "checkpoint"
    checkpoint = SignedCheckpoint.parse(path.read_text()).checkpoint
    other = signing_with(ec.generate_private_key(ec.SECP256R1()))
    path.write_text(other.sign(checkpoint.size, checkpoint.root, other.key()).note)
    code, report = cli(log, "--public-key", public_key)
    assert code == 1
    assert "not signed by a key of the log" in report["problem"]["what"]
    assert cli(log)[0] == 0, "without a key nobody can tell"


def test_without_a_checkpoint_a_key_does_not_verify_anything(
    tmp_path: Path, record: MakeRecord, public_key: Path
) -> None:
    with FileAuditLog(tmp_path / "log") as log:
        log.append(record())
    assert cli(tmp_path / "log", "--public-key", public_key)[0] == 1
    code, report = cli(tmp_path / "log")
    assert (code, report["checkpoint"]) == (0, CheckpointStatus.ABSENT)


def test_a_checkpoint_that_cannot_be_read_is_named(log: Path) -> None:
    (log / "public" / "checkpoint").write_text("{}")
    code, report = cli(log)
    assert code == 1
    assert report["problem"]["file"] == "public/checkpoint"
    assert report["problem"]["what"] == "the checkpoint cannot be read"


def test_the_command_shows_what_it_found_and_ends_with_one_when_wrong(log: Path) -> None:
    whole = CliRunner().invoke(app, ["verify", str(log)])
    assert whole.exit_code == 0
    assert "nothing is wrong" in whole.output
    first = segments(log)[0]
    last_frame = frame_ends(first)[-2]
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    wrong = CliRunner().invoke(app, ["verify", str(log)])
    assert wrong.exit_code == 1
    assert f"WRONG {first.name} at byte {last_frame}" in wrong.output


def test_a_key_that_cannot_be_read_ends_with_two(log: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no key")
    for key in (tmp_path / "no.pem", tmp_path / "nothing.pem"):
        result = CliRunner().invoke(app, ["verify", str(log), "--public-key", str(key)])
        assert result.exit_code == 2


def test_help_has_examples() -> None:
    result = CliRunner().invoke(app, ["verify", "--help"])
    assert result.exit_code == 0
    assert "juki audit verify /var/lib/juki/audit" in result.output

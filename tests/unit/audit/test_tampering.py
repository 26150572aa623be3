"""Whatever byte is altered or cut off is found; what a crash leaves unfinished is mended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from juki.audit.cli import app
from juki.audit.head import HEAD_FILE, HeadSigning
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.segment import HEADER_BYTES, Tampered, read_frames, read_header, segments
from juki.audit.verify import HeadStatus, verify
from juki.domain.errors import Reason

MakeRecord = Callable[..., AuditRecord]


@pytest.fixture(scope="session")
def original(
    tmp_path_factory: pytest.TempPathFactory, record: MakeRecord, head_signing: HeadSigning
) -> Path:
    """A log of several segments under a signed head; tests alter copies of it."""
    directory = tmp_path_factory.mktemp("audit") / "log"
    with FileAuditLog(directory, segment_bytes=450, head_signing=head_signing) as log:
        for n in range(8):
            log.append(record(f"request-{n}", n % 3))
    assert len(segments(directory)) >= 3
    assert segments(directory)[-1].stat().st_size > HEADER_BYTES
    return directory


@pytest.fixture
def log(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "log"))


@pytest.fixture(scope="session")
def public_key(
    tmp_path_factory: pytest.TempPathFactory, head_key: ec.EllipticCurvePrivateKey
) -> Path:
    path = tmp_path_factory.mktemp("key") / "head.pem"
    path.write_bytes(
        head_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def frame_ends(path: Path) -> list[int]:
    with path.open("rb") as file:
        _, chain_hash = read_header(path, file)
        return [HEADER_BYTES, *(frame.end for frame in read_frames(path, file, chain_hash))]


def cli(log: Path, *options: str | Path) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, ["verify", str(log), "--json", *map(str, options)])
    return result.exit_code, json.loads(result.stdout)


@given(data=st.data())
def test_any_flipped_bit_is_found_and_its_file_named(
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


def test_records_cut_off_behind_the_signed_head_are_missed(log: Path) -> None:
    last = segments(log)[-1]
    end = frame_ends(last)[-2]
    last.write_bytes(last.read_bytes()[:end])
    problem = verify(log).problem
    assert problem is not None
    assert (problem.file, problem.offset) == (last.name, end)
    with pytest.raises(Tampered, match="signed head"):
        FileAuditLog(log)


def test_a_tail_cut_within_a_record_of_the_signed_head_is_not_taken_for_a_crash(log: Path) -> None:
    last = segments(log)[-1]
    size = last.stat().st_size - 1
    last.write_bytes(last.read_bytes()[:size])
    assert verify(log).problem is not None
    with pytest.raises(Tampered, match="signed head"):
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


def test_a_log_rewritten_with_a_good_chain_does_not_fit_the_head(
    log: Path, tmp_path: Path, record: MakeRecord
) -> None:
    with FileAuditLog(tmp_path / "forged", segment_bytes=450) as forged:
        for n in range(8):
            forged.append(record(f"request-{n}", n % 3, operator="someone else"))
    shutil.copy(log / HEAD_FILE, tmp_path / "forged" / HEAD_FILE)
    problem = verify(tmp_path / "forged").problem
    assert problem is not None
    assert "signed head" in problem.what
    with pytest.raises(Tampered, match="signed head"):
        FileAuditLog(tmp_path / "forged")


def test_a_whole_log_verifies_with_its_key(log: Path, public_key: Path) -> None:
    code, report = cli(log, "--public-key", public_key)
    assert code == 0
    assert report["records"] == 8
    assert report["entries"] == sum(n % 3 for n in range(8))
    assert report["head"] == HeadStatus.VERIFIED
    assert report["problem"] is None


@pytest.mark.parametrize("name", ["sequence", "chain_hash", "time_unix_nanos", "key_id"])
def test_every_part_of_the_head_is_under_its_signature(
    log: Path, public_key: Path, name: str
) -> None:
    head = json.loads((log / HEAD_FILE).read_text())
    head[name] = {
        "sequence": 1,
        "chain_hash": "00" * 32,
        "time_unix_nanos": 1,
        "key_id": "another",
    }[name]
    (log / HEAD_FILE).write_text(json.dumps(head))
    code, report = cli(log, "--public-key", public_key)
    assert code == 1
    assert report["problem"] == {
        "file": HEAD_FILE,
        "offset": 0,
        "what": "the signature of the head does not match",
    }


def test_without_a_head_a_key_does_not_verify_anything(log: Path, public_key: Path) -> None:
    (log / HEAD_FILE).unlink()
    assert cli(log, "--public-key", public_key)[0] == 1
    assert cli(log)[0] == 0


def test_a_head_that_cannot_be_read_is_named(log: Path) -> None:
    (log / HEAD_FILE).write_text("{}")
    code, report = cli(log)
    assert code == 1
    assert report["problem"] == {
        "file": HEAD_FILE,
        "offset": 0,
        "what": "the signed head cannot be read",
    }


def test_the_command_shows_what_it_found_and_ends_with_one_when_wrong(log: Path) -> None:
    whole = CliRunner().invoke(app, ["verify", str(log)])
    assert whole.exit_code == 0
    assert "nothing is wrong" in whole.output
    first = segments(log)[0]
    last_frame = frame_ends(first)[-2]
    first.write_bytes(first.read_bytes()[:-1] + b"\x00")
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

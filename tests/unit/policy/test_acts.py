"""Who may ask is decided by administrative acts, signed by officers, four eyes where it gives."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.segment import read_frames, read_header, segments
from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import AffairReference, Decision, Field, LegalBasis, SearchKey, Tier
from juki.policy.acts.auditing import Comparison, compare
from juki.policy.acts.dates import JST
from juki.policy.acts.files import act_file, list_proposals, read_acts, read_proposal
from juki.policy.acts.replay import History
from juki.policy.acts.running import ActRegister
from juki.policy.acts.signing import accept
from juki.policy.acts.wire import decode_act, digest
from juki.v1 import acts_pb2 as pb
from juki.v1 import audit_pb2
from tests.acts_fixtures import (
    PENSION,
    ROW,
    TAX,
    Office,
    body,
    day,
    grant,
    revoke,
    terms,
    withdraw,
)

NUMBER = (audit_pb2.AUDIT_SEARCH_KEY_INDIVIDUAL_NUMBER, audit_pb2.AUDIT_SEARCH_KEY_FOUR_ITEMS)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@pytest.fixture
def audit(office: Office) -> Iterator[FileAuditLog]:
    with FileAuditLog(office.audit_directory) as log:
        yield log


@pytest.fixture
def register(office: Office, audit: FileAuditLog) -> ActRegister:
    """A running register with the pension office and its grant in act 1."""
    office.propose(body(), grant())
    office.approve()
    return office.open(audit)


def ask(
    register: ActRegister,
    office: Office,
    identity: str = PENSION,
    row: str = ROW,
    at: datetime.datetime | None = None,
) -> Decision:
    return register.policy.decide(
        identity,
        LegalBasis.of_row(AffairReference.parse(row)),
        frozenset({Field.NAME, Field.ADDRESS}),
        SearchKey.FOUR_ITEMS,
        Tier.NATIONAL,
        at=office.nanos if at is None else int(at.timestamp()) * 1_000_000_000,
    )


def refused(
    register: ActRegister,
    office: Office,
    identity: str = PENSION,
    row: str = ROW,
    at: datetime.datetime | None = None,
) -> Reason:
    with pytest.raises(JukiError) as refusal:
        ask(register, office, identity, row, at)
    return refusal.value.reason


def records(office: Office) -> list[AuditRecord]:
    found = []
    for path in segments(office.audit_directory):
        with path.open("rb") as file:
            read_header(path, file)
            found += [decode(frame.record) for frame in read_frames(path, file)]
    return found


def test_a_grant_proposed_by_one_officer_and_approved_by_another_counts(
    register: ActRegister, office: Office
) -> None:
    assert ask(register, office).granted == {Field.NAME, Field.ADDRESS}
    assert list_proposals(office.directory) == []


def test_an_empty_set_of_acts_refuses_to_start(office: Office, audit: FileAuditLog) -> None:
    with pytest.raises(JukiError, match="an empty register refuses to start"):
        office.open(audit)


def test_a_grant_signed_by_one_officer_only_waits(register: ActRegister, office: Office) -> None:
    office.propose(grant(row="1:74"))
    assert register.take_in() == 0
    assert refused(register, office, row="1:74") is Reason.AFFAIR_NOT_GRANTED
    office.approve()
    assert register.take_in() == 1
    ask(register, office, row="1:74")


def test_the_same_officer_twice_is_one_pair_of_eyes(office: Office) -> None:
    office.propose(body(), grant())
    with pytest.raises(JukiError) as refusal:
        office.approve(by="sato")
    assert refusal.value.reason is Reason.FOUR_EYES_REQUIRED


def test_a_second_signature_of_the_same_officer_put_into_the_file_is_refused(
    register: ActRegister, office: Office
) -> None:
    from juki.policy.acts.files import write_proposal
    from juki.policy.acts.proposing import officer_of
    from juki.policy.acts.signing import sign_act, with_signatures

    path = office.propose(grant(row="1:74"))
    signed = read_proposal(path).signed
    sato = office.signers["sato"]
    again = sign_act(signed.act, officer_of(sato), pb.OFFICER_PART_APPROVES, sato, office.nanos)
    write_proposal(office.directory, with_signatures(signed.act, [*signed.signatures, again]))
    assert register.take_in() == 0
    assert refused(register, office, row="1:74") is Reason.AFFAIR_NOT_GRANTED


def test_one_officer_may_take_away(register: ActRegister, office: Office) -> None:
    office.propose(grant(row="1:74"))
    office.approve()
    register.take_in()
    office.propose(revoke())
    assert register.take_in() == 1
    assert refused(register, office) is Reason.AFFAIR_NOT_GRANTED
    ask(register, office, row="1:74")


def test_taking_away_and_giving_in_one_act_needs_two(register: ActRegister, office: Office) -> None:
    office.propose(revoke(), grant(row="1:74"))
    assert register.take_in() == 0
    ask(register, office)
    office.approve()
    assert register.take_in() == 1
    assert refused(register, office) is Reason.AFFAIR_NOT_GRANTED


def test_the_last_body_is_withdrawn_and_every_call_is_refused(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    office.propose(withdraw())
    assert register.take_in() == 1
    assert refused(register, office) is Reason.AGENCY_NOT_REGISTERED
    with pytest.raises(JukiError, match="refuses to start"):
        office.open(audit)


def test_a_certified_stranger_to_the_list_signs_nothing(
    register: ActRegister, office: Office
) -> None:
    office.propose(revoke(), by="stranger")
    assert register.take_in() == 0
    ask(register, office)


def test_what_is_granted_may_be_narrowed_by_one_and_widened_by_two_only(
    register: ActRegister, office: Office
) -> None:
    def narrow(of: pb.GrantTerms) -> pb.ActDisposition:
        basis = pb.GrantBasis(table_row=ROW)
        return pb.ActDisposition(narrow_grant=pb.NarrowGrant(body=PENSION, basis=basis, terms=of))

    with pytest.raises(JukiError, match="wider than the grant"):
        office.propose(narrow(terms(NUMBER, number_use_item="46")))
    office.propose(narrow(terms(fields=[Field.NAME])))
    assert register.take_in() == 1
    assert ask(register, office).granted == {Field.NAME}
    with pytest.raises(JukiError, match="wider than the grant"):
        office.propose(narrow(terms()))


def test_a_grant_ends_at_midnight_in_japan(register: ActRegister, office: Office) -> None:
    last_day = day(office.now, 3)
    office.propose(grant(row="1:74"), last_day=last_day)
    office.approve()
    assert register.take_in() == 1
    end = datetime.datetime.fromisoformat(f"{last_day}T23:59:59+09:00")
    ask(register, office, row="1:74", at=end)
    after = end + datetime.timedelta(seconds=1)
    assert refused(register, office, row="1:74", at=after) is Reason.AFFAIR_NOT_GRANTED
    assert after.astimezone(JST).hour == 0


def test_a_grant_comes_into_force_at_midnight_in_japan(
    register: ActRegister, office: Office
) -> None:
    first = day(office.now, 2)
    office.propose(grant(row="1:74"), in_force_from=first)
    office.approve()
    assert register.take_in() == 1
    begin = datetime.datetime.fromisoformat(f"{first}T00:00:00+09:00")
    before = begin - datetime.timedelta(seconds=1)
    assert refused(register, office, row="1:74", at=before) is Reason.AFFAIR_NOT_GRANTED
    ask(register, office, row="1:74", at=begin)


def test_what_the_law_does_not_allow_is_not_accepted(register: ActRegister, office: Office) -> None:
    office.propose(grant(row="5:1"))
    office.approve()
    assert register.take_in() == 0
    assert len(read_acts(office.directory)) == 1


def test_the_act_stands_in_the_audit_log_before_it_counts(
    register: ActRegister, office: Office
) -> None:
    ((path, _),) = read_acts(office.directory)
    (found,) = office.history().acts
    (record,) = records(office)
    assert record.act_digest == found.act_digest == digest(found.signed.act)
    assert record.operator.endswith("/officer/suzuki")
    assert record.request_id == "request-1"
    assert path.name == "00000001.act"


def test_an_act_that_cannot_be_recorded_does_not_count(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    office.propose(revoke())
    audit.close()
    with pytest.raises(JukiError) as failure:
        register.take_in()
    assert failure.value.reason is Reason.AUDIT_UNAVAILABLE
    ask(register, office)
    assert len(read_acts(office.directory)) == 1


def test_of_two_proposals_for_one_place_the_second_is_overtaken(
    register: ActRegister, office: Office
) -> None:
    office.propose(grant(row="1:74"))
    office.propose(revoke())
    assert register.take_in() == 1
    office.approve()
    assert register.take_in() == 0
    assert len(read_acts(office.directory)) == 2
    # A body that is left without a grant is one that may ask nothing at all.
    assert refused(register, office, row="1:74") is Reason.AGENCY_NOT_REGISTERED


def test_a_start_replays_the_same_register(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    office.propose(body(TAX, "税"), grant(TAX, "1:74"))
    office.approve()
    register.take_in()
    again = office.open(audit)
    assert again.policy.registry == register.policy.registry
    ask(again, office, TAX, "1:74")


def second_act(register: ActRegister, office: Office) -> None:
    office.propose(body(TAX, "税"), grant(TAX, "1:74"))
    office.approve()
    assert register.take_in() == 1


def start_refused(office: Office, audit: FileAuditLog) -> JukiError:
    with pytest.raises(JukiError) as refusal:
        office.open(audit)
    return refusal.value


def test_an_act_out_of_order_refuses_the_start(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    second_act(register, office)
    first, second = act_file(office.directory, 1), act_file(office.directory, 2)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    refusal = start_refused(office, audit)
    assert refusal.reason is Reason.SEQUENCE_GAP
    assert "00000001.act" in refusal.message


def test_another_past_under_an_act_refuses_the_start(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    """Also one of which each act is rightly signed, by the officers and by the server."""
    path = office.propose(body(), grant(row="1:41"), history=History())
    office.approve()
    other_first = accept(read_proposal(path).signed, office.server, office.nanos)
    path.unlink()
    second_act(register, office)
    act_file(office.directory, 1).write_bytes(other_first)
    refusal = start_refused(office, audit)
    assert refusal.reason is Reason.PREDECESSOR_MISMATCH
    assert "act 2 (00000002.act)" in refusal.message


def test_an_act_taken_out_refuses_the_start(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    second_act(register, office)
    act_file(office.directory, 1).unlink()
    refusal = start_refused(office, audit)
    assert refusal.reason is Reason.TAMPERING_DETECTED
    assert "00000002.act stands where 00000001.act belongs" in refusal.message


def test_an_act_of_another_register_refuses_the_start(
    register: ActRegister, office: Office, audit: FileAuditLog, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    (tmp_path / "other").mkdir()
    other = Office(tmp_path / "other")
    other.propose(body(), grant())
    other.approve()
    with FileAuditLog(other.audit_directory) as log:
        other.open(log)
    shutil.copy(act_file(other.directory, 1), act_file(office.directory, 1))
    assert start_refused(office, audit).reason is Reason.UNKNOWN_SIGNING_KEY


def test_a_single_signed_grant_accepted_by_the_servers_own_key_refuses_the_start(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    """Whoever holds the server cannot grant by itself."""
    path = office.propose(grant(row="1:74"))
    forged = accept(read_proposal(path).signed, office.server, office.nanos)
    act_file(office.directory, 2).write_bytes(forged)
    refusal = start_refused(office, audit)
    assert refusal.reason is Reason.FOUR_EYES_REQUIRED
    assert "act 2 (00000002.act)" in refusal.message


def test_an_act_altered_after_it_was_signed_refuses_the_start(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    path = office.propose(grant(row="1:74"))
    office.approve()
    signed = read_proposal(path).signed
    act = decode_act(signed)
    act.dispositions[0].grant_affair.basis.table_row = "1:41"
    signed.act = act.SerializeToString(deterministic=True)
    forged = accept(signed, office.server, office.nanos)
    act_file(office.directory, 2).write_bytes(forged)
    assert start_refused(office, audit).reason is Reason.SIGNATURE_INVALID


def test_a_revoked_officers_later_acts_are_refused_and_the_earlier_ones_stay(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    office.revoked.when[office.facts("sato")] = office.now
    office.now += datetime.timedelta(hours=1)
    office.propose(revoke())
    assert register.take_in() == 0
    ask(office.open(audit), office)
    forged = accept(
        read_proposal(list_proposals(office.directory)[0]).signed, office.server, office.nanos
    )
    act_file(office.directory, 2).write_bytes(forged)
    assert start_refused(office, audit).reason is Reason.SIGNER_REVOKED


def test_after_the_last_day_of_an_appointment_nothing_is_signed_any_more(
    register: ActRegister, office: Office, audit: FileAuditLog
) -> None:
    office.list_officers(sato=day(office.now))
    ask(office.open(audit), office)
    office.now += datetime.timedelta(days=1)
    office.propose(revoke())
    assert register.take_in() == 0
    office.list_officers()
    assert register.take_in() == 1


def test_an_officers_list_without_officers_is_refused(office: Office, tmp_path: Path) -> None:
    from juki.policy.acts.officers import load_officers

    (tmp_path / "nobody.toml").write_text("officer = []\n")
    with pytest.raises(JukiError, match=r"nobody\.toml"):
        load_officers(tmp_path / "nobody.toml")


def test_one_key_under_two_identities_is_refused(office: Office, tmp_path: Path) -> None:
    from juki.policy.acts.officers import load_officers

    text = office.officers_file.read_text().replace("suzuki.pem", "sato.pem")
    office.officers_file.write_text(text)
    with pytest.raises(JukiError, match="has a key of"):
        load_officers(office.officers_file)


def test_once_an_operator_is_registered_only_registered_ones_ask(
    register: ActRegister, office: Office
) -> None:
    register.admit(PENSION, "any office", "anybody")
    operator = pb.RegisterOperator(body=PENSION, operator="n-0001", office="審査課")
    office.propose(
        pb.ActDisposition(register_department=pb.RegisterDepartment(body=PENSION, office="審査課")),
        pb.ActDisposition(register_operator=operator),
    )
    office.approve()
    assert register.take_in() == 1
    register.admit(PENSION, "審査課", "n-0001")
    for desk, asker in (("審査課", "n-0002"), ("他課", "n-0001")):
        with pytest.raises(JukiError) as refusal:
            register.admit(PENSION, desk, asker)
        assert refusal.value.reason is Reason.OPERATOR_NOT_REGISTERED
    office.propose(
        pb.ActDisposition(withdraw_operator=pb.WithdrawOperator(body=PENSION, operator="n-0001"))
    )
    assert register.take_in() == 1
    with pytest.raises(JukiError):
        register.admit(PENSION, "審査課", "n-0001")


def test_acts_taken_away_at_the_end_are_missed_by_the_audit_log(
    register: ActRegister, office: Office
) -> None:
    office.propose(revoke())
    assert register.take_in() == 1
    assert compare(office.audit_directory, office.history(), set()) == Comparison((), ())
    last = act_file(office.directory, 2)
    content = last.read_bytes()
    gone = office.history().acts[1].act_digest
    last.unlink()
    assert compare(office.audit_directory, office.history(), set()).gone == (gone.hex(),)
    # One that a crash left behind is a proposal still.
    assert compare(office.audit_directory, office.history(), {gone}) == Comparison((), ())
    last.write_bytes(content)


def test_an_act_put_into_the_register_by_hand_has_no_record(
    register: ActRegister, office: Office
) -> None:
    path = office.propose(revoke())
    by_hand = accept(read_proposal(path).signed, office.server, office.nanos)
    act_file(office.directory, 2).write_bytes(by_hand)
    put_in = office.history().acts[1].act_digest
    found = compare(office.audit_directory, office.history(), set())
    assert found == Comparison((), (put_in.hex(),))

"""What the nation gave out is numbered, signed, and taken back where its database lost it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import delete

from juki.custody.verify import fingerprint
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.envelope import grant_digest
from juki.domain.errors import JukiError, Reason
from juki.rpc.names import national_identity
from juki.v1 import codes_pb2
from national_server import tables as t
from national_server.confirmations import Confirmations
from national_server.grants import GrantBook, Serial
from tests.register_fixtures import DOMAIN, Nation, identity_of

HERE, THERE = "221309", "131016"
LOST = (t.allotment, t.allotted_code, t.individual_number, t.number_remake, t.remake_request)


def value(registry: CollectorRegistry, sample: str) -> float:
    return registry.get_sample_value(sample) or 0.0


class Granting:
    """Gives codes and numbers out as the code service does, and keeps the grants."""

    def __init__(self, nation: Nation) -> None:
        self.nation = nation
        self.registry = CollectorRegistry()
        self.book = GrantBook(
            engine=nation.engine,
            sealer=nation.sealer,
            custody=nation.custody,
            signers=nation.signers,
            identity=national_identity(DOMAIN),
            registry=self.registry,
        )
        self.grants: list[codes_pb2.SignedGrant] = []

    def allot(self, municipality: str, request_id: str, count: int) -> list[ResidentRecordCode]:
        serial = Serial(municipality[:2])
        codes = self.nation.pool.allot(municipality, request_id, count, serial.take)
        self.grants.append(
            self.book.signed(serial, municipality, request_id=request_id, codes=codes)
        )
        return codes

    def number(self, municipality: str, code: ResidentRecordCode) -> IndividualNumber:
        serial = Serial(municipality[:2])
        (number,) = self.nation.numbers.make(municipality, [code], serial.take)
        self.grants.append(self.book.signed(serial, municipality, numbers={code: number}))
        return number

    def remake(
        self, municipality: str, code: ResidentRecordCode, former: IndividualNumber
    ) -> IndividualNumber:
        serial = Serial(municipality[:2])
        number = self.nation.numbers.remake(municipality, "remake", code, former, serial.take)
        self.grants.append(
            self.book.signed(
                serial, municipality, request_id="remake", numbers={code: number}, former=former
            )
        )
        return number

    def lose_everything(self) -> None:
        """What a restore from a backup of before the first grant does."""
        self.nation.tampered_with = True
        with self.nation.engine.begin() as connection:
            for table in (*LOST, t.grant_serial):
                connection.execute(delete(table))

    def take_back(self, prefecture: str = "22") -> None:
        self.book.take_back(prefecture, self.grants, self.book.certificates)


@pytest.fixture
def granting(nation: Nation) -> Granting:
    return Granting(nation)


def test_grants_are_counted_for_each_prefecture_without_a_gap(granting: Granting) -> None:
    for municipality in (HERE, THERE, HERE):
        granting.allot(municipality, f"request-{len(granting.grants)}", 3)
    serials = [codes_pb2.Grant.FromString(one.grant).serial for one in granting.grants]
    assert serials == [1, 1, 2]
    assert (granting.book.highest("22"), granting.book.highest("13")) == (2, 1)


def test_codes_and_numbers_that_were_lost_are_given_again_and_to_nobody_else(
    granting: Granting,
) -> None:
    nation = granting.nation
    codes = granting.allot(HERE, "request", 20)
    first = granting.number(HERE, codes[0])
    second = granting.remake(HERE, codes[0], first)
    granting.lose_everything()
    granting.take_back()
    assert granting.book.highest("22") == 3
    assert nation.pool.allot(HERE, "request", 20) == codes
    assert not set(nation.pool.allot(THERE, "request", 50)) & set(codes)
    assert nation.numbers.make(HERE, [codes[0]]) == [second]
    assert nation.numbers.remake(HERE, "again", codes[0], first) == second
    assert value(granting.registry, "juki_grants_restored_total") == 3
    assert value(granting.registry, "juki_grants_conflicting_total") == 0


def test_what_is_known_is_not_taken_back_twice(granting: Granting) -> None:
    granting.number(HERE, granting.allot(HERE, "request", 2)[0])
    granting.take_back()
    assert value(granting.registry, "juki_grants_restored_total") == 0


def test_a_code_that_was_allotted_to_another_since_stays_theirs_and_is_counted(
    granting: Granting,
) -> None:
    nation = granting.nation
    code = granting.allot(HERE, "request", 1)[0]
    granting.lose_everything()
    with nation.engine.begin() as connection:
        blind = nation.sealer.blind("code", code.digits)
        connection.execute(t.allotted_code.insert().values(code_blind=blind, municipality=THERE))
    granting.take_back()
    assert value(granting.registry, "juki_grants_conflicting_total") == 1
    with pytest.raises(JukiError) as refused:
        nation.numbers.make(HERE, [code])
    assert refused.value.reason is Reason.CODE_NOT_ALLOTTED


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ("content", Reason.SIGNATURE_INVALID),
        ("signer", Reason.SIGNER_MISMATCH),
        ("prefecture", Reason.INVALID_FIELD),
    ],
)
def test_a_grant_that_the_nation_did_not_give_this_prefecture_changes_nothing(
    granting: Granting, forged: str, reason: Reason
) -> None:
    granting.allot(HERE, "request", 2)
    granting.lose_everything()
    (grant,) = granting.grants
    certificates = list(granting.book.certificates)
    if forged == "content":
        other = codes_pb2.Grant.FromString(grant.grant)
        other.serial = 7
        grant.grant = other.SerializeToString()
    if forged == "signer":
        gateway = granting.nation.hosts.custody(identity_of(HERE))
        stream = granting.nation.stream(HERE)
        grant.signature = gateway.sign("signing", [grant_digest(grant.grant)])[0]
        grant.key_id = fingerprint(stream.certificates[0])
        certificates = list(stream.certificates)
    with pytest.raises(JukiError) as refused:
        granting.book.take_back(
            "13" if forged == "prefecture" else "22", granting.grants, certificates
        )
    assert refused.value.reason is reason
    assert granting.book.highest("22") == granting.book.highest("13") == 0


def test_nobody_is_given_anything_before_having_said_what_it_holds(granting: Granting) -> None:
    granting.allot(HERE, "request", 1)
    granting.allot(THERE, "request", 1)
    confirmations = Confirmations(granting.nation.engine, CollectorRegistry())
    for prefecture in ("22", "13"):
        with pytest.raises(JukiError) as refused:
            confirmations.require(prefecture)
        assert refused.value.reason is Reason.GRANTS_NOT_CONFIRMED
    confirmations.confirmed("22")
    confirmations.require("22")
    with pytest.raises(JukiError):
        confirmations.require_everyone()
    confirmations.confirmed("13")
    confirmations.require_everyone()


def test_where_grants_were_lost_everyone_waits_for_everyone(granting: Granting) -> None:
    granting.allot(HERE, "request", 1)
    granting.allot(THERE, "request", 1)
    confirmations = Confirmations(granting.nation.engine, CollectorRegistry())
    confirmations.lost("01")
    confirmations.confirmed("22")
    confirmations.confirmed("13")
    assert confirmations.awaited_for_intake() == 1
    with pytest.raises(JukiError):
        confirmations.require("22")
    confirmations.confirmed("01")
    for prefecture in ("22", "13", "01"):
        confirmations.require(prefecture)

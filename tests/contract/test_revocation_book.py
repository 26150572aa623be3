"""A server's book of revocation lists, on either database: what it takes in, whom it refuses."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine

from juki.custody.port import SERVER_ISSUER, SIGNING, TLS_CLIENT
from juki.domain.errors import JukiError, Reason
from juki.revocation.book import RevocationBook
from juki.revocation.lists import facts_of_der
from juki.revocation.service import RevocationServicer
from juki.revocation.spreading import ListExchange
from juki.v1 import revocation_pb2
from tests.register_fixtures import Hosts, identity_of
from tests.revocation_fixtures import MemoryDesk, SetClock

HERE = "221309"


class Setting:
    """A nation's book, and the desks of two prefectures."""

    def __init__(self, engine: Engine, hosts: Hosts, directory: Path) -> None:
        self.engine = engine
        self.hosts = hosts
        self.clock = SetClock()
        network = hosts.network
        self.here = MemoryDesk(network, "pref22", directory / "pref22", self.clock)
        self.elsewhere = MemoryDesk(network, "pref13", directory / "pref13", self.clock)
        self.gateway = facts_of_der(hosts.custody(identity_of(HERE)).certificate_chain(SIGNING)[0])
        self.identity = identity_of(HERE)
        self.start_again()

    def start_again(self) -> None:
        self.book = RevocationBook(self.engine, self.hosts.roots_der, self.clock)
        self.book.load()

    def check(self, *, must_be_fresh: bool = True) -> Reason | None:
        """Why the gateway is refused."""
        try:
            self.book.refuse_revoked(self.gateway, self.identity, must_be_fresh=must_be_fresh)
        except JukiError as error:
            return error.reason
        return None

    def take(self, signed: revocation_pb2.SignedRevocationList) -> bool | Reason:
        try:
            return self.book.accept(signed)
        except JukiError as error:
            return error.reason


@pytest.fixture
def setting(engine: Engine, hosts: Hosts, tmp_path: Path) -> Setting:
    return Setting(engine, hosts, tmp_path)


def test_nobody_is_served_before_a_list_of_their_authority_is_here(setting: Setting) -> None:
    assert setting.check() is Reason.CRL_UNKNOWN
    # But for the one call that brings it.
    assert setting.check(must_be_fresh=False) is None
    assert setting.take(setting.elsewhere.current()) is True
    assert setting.check() is Reason.CRL_UNKNOWN
    assert setting.take(setting.here.current()) is True
    assert setting.check() is None


def test_a_list_speaks_only_of_identities_that_its_authority_may_name(setting: Setting) -> None:
    setting.take(setting.here.current())
    foreign = "spiffe://pref13.juki.example/server"
    with pytest.raises(JukiError) as refused:
        setting.book.refuse_revoked(setting.gateway, foreign)
    assert refused.value.reason is Reason.CRL_UNKNOWN


def test_the_revoked_are_refused_everywhere_and_the_same_serial_of_another_authority_is_not(
    setting: Setting,
) -> None:
    setting.take(setting.elsewhere.revoke(setting.gateway.serial))
    setting.take(setting.here.current())
    assert setting.check() is None
    setting.take(setting.here.revoke(setting.gateway.serial))
    assert setting.check() is Reason.IDENTITY_REVOKED
    assert setting.check(must_be_fresh=False) is Reason.IDENTITY_REVOKED


def test_a_stale_list_refuses_everyone_under_its_authority_until_a_fresh_one_comes(
    setting: Setting,
) -> None:
    setting.take(setting.here.current())
    # A list's instants are whole seconds.
    setting.clock.advance(hours=24, seconds=-1)
    assert setting.check() is None
    setting.clock.advance(seconds=2)
    assert setting.check() is Reason.CRL_STALE
    assert setting.check(must_be_fresh=False) is None
    with pytest.raises(JukiError):
        setting.book.refuse_stale("pref22.juki.example")
    setting.take(setting.here.current())
    assert setting.check() is None
    setting.book.refuse_stale("pref22.juki.example")


def test_a_list_never_goes_back_not_even_after_a_restart(setting: Setting) -> None:
    old = setting.here.current()
    new = setting.here.revoke(setting.gateway.serial)
    assert setting.take(old) is True
    assert setting.take(new) is True
    assert setting.take(new) is False
    assert setting.take(old) is Reason.CRL_REFUSED
    setting.start_again()
    assert setting.check() is Reason.IDENTITY_REVOKED
    assert setting.take(old) is Reason.CRL_REFUSED
    assert setting.take(new) is False


def test_a_newer_list_that_forgets_a_revocation_is_refused(setting: Setting) -> None:
    backup = setting.here.record_file.read_bytes() if setting.here.record_file.exists() else b""
    setting.take(setting.here.revoke(setting.gateway.serial))
    setting.here.record_file.write_bytes(backup)
    setting.clock.advance(hours=2)
    setting.here.start_again()
    assert setting.take(setting.here.current()) is Reason.CRL_REFUSED
    assert setting.check() is Reason.IDENTITY_REVOKED
    # Revoked again on the restored record, lists are taken in again.
    assert setting.take(setting.here.revoke(setting.gateway.serial)) is True


def forged(
    setting: Setting,
    change: Callable[
        [x509.CertificateRevocationListBuilder], x509.CertificateRevocationListBuilder
    ] = lambda builder: builder,
    *,
    signer: MemoryDesk | None = None,
    named: MemoryDesk | None = None,
) -> revocation_pb2.SignedRevocationList:
    """A list made by hand, as a broken or hostile authority might."""
    desk = named or setting.here
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(desk.issuer.chain[0].subject)
        .last_update(setting.clock.now.replace(microsecond=0))
        .next_update(setting.clock.now.replace(microsecond=0) + datetime.timedelta(hours=1))
    )
    key = (signer or desk).issuer.key
    crl = change(builder).sign(key, hashes.SHA256())
    return revocation_pb2.SignedRevocationList(
        list=crl.public_bytes(Encoding.DER),
        certificates=[one.public_bytes(Encoding.DER) for one in desk.issuer.chain],
    )


def numbered(
    builder: x509.CertificateRevocationListBuilder,
) -> x509.CertificateRevocationListBuilder:
    return builder.add_extension(x509.CRLNumber(2**40), critical=False)


def test_lists_made_by_hand_are_taken_only_where_they_are_what_they_say(setting: Setting) -> None:
    refused = Reason.CRL_REFUSED
    assert setting.take(forged(setting)) is refused  # no number
    assert setting.take(forged(setting, numbered, signer=setting.elsewhere)) is refused
    delta = x509.DeltaCRLIndicator(1)
    assert (
        setting.take(forged(setting, lambda b: numbered(b).add_extension(delta, critical=True)))
        is refused
    )
    later = setting.clock.now.replace(microsecond=0) + datetime.timedelta(days=2)

    def of_the_future(
        builder: x509.CertificateRevocationListBuilder,
    ) -> x509.CertificateRevocationListBuilder:
        return numbered(
            x509.CertificateRevocationListBuilder()
            .issuer_name(setting.here.issuer.chain[0].subject)
            .last_update(later)
            .next_update(later + datetime.timedelta(hours=1))
        )

    assert setting.take(forged(setting, of_the_future)) is refused
    good = forged(setting, numbered)
    without_chain = revocation_pb2.SignedRevocationList(list=good.list)
    assert setting.take(without_chain) is refused
    changed = revocation_pb2.SignedRevocationList(
        list=good.list[:-1] + bytes([good.list[-1] ^ 1]), certificates=good.certificates
    )
    assert setting.take(changed) is refused
    assert setting.check() is Reason.CRL_UNKNOWN
    assert setting.take(good) is True


def test_no_certificate_but_an_issuing_authoritys_may_stand_behind_a_list(
    setting: Setting,
) -> None:
    """Not a client's, not a signer's, and not a server issuer's, although that one is a CA."""
    good = forged(setting, numbered)
    for label in (TLS_CLIENT, SIGNING, SERVER_ISSUER):
        chain = setting.hosts.custody(setting.identity).certificate_chain(label)
        one = revocation_pb2.SignedRevocationList(list=good.list, certificates=chain)
        assert setting.take(one) is Reason.CRL_REFUSED


class Above:
    """The tier above without the network between."""

    def __init__(self, book: RevocationBook, refused: list[Reason]) -> None:
        self._servicer = RevocationServicer(book, refused.append)
        self.calls = 0

    def ExchangeRevocationLists(  # noqa: N802 - the name of the contract
        self, request: revocation_pb2.ExchangeRevocationListsRequest, timeout: float
    ) -> revocation_pb2.ExchangeRevocationListsResponse:
        self.calls += 1
        return self._servicer.ExchangeRevocationLists(request, None)  # type: ignore[arg-type]


def test_an_exchange_leaves_both_sides_with_the_newest_of_either(setting: Setting) -> None:
    refused: list[Reason] = []
    below = RevocationBook(None, setting.hosts.roots_der, setting.clock)
    above = Above(setting.book, refused)
    exchange = ListExchange(above, below, refused.append)  # type: ignore[arg-type]
    old = setting.elsewhere.current()
    below.accept(setting.here.revoke(setting.gateway.serial))
    below.accept(old)
    setting.book.accept(setting.elsewhere.revoke(1))
    exchange.exchange()
    assert below.numbers() == setting.book.numbers()
    assert setting.check() is Reason.IDENTITY_REVOKED
    before = above.calls
    exchange.exchange()
    assert above.calls == before + 1
    assert refused == []


def test_a_list_that_the_tier_above_refuses_does_not_make_the_exchange_go_round_for_ever(
    setting: Setting,
) -> None:
    refused: list[Reason] = []
    setting.book.accept(setting.here.revoke(setting.gateway.serial))
    below = RevocationBook(None, setting.hosts.roots_der, setting.clock)
    below.accept(forged(setting, numbered))  # newer, and forgets a revocation
    above = Above(setting.book, refused)
    ListExchange(above, below, refused.append).exchange()  # type: ignore[arg-type]
    assert refused == [Reason.CRL_REFUSED]
    assert above.calls < 5
    assert setting.check() is Reason.IDENTITY_REVOKED

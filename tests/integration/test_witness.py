"""Tiers watch each other's logs over mutual TLS: no operator alone can rewrite history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from juki.audit.tree import leaf_hash
from juki.audit.witness.cosignature import CosigningKey, parse_line, witness_name
from juki.audit.witness.offering import BEFORE_FILE, COSIGNED_FILE, read_cosigned
from juki.audit.witness.running import log_origin, watched
from juki.domain.errors import JukiError, Reason
from juki.rpc.errors import details_of
from juki.v1 import witness_pb2 as pb
from tests.custody_fixtures import RunningCustody, TrustDomain, running_custody
from tests.witness_fixtures import NATION, PREFECTURE, Tier, TwoTiers, two_tiers


@pytest.fixture(scope="module")
def prefecture_custody(trust_domain: TrustDomain) -> Iterator[RunningCustody]:
    with running_custody(trust_domain.files("pref22")) as custody:
        yield custody


@pytest.fixture
def tiers(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    prefecture_custody: RunningCustody,
    tmp_path: Path,
) -> Iterator[TwoTiers]:
    with two_tiers(
        trust_domain, national_custody.client, prefecture_custody.client, tmp_path
    ) as both:
        yield both


def leaves(count: int, of: str = "honest") -> list[bytes]:
    return [f"{of} {number}".encode() for number in range(count)]


def cosigned_sizes(tier: Tier) -> list[tuple[int, list[str]]]:
    """Sizes of the checkpoints beside a log, and whose signatures are under each."""
    found = [
        read_cosigned(tier.log.directory / "public" / name) for name in (BEFORE_FILE, COSIGNED_FILE)
    ]
    return [
        (one.checkpoint.size, [line.name for line in one.signatures])
        for one in found
        if one is not None
    ]


def test_the_prefecture_cosigns_the_nations_log_as_it_grows(tiers: TwoTiers) -> None:
    assert not tiers.watcher.look()
    for size in (1, 5, 5, 200):
        tiers.nation.log.publish(leaves(size))
        assert tiers.watcher.look()
        assert tiers.prefecture.parts.witness.witnessed_size(watched(NATION)) == size
    both = [log_origin(NATION), witness_name(PREFECTURE)]
    assert cosigned_sizes(tiers.nation) == [(5, both), (200, both)]
    cosigned = read_cosigned(tiers.nation.log.directory / "public" / COSIGNED_FILE)
    assert cosigned is not None
    key = CosigningKey(witness_name(PREFECTURE), tiers.prefecture.parts.signer.key.public_key)
    assert key.verifies(cosigned.checkpoint.text, cosigned.signatures[-1])
    tiers.watcher.check()


def test_the_nation_cosigns_the_prefectures_log_as_it_grows(tiers: TwoTiers) -> None:
    assert not tiers.own_log.show()
    for size in (1, 5, 5, 200):
        tiers.prefecture.log.publish(leaves(size))
        assert tiers.own_log.show()
        assert tiers.nation.parts.witness.witnessed_size(watched(PREFECTURE)) == size
    both = [log_origin(PREFECTURE), witness_name(NATION)]
    assert cosigned_sizes(tiers.prefecture) == [(5, both), (200, both)]
    tiers.own_log.check()


DISHONEST = [
    (leaves(10, "rewritten"), Reason.LOG_REWRITTEN),
    (leaves(9), Reason.LOG_SHORTENED),
    (leaves(1), Reason.LOG_SHORTENED),
    ([b"forked", *leaves(19)], Reason.LOG_FORKED),
]


@pytest.mark.parametrize(("shown", "reason"), DISHONEST)
def test_a_nation_that_rewrites_its_log_under_its_own_key_is_caught(
    tiers: TwoTiers, shown: list[bytes], reason: Reason
) -> None:
    tiers.nation.log.publish(leaves(10))
    assert tiers.watcher.look()
    tiers.nation.log.publish(shown)
    with pytest.raises(JukiError) as refused:
        tiers.watcher.look()
    assert refused.value.reason is reason
    assert_alarmed(tiers.prefecture, reason)
    with pytest.raises(JukiError):
        tiers.watcher.check()
    assert cosigned_sizes(tiers.nation)[-1][0] == 10
    assert tiers.prefecture.parts.witness.witnessed_size(watched(NATION)) == 10


@pytest.mark.parametrize(("shown", "reason"), DISHONEST)
def test_a_prefecture_that_rewrites_its_log_under_its_own_key_is_caught(
    tiers: TwoTiers, shown: list[bytes], reason: Reason
) -> None:
    tiers.prefecture.log.publish(leaves(10))
    assert tiers.own_log.show()
    tiers.prefecture.log.publish(shown)
    with pytest.raises(JukiError) as refused:
        tiers.own_log.show()
    assert refused.value.reason is reason
    assert_alarmed(tiers.nation, reason)
    assert cosigned_sizes(tiers.prefecture)[-1][0] == 10
    assert tiers.nation.registry.get_sample_value("juki_witness_alarms_standing") == 1


def assert_alarmed(tier: Tier, reason: Reason) -> None:
    (evidence,) = tier.parts.records.alarms()
    assert evidence.read_text().startswith(reason.value)
    assert (
        tier.registry.get_sample_value("juki_witness_alarms_total", {"reason": reason.value}) == 1
    )


def test_a_log_whose_process_starts_again_is_told_what_the_witness_saw(tiers: TwoTiers) -> None:
    tiers.prefecture.log.publish(leaves(10))
    assert tiers.own_log.show()
    tiers.prefecture.log.publish(leaves(12))
    tiers.own_log._witnessed_size = 0  # as after a start
    assert tiers.own_log.show()
    assert tiers.nation.parts.witness.witnessed_size(watched(PREFECTURE)) == 12


def refused(call: object, request: object) -> Reason | None:
    assert callable(call)
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=30)
    return details_of(error.value).reason


def test_nobody_cosigns_in_anothers_name_or_shows_anothers_log(tiers: TwoTiers) -> None:
    nations = tiers.nation.log.publish(leaves(3))
    tiers.nation.offered.hold_out(0)
    line, chain = tiers.prefecture.parts.witness._cosigner.cosign(nations.checkpoint.text)
    request = pb.AddCosignatureRequest(
        size=3,
        root=nations.checkpoint.root,
        cosignature=line.line.replace("pref22", "pref13"),
        certificates=chain,
    )
    assert refused(tiers.stub.AddCosignature, request) is Reason.SIGNATURE_INVALID
    request.cosignature, request.certificates[:] = line.line, tiers.nation.parts.signer.key.chain
    assert refused(tiers.stub.AddCosignature, request) is Reason.SIGNER_MISMATCH
    request.certificates[:] = chain
    assert tiers.stub.AddCosignature(request, timeout=30).kept
    request.size = 4
    assert not tiers.stub.AddCosignature(request, timeout=30).kept
    shown = pb.AddCheckpointRequest(
        checkpoint=nations.note.encode(), certificates=tiers.nation.parts.signer.key.chain
    )
    assert refused(tiers.stub.AddCheckpoint, shown) is Reason.INVALID_FIELD


def test_tiles_and_entries_may_be_read_and_nothing_beyond_them(tiers: TwoTiers) -> None:
    tiers.nation.log.publish(leaves(200))
    tile = tiers.stub.GetTile(pb.GetTileRequest(level=0, index=0, width=150), timeout=30)
    entries = tiers.stub.GetEntryBundle(pb.GetEntryBundleRequest(index=0, width=150), timeout=30)
    assert list(entries.entries) == leaves(150)
    assert tile.hashes == b"".join(leaf_hash(leaf) for leaf in leaves(150))
    for beyond in (
        pb.GetTileRequest(level=0, index=0, width=201),
        pb.GetTileRequest(level=0, index=1, width=1),
        pb.GetTileRequest(level=1, index=0, width=1),
    ):
        assert refused(tiers.stub.GetTile, beyond) is Reason.INVALID_FIELD
    bundle = pb.GetEntryBundleRequest(index=1, width=1)
    assert refused(tiers.stub.GetEntryBundle, bundle) is Reason.INVALID_FIELD


def test_a_cosignature_line_is_one_line() -> None:
    with pytest.raises(JukiError):
        parse_line("— a AAAAAAAA\n— b AAAAAAAA")

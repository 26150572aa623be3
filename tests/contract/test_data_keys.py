"""A data key seals only so often, over restarts and processes; then the next version takes over."""

from __future__ import annotations

from contextlib import suppress

import pytest
from sqlalchemy import Engine, func, select

from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.rpc.names import national_identity
from juki.store.data_keys import KeyPurpose, KeyStore, SealAllowance, SealingKeys
from juki.store.sealing import sealed_under
from tests.memory_custody import MemoryCustody
from tests.register_fixtures import DOMAIN, Hosts

STEP = 10
PLACE = b"place"


@pytest.fixture
def custody(hosts: Hosts) -> MemoryCustody:
    return hosts.custody(national_identity(DOMAIN))


def process(engine: Engine, custody: MemoryCustody, rotate_at: int = 40) -> SealingKeys:
    """The keys as a process of their own opens them."""
    keys = KeyStore(engine, t.data_key, custody)
    keys.prepare()
    return SealingKeys(
        keys, SealAllowance(keys, step=STEP, rotate_at=rotate_at, refuse_at=rotate_at + 2 * STEP)
    )


def seal(sealing: SealingKeys, times: int) -> list[bytes]:
    return [sealing.sealer.seal(b"value", PLACE) for _ in range(times)]


def reserved(engine: Engine, version: int) -> int:
    with engine.connect() as connection:
        return connection.execute(
            select(t.data_key.c.seals_reserved).where(
                t.data_key.c.purpose == KeyPurpose.COLUMNS.value, t.data_key.c.version == version
            )
        ).scalar_one()


def versions(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(
            select(func.count()).where(t.data_key.c.purpose == KeyPurpose.COLUMNS.value)
        ).scalar_one()


def test_seals_are_counted_durably_before_they_are_made(
    engine: Engine, custody: MemoryCustody
) -> None:
    sealing = process(engine, custody)
    assert reserved(engine, 1) == STEP
    seal(sealing, STEP)
    with pytest.raises(JukiError) as refused:
        seal(sealing, 1)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE


def test_the_allowance_is_topped_up_in_time(engine: Engine, custody: MemoryCustody) -> None:
    sealing = process(engine, custody, rotate_at=1_000)
    for _ in range(20):
        seal(sealing, STEP // 2)
        sealing.refresh()
    assert 10 * STEP <= reserved(engine, 1) <= 12 * STEP


def test_a_used_up_key_is_followed_by_the_next_version_while_its_values_still_open(
    engine: Engine, custody: MemoryCustody
) -> None:
    sealing = process(engine, custody)
    values = []
    while sealing.sealer.key_version == 1:
        values += seal(sealing, STEP // 2)
        sealing.refresh()
    assert reserved(engine, 1) == 40
    values += seal(sealing, 3)
    assert {sealed_under(value) for value in values} == {1, 2}
    assert sum(sealed_under(value) == 1 for value in values) <= 40
    for opened in (sealing, process(engine, custody)):
        assert {opened.sealer.open(value, PLACE) for value in values} == {b"value"}
        assert opened.sealer.key_version == 2


def test_restarts_count_too(engine: Engine, custody: MemoryCustody) -> None:
    for number in range(1, 5):
        sealing = process(engine, custody)
        assert reserved(engine, 1) == number * STEP
    sealing.refresh()
    assert sealing.sealer.key_version == versions(engine) == 2


def test_a_key_that_cannot_be_followed_seals_no_more_at_its_bound(
    engine: Engine, custody: MemoryCustody, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing = process(engine, custody)

    def fail(wrapping_key: str) -> None:
        raise JukiError(Reason.CUSTODY_UNAVAILABLE, "custody of keys cannot be reached")

    monkeypatch.setattr(custody, "new_data_key", fail)
    made = 0
    with pytest.raises(JukiError) as refused:  # noqa: PT012 - the loop is the test
        while made < 1_000:
            made += len(seal(sealing, 1))
            with suppress(JukiError):
                sealing.refresh()
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert made <= reserved(engine, 1) <= 60


def test_a_version_made_by_another_process_is_taken_up(
    engine: Engine, custody: MemoryCustody
) -> None:
    here, there = process(engine, custody), process(engine, custody)
    there.rotate()
    (value,) = seal(there, 1)
    assert here.sealer.open(value, PLACE) == b"value"
    here.refresh()
    assert sealed_under(seal(here, 1)[0]) == 2


def test_a_value_under_a_version_that_was_never_made_is_tampering(
    engine: Engine, custody: MemoryCustody
) -> None:
    sealing = process(engine, custody)
    (value,) = seal(sealing, 1)
    with pytest.raises(JukiError) as found:
        sealing.sealer.open(value[:1] + (7).to_bytes(4, "big") + value[5:], PLACE)
    assert found.value.reason is Reason.TAMPERING_DETECTED

"""Keeps the nation's grants, and brings back those that a restored nation has lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Engine, func, select

from juki.domain.envelope import grant_digest
from juki.domain.errors import JukiError, Reason
from juki.register.signers import SignerDirectory, check_signature, stored_certificates
from juki.rpc.errors import refusals_of_peer
from juki.store.root import RegisterRoot
from juki.store.sealing import Sealer, seal_id
from juki.store.upsert import upsert
from juki.v1 import codes_pb2, codes_pb2_grpc
from pref_server.tables import national_grant, register_root

GRANTS_SECTION: Final = "grants"
"""Name of the register root's section of the nation's grants."""

_CALL_SECONDS: Final = 30.0
_INTERVAL_SECONDS: Final = 1.0
_PAGE: Final = 200
_PAGE_BYTES: Final = 2 << 20

_LOG = structlog.get_logger(__name__)


class GrantKeeper:
    """Grants by serial, sealed; `work` is a worker's round. Safe for many threads."""

    def __init__(
        self,
        *,
        engine: Engine,
        sealer: Sealer,
        nation: codes_pb2_grpc.GrantServiceStub,
        nation_identity: str,
        prefecture: str,
        signers: SignerDirectory,
    ) -> None:
        self._engine = engine
        self._sealer = sealer
        self._root = RegisterRoot(sealer, register_root, GRANTS_SECTION)
        self._nation = nation
        self._nation_identity = nation_identity
        self._prefecture = prefecture
        self._signers = signers
        self._woken = threading.Event()
        self._lock = threading.Lock()
        """One writer at a time: SQLite's own waiting goes by pauses that grow."""

    def keep(self, signed: codes_pb2.SignedGrant, certificates: Sequence[bytes]) -> None:
        """Keeps a grant, before what it gives is passed on.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY, SIGNER_MISMATCH or SIGNATURE_INVALID unless the nation
                signed it, INVALID_FIELD when it is another prefecture's.
        """
        signer = self._signers.find(signed.key_id, self._nation_identity, certificates)
        check_signature(signer, grant_digest(signed.grant), signed.signature)
        grant = codes_pb2.Grant.FromString(signed.grant)
        if grant.prefecture != self._prefecture or not grant.serial:
            raise JukiError(Reason.INVALID_FIELD, "the nation's grant is not for this prefecture")
        place = grant_place(grant.serial, signed.key_id)
        sealed = self._sealer.seal(signed.SerializeToString(), place)
        row = {"serial": grant.serial, "key_id": signed.key_id, "signed_sealed": sealed}
        stored = select(national_grant.c.signed_sealed).where(
            national_grant.c.serial == grant.serial
        )
        with self._lock, self._engine.begin() as connection:
            changes = self._root.begin(connection)
            for held in connection.scalars(stored):
                changes.remove("national_grant", seal_id(bytes(held)))
            changes.add("national_grant", seal_id(sealed))
            upsert(connection, national_grant, [row])
            self._signers.store(connection, [signer])
            changes.write(connection)
        self._signers.stored([signer])

    def confirm(self) -> None:
        """Tells the nation what is held here, and brings back what it lacks.

        Raises:
            JukiError: GRANTS_NOT_CONFIRMED while the nation waits for other prefectures too;
                UPSTREAM_UNAVAILABLE.
        """
        response = self._tell([])
        while response.highest_serial < self._highest():
            lost = self._after(response.highest_serial)
            _LOG.error("nation_lost_grants", count=len(lost))
            before = response.highest_serial
            response = self._tell(lost)
            if response.highest_serial <= before:
                raise JukiError(Reason.INTERNAL, "the nation does not take its grants back")
        if response.awaited_prefectures:
            raise JukiError(
                Reason.GRANTS_NOT_CONFIRMED, "the nation waits for other prefectures' grants"
            )

    def wake(self) -> None:
        """Ends the pause between two rounds."""
        self._woken.set()

    def work(self) -> None:
        """One round: the nation may have been started anew, from whatever state.

        Raises:
            JukiError: As `confirm` does.
        """
        self._woken.wait(_INTERVAL_SECONDS)
        self.confirm()

    def _tell(self, grants: list[codes_pb2.SignedGrant]) -> codes_pb2.ConfirmGrantsResponse:
        key_ids = {grant.key_id for grant in grants}
        with self._engine.connect().execution_options(read_only=True) as connection:
            certificates = stored_certificates(connection, key_ids)
        request = codes_pb2.ConfirmGrantsRequest(
            highest_serial=self._highest(), grants=grants, certificates=certificates
        )
        with refusals_of_peer():
            return self._nation.ConfirmGrants(request, timeout=_CALL_SECONDS)

    def _highest(self) -> int:
        with self._engine.connect().execution_options(read_only=True) as connection:
            return connection.scalar(select(func.max(national_grant.c.serial))) or 0

    def _after(self, serial: int) -> list[codes_pb2.SignedGrant]:
        """The next grants, as many as one message holds; at least one."""
        table = national_grant
        statement = (
            select(table).where(table.c.serial > serial).order_by(table.c.serial).limit(_PAGE)
        )
        page: list[codes_pb2.SignedGrant] = []
        size = 0
        with self._engine.connect().execution_options(read_only=True) as connection:
            for row in connection.execute(statement):
                size += len(row.signed_sealed)
                if page and size > _PAGE_BYTES:
                    break
                page.append(codes_pb2.SignedGrant.FromString(open_grant(row, self._sealer)))
        return page


def grant_place(serial: int, key_id: bytes) -> bytes:
    """The place that a sealed grant is bound to: all the rest of its row."""
    return b"national_grant.signed|%d|%b" % (serial, key_id)


def open_grant(row: Any, sealer: Sealer) -> bytes:
    """The serialised `SignedGrant` of a row of `national_grant`.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    return sealer.open(bytes(row.signed_sealed), place_of_grant(row))


def place_of_grant(row: Any) -> bytes:
    """The place of a row of `national_grant`."""
    return grant_place(row.serial, bytes(row.key_id))

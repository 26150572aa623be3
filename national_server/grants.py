"""What the nation gave out, answer by answer: numbered for each prefecture, and signed.

The prefecture keeps each grant. A nation restored from a backup lacks those that it gave since; it
takes them back from the prefectures before it takes in what depends on them, so that no code is
allotted twice and no person is held as disputed for a code or number that the nation forgot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection, Engine, select

from juki.custody.port import SIGNING, Custody
from juki.custody.verify import fingerprint
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.envelope import grant_digest
from juki.domain.errors import JukiError, Reason
from juki.register.signers import SignerDirectory, check_signature
from juki.store.engine import now_microseconds
from juki.store.root import RegisterRoot, RowChanges
from juki.store.sealing import Sealer
from juki.store.upsert import count_on, upsert
from juki.v1 import codes_pb2
from national_server import tables as t
from national_server.code_pool import GRANTED_SECTION, restore_allotment
from national_server.number_registry import lock_registry, restore_number

_LOG = structlog.get_logger(__name__)


class Serial:
    """The serial of one grant; `take` is called inside the transaction that makes the grant."""

    def __init__(self, prefecture: str) -> None:
        self.prefecture = prefecture
        self.value = 0

    def take(self, connection: Connection) -> None:
        """Counts the prefecture's grants on by one."""
        self.value = count_on(connection, t.grant_serial.c.serial, prefecture=self.prefecture)


class GrantBook:
    """Signs grants, and takes back those that were lost."""

    def __init__(
        self,
        *,
        engine: Engine,
        sealer: Sealer,
        custody: Custody,
        signers: SignerDirectory,
        identity: str,
        registry: CollectorRegistry,
    ) -> None:
        """`identity` is the nation's own URI: whose signature a grant that comes back must bear."""
        self._engine = engine
        self._sealer = sealer
        self._root = RegisterRoot(sealer, t.register_root, GRANTED_SECTION)
        self._custody = custody
        self._signers = signers
        self._identity = identity
        self.certificates = custody.certificate_chain(SIGNING)
        self._key_id = fingerprint(self.certificates[0])
        self._restored = Counter(
            "juki_grants_restored_total",
            "Grants that a restored nation took back from prefectures.",
            registry=registry,
        )
        self._conflicts = Counter(
            "juki_grants_conflicting_total",
            "Codes and numbers of grants taken back that were given to another since.",
            registry=registry,
        )

    def signed(
        self,
        serial: Serial,
        municipality: str,
        *,
        request_id: str = "",
        codes: Sequence[ResidentRecordCode] = (),
        numbers: Mapping[ResidentRecordCode, IndividualNumber] | None = None,
        former: IndividualNumber | None = None,
    ) -> codes_pb2.SignedGrant:
        """The grant with the nation's signature, made in the token."""
        grant = codes_pb2.Grant(
            prefecture=serial.prefecture,
            serial=serial.value,
            municipality=municipality,
            request_id=request_id,
            resident_record_codes=[int(code) for code in codes],
            numbers=[
                codes_pb2.GrantedNumber(
                    resident_record_code=int(code),
                    individual_number=int(number),
                    former_individual_number=0 if former is None else int(former),
                )
                for code, number in (numbers or {}).items()
            ],
        )
        grant.granted_at.FromMicroseconds(now_microseconds())
        serialised = grant.SerializeToString()
        (signature,) = self._custody.sign(SIGNING, [grant_digest(serialised)])
        return codes_pb2.SignedGrant(grant=serialised, key_id=self._key_id, signature=signature)

    def highest(self, prefecture: str) -> int:
        """Serial of the last grant that is known here; 0 for none."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            return serial_of(connection, prefecture)

    def take_back(
        self,
        prefecture: str,
        signed_grants: Sequence[codes_pb2.SignedGrant],
        certificates: Sequence[bytes],
    ) -> None:
        """Takes in the grants of the prefecture that are not known here, all or none of them.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY, SIGNER_MISMATCH or SIGNATURE_INVALID unless each was
                signed by the nation; INVALID_FIELD for another prefecture's.
        """
        grants = [self._verified(one, prefecture, certificates) for one in signed_grants]
        with self._engine.begin() as connection:
            lock_registry(connection)
            changes = self._root.begin(connection)
            known = serial_of(connection, prefecture)
            lost = [grant for grant in grants if grant.serial > known]
            for grant in lost:
                self._restore(connection, grant, changes)
            if lost:
                highest = max(grant.serial for grant in lost)
                row = {"prefecture": prefecture, "serial": highest}
                upsert(connection, t.grant_serial, [row])
            changes.write(connection)
        self._restored.inc(len(lost))

    def _verified(
        self, signed: codes_pb2.SignedGrant, prefecture: str, certificates: Sequence[bytes]
    ) -> codes_pb2.Grant:
        signer = self._signers.find(signed.key_id, self._identity, certificates)
        check_signature(signer, grant_digest(signed.grant), signed.signature)
        grant = codes_pb2.Grant.FromString(signed.grant)
        if grant.prefecture != prefecture:
            raise JukiError(Reason.INVALID_FIELD, "the grant was given through another prefecture")
        return grant

    def _restore(self, connection: Connection, grant: codes_pb2.Grant, changes: RowChanges) -> None:
        conflicts = 0
        if grant.resident_record_codes:
            conflicts += restore_allotment(
                connection,
                self._sealer,
                changes,
                municipality=grant.municipality,
                request_id=grant.request_id,
                codes=[ResidentRecordCode.from_int(value) for value in grant.resident_record_codes],
            )
        for one in grant.numbers:
            former = one.former_individual_number
            conflicts += not restore_number(
                connection,
                self._sealer,
                changes,
                code=ResidentRecordCode.from_int(one.resident_record_code),
                number=IndividualNumber.from_int(one.individual_number),
                former=IndividualNumber.from_int(former) if former else None,
                municipality=grant.municipality,
                request_id=grant.request_id,
            )
        if conflicts:
            _LOG.critical("granted_twice", prefecture=grant.prefecture, count=conflicts)
            self._conflicts.inc(conflicts)


def serial_of(connection: Connection, prefecture: str) -> int:
    """Serial of the last grant given through the prefecture; 0 for none."""
    table = t.grant_serial
    statement = select(table.c.serial).where(table.c.prefecture == prefecture)
    return connection.scalar(statement) or 0

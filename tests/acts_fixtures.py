"""Administrative acts for tests: officers and a server with keys in memory, and their register."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from hsm.plan import national_host, officer_host
from juki.audit.log import FileAuditLog
from juki.custody.signing import DocumentSigner
from juki.domain.errors import Reason
from juki.policy.acts.dates import JST
from juki.policy.acts.files import list_proposals, read_proposal
from juki.policy.acts.following import OfficersFile
from juki.policy.acts.proposing import approve, make_act, propose
from juki.policy.acts.replay import History, replay
from juki.policy.acts.running import ActRegister
from juki.policy.acts.verification import ActVerifier
from juki.policy.revisions import shipped_law
from juki.revocation.lists import CertificateFacts, facts_of_der
from juki.v1 import acts_pb2 as pb
from juki.v1 import audit_pb2
from tests.memory_custody import MemoryCustody, MemoryNetwork

DOMAIN = "juki.example"
NATION = f"spiffe://national.{DOMAIN}/server"
PENSION = f"spiffe://agency.{DOMAIN}/pension"
TAX = f"spiffe://agency.{DOMAIN}/tax"
ROW = "1:77"


@dataclass
class Revoked:
    """Revocation lists of which a test says what stands in them."""

    when: dict[CertificateFacts, datetime.datetime] = field(default_factory=dict)

    def refuse_revoked(self, facts: CertificateFacts, identity: str, reason: Reason) -> None:
        """Raises for one that is revoked."""
        from juki.domain.errors import JukiError

        if facts in self.when:
            raise JukiError(reason, f"{identity} is revoked")

    def revoked_at(self, facts: CertificateFacts) -> datetime.datetime | None:
        """When."""
        return self.when.get(facts)


class Office:
    """A directory of acts, two officers, a stranger with a good certificate, and the server."""

    def __init__(self, directory: Path) -> None:
        self.now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.network = MemoryNetwork()
        self.server = DocumentSigner(MemoryCustody(self.network, national_host(DOMAIN)))
        self.signers = {
            name: DocumentSigner(MemoryCustody(self.network, officer_host(DOMAIN, name)))
            for name in ("sato", "suzuki", "stranger")
        }
        self.directory = directory / "acts"
        self.audit_directory = directory / "audit"
        self.officers_file = directory / "officers.toml"
        for name in ("sato", "suzuki"):
            (directory / f"{name}.pem").write_bytes(self._pem(name))
        self.list_officers()
        self.revoked = Revoked()
        self.verifier = ActVerifier(
            NATION, OfficersFile(self.officers_file), self.network.roots_der, self.revoked
        )

    def list_officers(self, **last_days: str) -> None:
        """Writes the list of the two officers, some with a last day."""
        self.officers_file.write_text(
            "".join(
                f'[[officer]]\nidentity = "spiffe://national.{DOMAIN}/officer/{name}"\n'
                f'certificates = ["{name}.pem"]\n'
                + (f"last_day = {last_days[name]}\n" if name in last_days else "")
                for name in ("sato", "suzuki")
            )
        )

    @property
    def nanos(self) -> int:
        """Now, for signers and servers."""
        return int(self.now.timestamp()) * 1_000_000_000

    def history(self) -> History:
        """The log as it is on disk, verified."""
        return replay(self.directory, self.verifier) if self.directory.exists() else History()

    def open(self, audit: FileAuditLog) -> ActRegister:
        """The running server's register."""
        return ActRegister(
            self.directory,
            verifier=self.verifier,
            signer=self.server,
            audit=audit,
            laws=(shipped_law(),),
            clock=lambda: self.nanos,
        )

    def propose(
        self,
        *dispositions: pb.ActDisposition,
        by: str = "sato",
        history: History | None = None,
        in_force_from: str = "",
        last_day: str = "",
    ) -> Path:
        """Proposes the next act."""
        self.directory.mkdir(exist_ok=True)
        act = make_act(
            self.history() if history is None else history,
            NATION,
            dispositions,
            authority="総行住第1号 2026-11-24",
            request_id="request-1",
            in_force_from=in_force_from,
            last_day=last_day,
            now_unix_nanos=self.nanos,
        )
        return propose(self.directory, act, self.signers[by], self.nanos)

    def approve(self, by: str = "suzuki") -> None:
        """Approves the one proposal."""
        (path,) = list_proposals(self.directory)
        approve(self.directory, read_proposal(path), self.signers[by], self.nanos)

    def facts(self, officer: str) -> CertificateFacts:
        """Of an officer's certificate."""
        return facts_of_der(self.signers[officer].key.chain[0])

    def _pem(self, officer: str) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding

        chain = self.signers[officer].key.chain
        return b"".join(
            x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in chain
        )


def body(identity: str = PENSION, name: str = "年金") -> pb.ActDisposition:
    """Registers a body."""
    return pb.ActDisposition(
        register_body=pb.RegisterBody(identity=identity, name=name, recipient_kind="corporation")
    )


def terms(
    keys: Sequence[audit_pb2.AuditSearchKey.ValueType] = (audit_pb2.AUDIT_SEARCH_KEY_FOUR_ITEMS,),
    fields: Sequence[int] = (),
    number_use_item: str = "",
) -> pb.GrantTerms:
    """Terms of a grant."""
    return pb.GrantTerms(search_keys=keys, fields=fields, number_use_item=number_use_item)  # type: ignore[arg-type]


def grant(
    identity: str = PENSION, row: str = ROW, of: pb.GrantTerms | None = None
) -> pb.ActDisposition:
    """Grants a row of the tables."""
    return pb.ActDisposition(
        grant_affair=pb.GrantAffair(
            body=identity, basis=pb.GrantBasis(table_row=row), terms=of or terms()
        )
    )


def revoke(identity: str = PENSION, row: str = ROW) -> pb.ActDisposition:
    """Revokes a row."""
    return pb.ActDisposition(
        revoke_grant=pb.RevokeGrant(body=identity, basis=pb.GrantBasis(table_row=row))
    )


def withdraw(identity: str = PENSION) -> pb.ActDisposition:
    """Withdraws a body."""
    return pb.ActDisposition(withdraw_body=pb.WithdrawBody(identity=identity))


def day(instant: datetime.datetime, after: int = 0) -> str:
    """A date in Japan, some days after an instant's."""
    return (instant.astimezone(JST) + datetime.timedelta(days=after)).date().isoformat()

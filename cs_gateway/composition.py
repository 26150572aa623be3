"""Builds what the process and the commands of the gateway share, from its configuration."""

from __future__ import annotations

import datetime
from contextlib import ExitStack
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine

from cs_gateway.config import GatewayConfiguration
from cs_gateway.gateway import GatewayOptions
from cs_gateway.receipts import CertifiedReceipts
from cs_gateway.replenishment import PoolMarks
from cs_gateway.upstream import PrefectureClient
from juki.custody.client import CustodyClient
from juki.custody.tls import channel_credentials
from juki.domain.codes import LocalGovernmentCode
from juki.rpc.channel import open_channel
from juki.store.engine import migrate, open_engine


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """Real objects behind the gateway's ports."""

    options: GatewayOptions
    custody: CustodyClient
    engine: Engine
    upstream: PrefectureClient
    verify: CertifiedReceipts
    roots_pem: bytes


def open_parts(config: GatewayConfiguration, stack: ExitStack) -> GatewayParts:
    """Opens custody, database (migrated) and the channel to the prefecture; `stack` closes them."""
    roots_pem = config.roots_pem.read_bytes()
    roots = [
        certificate.public_bytes(Encoding.DER)
        for certificate in x509.load_pem_x509_certificates(roots_pem)
    ]
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    engine = open_engine(config.database_url)
    stack.callback(engine.dispose)
    migrate(engine, "gateway")
    channel = open_channel(
        config.upstream.address,
        config.upstream.server_name,
        channel_credentials(custody, roots_pem),
    )
    stack.callback(channel.close)
    return GatewayParts(
        options=GatewayOptions(
            municipality=LocalGovernmentCode(config.municipality),
            trust_domain=config.trust_domain,
            wards=config.wards,
            marks=PoolMarks(config.low_water, config.target),
        ),
        custody=custody,
        engine=engine,
        upstream=PrefectureClient(channel),
        verify=CertifiedReceipts(roots, lambda: datetime.datetime.now(datetime.UTC)),
        roots_pem=roots_pem,
    )

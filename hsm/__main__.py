"""Runs the custody of a host's keys: `python -m hsm --config custody.toml` (composition root)."""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from hsm.authority import Authority
from hsm.certificates import read_chains
from hsm.configuration import Configuration, read_configuration
from hsm.hardening import harden_process
from hsm.operations import Operations, ServerLeafNames
from hsm.service import Service
from hsm.sockets import SocketRole
from hsm.token import TOKEN_LOST, Token, TokenLocation, open_token
from juki.domain.errors import JukiError


def main(arguments: list[str] | None = None) -> int:
    """Run custody until SIGTERM; 0 after an orderly end, 1 where it cannot start or go on.

    A lost token ends the process, so that whatever supervises it starts it with a new log-in;
    clients meanwhile try again.
    """
    parser = argparse.ArgumentParser(prog="python -m hsm", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="custody's TOML file")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        harden_process()
        run(read_configuration(parser.parse_args(arguments).config))
    except JukiError as error:
        sys.stderr.write(f"custody does not start: {error}\n")
        return 1
    except TOKEN_LOST as error:
        sys.stderr.write(f"custody ends: its token is lost ({type(error).__name__})\n")
        return 1
    return 0


def run(configuration: Configuration) -> None:
    """Open the token, check every key that callers may use, and serve."""
    location = TokenLocation(
        module=configuration.token.module,
        label=configuration.token.label,
        pin_file=configuration.token.pin_file,
        softhsm_configuration=configuration.token.softhsm_configuration,
        serial=configuration.token.serial,
    )
    with open_token(location) as token:
        service = _service(configuration, token)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        sys.stdout.write("custody ready\n")
        sys.stdout.flush()
        service.run()


def _service(configuration: Configuration, token: Token) -> Service:
    roles = [
        SocketRole(one.path, one.mode, frozenset(one.allowed_uids), one.permitted())
        for one in configuration.sockets
    ]
    labels = {label for role in roles for label in role.permissions.key_labels()}
    for label in sorted(labels | {configuration.health_key}):
        token.refuse_extractable(label)
    leaf = configuration.server_leaf
    operations = Operations(
        token=token,
        authority=Authority(lambda: datetime.now(UTC)),
        chains=read_chains(configuration.certificates, labels, token),
        server_leaf=ServerLeafNames(leaf.identity, leaf.dns_names) if leaf else None,
        health_key=configuration.health_key,
    )
    return Service(operations, roles)


if __name__ == "__main__":
    sys.exit(main())

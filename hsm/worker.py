"""The process that holds the open token: `python -m hsm.worker`, started by custody's front only.

It opens the module, logs in, checks every key that callers may use, signs something, and then
serves the callers. It tells the front that it lives; where the module hangs it cannot, and the
front replaces it. Anything that only a new log-in can help ends it.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from pkcs11.exceptions import PKCS11Error

from hsm.authority import Authority
from hsm.backoff import Backoff
from hsm.configuration import Configuration, read_configuration
from hsm.generations import Generations
from hsm.hardening import end_with_parent, harden_process
from hsm.link import Kind, send
from hsm.operations import Operations, ServerLeafNames
from hsm.pin_guard import PinGuard
from hsm.process import configure_logging, on_signals
from hsm.revocation import RevocationDesk, RevocationSettings
from hsm.service import Service
from hsm.sockets import Door
from hsm.token import Token, TokenNotReady, open_token
from juki.domain.errors import JukiError, Reason

_SIGN_OF_LIFE_SECONDS = 0.5
_TRIES_IN_ONE_PROCESS = 30
"""A module may keep a fault in its own memory: after about a minute a new process tries."""

_log = structlog.get_logger("hsm.worker")


def main() -> int:
    """Serve until SIGTERM (0), or until only a new process can help (1)."""
    parser = argparse.ArgumentParser(prog="python -m hsm.worker", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--front", type=int, required=True, help="process id of the front")
    parser.add_argument("--link", type=int, required=True, help="descriptor of the link to it")
    parser.add_argument("--doors", type=int, nargs="+", required=True, help="listening sockets")
    arguments = parser.parse_args()
    configure_logging()
    end_with_parent(arguments.front)
    harden_process()
    configuration = read_configuration(arguments.config)
    sockets = [socket.socket(fileno=descriptor) for descriptor in arguments.doors]
    roles = [one.role() for one in configuration.sockets]
    doors = [Door(one, role) for one, role in zip(sockets, roles, strict=True)]
    worker = _Worker(configuration, doors, socket.socket(fileno=arguments.link))
    on_signals(worker.stop)
    return worker.run()


class _Worker:
    """One life of custody's token."""

    def __init__(
        self, configuration: Configuration, doors: Sequence[Door], link: socket.socket
    ) -> None:
        self._configuration = configuration
        self._doors = doors
        self._link = link
        self._stop: Callable[[], None] = sys.exit
        self._told_at = time.monotonic()

    def stop(self) -> None:
        """Finish what was accepted and end; safe from a signal handler."""
        self._stop()

    def run(self) -> int:
        """Open the token and serve; 1 where only a new process can help."""
        send(self._link, Kind.STARTED)
        try:
            with _patiently_opened(self._configuration, self._link) as token:
                return self._serve(token)
        except TokenNotReady as error:
            send(self._link, Kind.LOST, error.message)
        except JukiError as error:  # of the module itself
            send(self._link, Kind.MISCONFIGURED, error.message)
        return 1

    def _serve(self, token: Token) -> int:
        # The front hears of a failure before the module is called again to close the session: it
        # may hang then.
        try:
            operations = self._operations(token)
            service = Service(operations, self._doors, lambda: self._show_life(operations))
            self._stop = service.stop
            operations.prove_token()
            send(self._link, Kind.READY)
            service.run()
        except PKCS11Error as error:
            send(self._link, Kind.LOST, _words(error))
            return 1
        except JukiError as error:
            mistaken = error.reason is Reason.CONFIGURATION_INVALID
            send(self._link, Kind.MISCONFIGURED if mistaken else Kind.LOST, error.message)
            return 1
        return 0

    def _operations(self, token: Token) -> Operations:
        permissions = [door.role.permissions for door in self._doors]
        labels = {label for one in permissions for label in one.key_labels()}
        generations = Generations(
            token, self._configuration.certificates, labels | {self._configuration.health_key}
        )
        send(self._link, Kind.ALIVE)
        leaf = self._configuration.server_leaf
        return Operations(
            token=token,
            authority=Authority(lambda: datetime.now(UTC)),
            generations=generations,
            server_leaf=ServerLeafNames(leaf.identity, leaf.dns_names) if leaf else None,
            health_key=self._configuration.health_key,
            revocation=_desk(self._configuration),
        )

    def _show_life(self, operations: Operations) -> None:
        """Twice a second: sign, and say so. Raises PKCS11Error where the token does not."""
        now = time.monotonic()
        if now - self._told_at >= _SIGN_OF_LIFE_SECONDS:
            self._told_at = now
            operations.prove_token()
            send(self._link, Kind.ALIVE)


@contextmanager
def _patiently_opened(configuration: Configuration, link: socket.socket) -> Iterator[Token]:
    """The token as soon as it can be opened; the front hears of each try that failed."""
    section = configuration.token
    # Beside the sockets: where custody can make those it can also write this.
    memory = configuration.sockets[0].path.with_name("pin_refused.json")
    guard = PinGuard(section.pin, memory)
    backoff = Backoff()
    told = ""
    with ExitStack() as stack:
        while True:
            try:
                token = stack.enter_context(open_token(section.location(), guard=guard))
                break
            except TokenNotReady as error:
                why = error.message
            except PKCS11Error as error:
                why = _words(error)
            if why != told:
                _log.error("token not opened", why=why, pin_file=str(section.pin))
                told = why
            send(link, Kind.NOT_OPENED, why)
            pause = backoff.failed()
            if backoff.failures >= _TRIES_IN_ONE_PROCESS:
                raise TokenNotReady(Reason.CUSTODY_UNAVAILABLE, why)
            time.sleep(pause)
        yield token


def _desk(configuration: Configuration) -> RevocationDesk:
    section = configuration.revocation
    settings = RevocationSettings(
        timedelta(seconds=section.validity_seconds), timedelta(seconds=section.renewal_seconds)
    )
    return RevocationDesk(section.record, settings, lambda: datetime.now(UTC))


def _words(error: PKCS11Error) -> str:
    return f"the token failed ({type(error).__name__})"


if __name__ == "__main__":
    sys.exit(main())

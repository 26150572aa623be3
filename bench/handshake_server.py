"""A bare grpcio server that demands client certificates; what the handshake bench connects to."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc

from bench.handshakes import METHOD, SERVICE
from juki.config import Configuration
from juki.custody.client import CustodyClient
from juki.custody.tls import server_credentials
from juki.process import run_server


class HandshakeServerConfiguration(Configuration):
    """What the process needs."""

    custody_socket: Path
    roots_pem: Path


def serve(config: HandshakeServerConfiguration, stack: ExitStack) -> dict[str, object]:
    """Starts the server on a free port."""
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    handlers = {METHOD: grpc.unary_unary_rpc_method_handler(lambda request, _: request)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    credentials = server_credentials(custody, config.roots_pem.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    stack.callback(lambda: server.stop(0).wait())
    return {"port": port}


if __name__ == "__main__":
    sys.exit(run_server("bench.handshake_server", HandshakeServerConfiguration, serve))

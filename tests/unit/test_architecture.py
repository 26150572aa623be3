"""The arrows of the architecture: the domain imports nothing outward, servers never each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SERVERS = ("cs_gateway", "pref_server", "national_server", "hsm")

OUTERMOST = ("juki.cli", "juki.demo", "juki.localnet")
"""What starts and shows whole networks; the only parts of `juki` that know servers."""

FORBIDDEN_IN_DOMAIN = (
    "grpc",
    "google",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "pkcs11",
    "cryptography",
    "lmdb",
    "starlette",
    "typer",
    "pydantic",
    "protovalidate",
)


def modules_of(package: str) -> list[Path]:
    return [
        path
        for path in sorted((REPOSITORY / package.replace(".", "/")).rglob("*.py"))
        if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
    ]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports by relative name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def test_the_domain_imports_nothing_outward() -> None:
    modules = modules_of("juki.domain")
    assert modules
    for path in modules:
        for imported in imports_of(path):
            assert not is_within(imported, FORBIDDEN_IN_DOMAIN), f"{path.name}: {imported}"
            outward = is_within(imported, ("juki",)) and not is_within(
                imported, ("juki.domain", "juki.data")
            )
            assert not outward or imported == "juki", f"{path.name} imports {imported}"


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_imports_no_other_server(server: str) -> None:
    others = tuple(one for one in SERVERS if one != server)
    modules = modules_of(server)
    assert modules
    for path in modules:
        for imported in imports_of(path):
            assert not is_within(imported, others), f"{module_name(path)} imports {imported}"


def test_what_tiers_share_knows_no_server() -> None:
    for path in modules_of("juki"):
        if is_within(module_name(path), OUTERMOST):
            continue
        for imported in imports_of(path):
            assert not is_within(imported, SERVERS), f"{module_name(path)} imports {imported}"


def test_only_custody_talks_pkcs11() -> None:
    for package in ("juki", *SERVERS):
        for path in modules_of(package):
            if package != "hsm":
                assert not any(is_within(one, ("pkcs11",)) for one in imports_of(path)), path


def test_real_objects_are_built_in_composition_roots_only() -> None:
    builders = ("juki.store.engine.open_engine", "juki.custody.client.CustodyClient")
    for package in SERVERS:
        for path in modules_of(package):
            if path.name in ("__main__.py", "cli.py"):
                continue
            for imported in imports_of(path):
                assert imported not in builders, f"{module_name(path)} imports {imported}"

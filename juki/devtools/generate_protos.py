"""Generates the Python code of the contracts: `make proto`; `--check` tells what is stale.

Code comes from protoc and grpcio's plugin, types from mypy-protobuf: its stubs type enum fields as
the numbers they hold (protoc's own `pyi_out` refuses an `int` there), field names in `HasField` and
`WhichOneof` as literals, and servicers, so that a wrong signature fails `mypy --strict`.
The vendored contract `buf/validate/validate.proto` becomes `juki._vendor.buf.validate`: the
top-level name `buf` is not ours to take.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import grpc_tools  # type: ignore[import-untyped]
from grpc_tools import protoc

_ROOT = Path(__file__).resolve().parents[2]
_VALIDATE_PROTO = "buf/validate/validate.proto"
_WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
_VENDOR_IMPORT = re.compile(r"^(from|import) buf\.validate\b", re.MULTILINE)
_SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


class GenerationFailed(Exception):  # noqa: N818 - named for what happened
    """protoc refused the contracts; it has said why on standard error."""


def compile_protos(
    include: Sequence[Path], files: Sequence[str], output: Path, *, services: bool = True
) -> None:
    """Runs protoc in this process and points the imports of `buf.validate` at the vendored copy.

    Raises `GenerationFailed` when protoc does.
    """
    arguments = ["protoc", *(f"-I{path}" for path in (*include, _WELL_KNOWN))]
    arguments += [f"--python_out={output}", *_types("mypy", "quiet", output)]
    if services:
        arguments += [f"--grpc_python_out={output}"]
        arguments += _types("mypy_grpc", "quiet,only_sync", output)
    if protoc.main([*arguments, *files]) != 0:
        raise GenerationFailed
    for path in output.rglob("*_pb2*.py*"):
        text = path.read_text(encoding="utf-8")
        path.write_text(_VENDOR_IMPORT.sub(r"\1 juki._vendor.buf.validate", text), encoding="utf-8")


def _types(name: str, parameters: str, output: Path) -> list[str]:
    """Arguments for a plugin of mypy-protobuf, installed beside this interpreter."""
    plugin = Path(sys.executable).parent / f"protoc-gen-{name}"
    return [f"--plugin=protoc-gen-{name}={plugin}", f"--{name}_out={parameters}:{output}"]


def generate(root: Path, output: Path) -> dict[Path, bytes]:
    """Compiles every contract into `output`; returns path below `root` → content."""
    protos = root / "proto"
    contracts = sorted(str(path.relative_to(protos)) for path in protos.glob("juki/v1/*.proto"))
    compile_protos([protos], contracts, output)
    compile_protos([protos], [_VALIDATE_PROTO], output, services=False)
    made: dict[Path, bytes] = {}
    for path in sorted(output.rglob("*_pb2*.py*")):
        relative = path.relative_to(output)
        target = relative if relative.parts[0] == "juki" else Path("juki/_vendor") / relative
        made[target] = path.read_bytes()
    return made


def stale_files(root: Path, made: dict[Path, bytes]) -> list[Path]:
    """The generated files that are missing, differ, or have no contract any more."""
    stale = [
        path
        for path, content in made.items()
        if not (root / path).is_file() or (root / path).read_bytes() != content
    ]
    return sorted({*stale, *_orphans(root, made)})


def _orphans(root: Path, made: dict[Path, bytes]) -> list[Path]:
    folders = sorted({path.parent for path in made})
    present = (path for folder in folders for path in (root / folder).glob("*_pb2*.py*"))
    return [
        path.relative_to(root)
        for path in present
        if path.name.endswith(_SUFFIXES) and path.relative_to(root) not in made
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the generated code, or with `--check` only tells (exit code 1) what is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when stale")
    parser.add_argument("--root", type=Path, default=_ROOT, help="the project's top folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        made = generate(options.root, Path(folder))
    stale = stale_files(options.root, made)
    if options.check:
        for path in stale:
            sys.stderr.write(f"stale: {path}; run `make proto`\n")
        return 1 if stale else 0
    for path in stale:
        target = options.root / path
        if path not in made:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made[path])
    sys.stdout.write(f"{len(made)} files, {len(stale)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

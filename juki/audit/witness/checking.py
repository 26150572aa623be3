"""Checks what stands beside a log of its witnesses: cosigned checkpoints and certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.checkpoint import (
    NoteKey,
    NoteSignature,
    SignedCheckpoint,
    read_checkpoint,
    signed_by,
)
from juki.audit.segment import Tampered
from juki.audit.tiles import PUBLIC_DIRECTORY, FileTiles
from juki.audit.tree import TileNodes, tree_root
from juki.audit.witness.cosignature import CosigningKey, witness_name
from juki.audit.witness.offering import (
    BEFORE_FILE,
    COSIGNED_FILE,
    WITNESSES_DIRECTORY,
    certificate_file,
)
from juki.domain.errors import InvalidValue


def check_cosigned(
    log_directory: Path, size: int, keys: Sequence[ec.EllipticCurvePublicKey] = ()
) -> list[str]:
    """Checks the cosigned checkpoints of a log whose tree of `size` entries is verified already.

    Gives the names of the witnesses under them. Cosignatures are held against the certificates kept
    with them; that these are the network's own is for who knows its roots. Raises Tampered.
    """
    public = log_directory / PUBLIC_DIRECTORY
    certificates = dict(_certificates(public / WITNESSES_DIRECTORY))
    nodes = TileNodes(FileTiles(public), size)
    names: set[str] = set()
    for name in (BEFORE_FILE, COSIGNED_FILE):
        path = public / name
        if not path.exists():
            continue
        try:
            signed = SignedCheckpoint.parse(path.read_bytes().decode())
        except ValueError:
            raise Tampered(path, 0, "the cosigned checkpoint cannot be read") from None
        checkpoint = signed.checkpoint
        if checkpoint.size > size:
            if _has_grown_to(public, checkpoint.size):
                continue  # co-signed since the log was read
            raise _rewritten(path, size + 1, "the log is shorter than what was co-signed")
        if tree_root(nodes, checkpoint.size) != checkpoint.root:
            raise _rewritten(path, checkpoint.size, "the log is not the one that was co-signed")
        own, *lines = signed.signatures
        _check_own(path, SignedCheckpoint(checkpoint, (own,)), keys)
        for line in lines:
            if not _is_good(checkpoint.text, line, certificates.get(line.name, ())):
                raise Tampered(path, 0, f"the cosignature of {line.name} does not match")
            names.add(line.name)
    return sorted(names)


def _has_grown_to(public: Path, size: int) -> bool:
    newest = read_checkpoint(public)
    return newest is not None and newest.checkpoint.size >= size


def _rewritten(path: Path, entry: int, what: str) -> Tampered:
    found = Tampered(path, 0, what)
    found.metadata["entry"] = str(entry)
    return found


def _check_own(
    path: Path, signed: SignedCheckpoint, keys: Sequence[ec.EllipticCurvePublicKey]
) -> None:
    origin = signed.checkpoint.origin
    try:
        good = signed_by(signed, [NoteKey(origin, key) for key in keys])
    except InvalidValue:
        good = []
    if signed.signatures[0].name != origin or (keys and not good):
        raise Tampered(path, 0, "the log did not sign the cosigned checkpoint")


def _is_good(
    text: str, line: NoteSignature, certificates: Sequence[ec.EllipticCurvePublicKey]
) -> bool:
    return any(CosigningKey(line.name, key).verifies(text, line) for key in certificates)


def _certificates(directory: Path) -> Iterator[tuple[str, list[ec.EllipticCurvePublicKey]]]:
    """The keys that each witness has shown certificates of, by its name."""
    found: dict[str, list[ec.EllipticCurvePublicKey]] = {}
    for path in sorted(directory.glob("*")):
        content = path.read_bytes()
        if path.name != certificate_file(content):
            raise Tampered(path, 0, "the certificate is not the one that was kept")
        certificate = x509.load_der_x509_certificate(content)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
                found.setdefault(witness_name(uri), []).append(key)
    return iter(found.items())

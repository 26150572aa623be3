"""Checks what an audit log of Juki-Net states, with nothing of Juki-Net: one file, to be read.

    python3 verify.py proof PROOF.json --key KEY.pem [--key OTHER.pem]
    python3 verify.py consistency OLD_CHECKPOINT NEW_CHECKPOINT PUBLIC_DIRECTORY --key KEY.pem

`proof`: one person's entry stands in the log of a signed checkpoint. `consistency`: the newer of
two signed checkpoints only added to the older one. Keys are P-256 public keys or certificates in
PEM, had by another way than the log itself. Needs Python 3.11 and the package `cryptography`.
Exit code 0: it holds. 1: it does not. 2: what was given cannot be read.
"""

import argparse
import hashlib
import json
import sys
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Wrong(Exception):
    """What was given does not hold."""


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hash(data):
    return sha256(b"\0", data)


def node_hash(left, right):
    return sha256(b"\1", left, right)


# --- Merkle proofs: RFC 9162, sections 2.1.3.2 and 2.1.4.2 ---------------------------------------


def root_of_inclusion(leaf, index, size, path):
    """The root that a leaf hash and its path lead to."""
    if not 0 <= index < size:
        raise Wrong("the tree has no such leaf")
    at, last = index, size - 1
    for sibling in path:
        if last == 0:
            raise Wrong("the path is too long")
        if at & 1 or at == last:
            leaf = node_hash(sibling, leaf)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise Wrong("the path is too short")
    return leaf


def check_consistency(first, second, first_root, second_root, path):
    """Raises Wrong unless the path shows that the second tree begins with the first."""
    if not 0 < first <= second:
        raise Wrong("the newer checkpoint is not larger")
    if first == second:
        if path or first_root != second_root:
            raise Wrong("two checkpoints of one size have different roots")
        return
    if first & (first - 1) == 0:
        path = [first_root, *path]
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise Wrong("the consistency path is too long")
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    if last != 0 or old != first_root or new != second_root:
        raise Wrong("the newer checkpoint does not continue the older one")


# --- tiles: C2SP tlog-tiles ---------------------------------------------------------------------


class Tiles:
    """Hashes of full subtrees, from the tiles of a tree of `size` entries."""

    def __init__(self, public, size):
        self.public, self.size = public, size

    def tile(self, level, number):
        width = min(256, (self.size >> 8 * level) - 256 * number)
        name, rest = "%03d" % (number % 1000), number // 1000
        while rest:
            name, rest = "x%03d/%s" % (rest % 1000, name), rest // 1000
        full = self.public / "tile" / str(level) / name
        for path in (full, full.with_name("%s.p" % full.name) / str(width)):
            if path.exists():
                data = path.read_bytes()[: 32 * width]
                if len(data) == 32 * width:
                    return [data[at : at + 32] for at in range(0, len(data), 32)]
        raise Wrong("tile %s of level %d is missing or cut off" % (name, level))

    def node(self, level, index):
        tile_level, height = divmod(level, 8)
        number, place = divmod(index << height, 256)
        hashes = self.tile(tile_level, number)[place : place + (1 << height)]
        while len(hashes) > 1:
            hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def range_root(self, start, end):
        found = []
        for level in reversed(range((end - start).bit_length())):
            if (end - start) >> level & 1:
                found.append(self.node(level, start >> level))
                start += 1 << level
        root = found.pop()
        while found:
            root = node_hash(found.pop(), root)
        return root

    def consistency_path(self, first):
        """RFC 9162, section 2.1.4.1: from the tree of `first` entries to the whole."""
        start, end, path = 0, self.size, []
        while end != first:
            split = start + (1 << (end - start - 1).bit_length() - 1)
            if first <= split:
                path.append(self.range_root(split, end))
                end = split
            else:
                path.append(self.range_root(start, split))
                start = split
        if start:
            path.append(self.range_root(start, end))
        return path[::-1]


# --- checkpoints: C2SP tlog-checkpoint and signed-note, ECDSA as type 0x02 -----------------------


def read_key(path):
    pem = path.read_bytes()
    if b"BEGIN CERTIFICATE" in pem:
        key = x509.load_pem_x509_certificate(pem).public_key()
    else:
        key = serialization.load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("%s holds no P-256 key" % path)
    return key


def key_id(key):
    encoded = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return sha256(encoded)[:4]


def read_checkpoint(note, keys):
    """Origin, size and root of a note; raises Wrong unless one of the keys signed it."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    try:
        origin, size, root = text.rstrip("\n").split("\n")
        size, root = int(size), b64decode(root, validate=True)
        lines = [line.split(" ") for line in signatures.splitlines()]
        signed = [(name, b64decode(value, validate=True)) for dash, name, value in lines]
    except ValueError:
        raise Wrong("this is no checkpoint") from None
    if len(root) != 32:
        raise Wrong("this is no checkpoint")
    known = {key_id(key): key for key in keys}
    good = 0
    for name, value in signed:
        if name != origin or value[:4] not in known:
            continue  # a witness's, or of a key not given here
        try:
            known[value[:4]].verify(value[4:], text.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Wrong("a signature of the checkpoint does not match") from None
        good += 1
    if not good:
        raise Wrong("the checkpoint is not signed by a given key")
    return origin, size, root


# --- one person's entry -------------------------------------------------------------------------

FACTS = {
    1: "time", 2: "body", 3: "office", 4: "operator", 5: "table", 6: "item", 7: "article",
    8: "request", 9: "search key", 10: "fields asked", 11: "fields granted", 12: "refused for",
    15: "pseudonym key", 16: "affair", 18: "came by", 19: "passed on to", 20: "act",
}  # fmt: skip
OUTCOMES = {1: "found", 2: "not found", 3: "disputed", 4: "ambiguous"}


def facts_of(data):
    """The facts of a call: a protobuf message of varints and texts."""
    found, at = {}, 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            digit = data[at]
            at += 1
            number |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return number

    while at < len(data):
        field, kind = divmod(varint(), 8)
        if kind not in (0, 2):
            raise Wrong("the facts cannot be read")
        value = varint()
        if kind == 2:
            value, at = data[at : at + value], at + value
            plain = {10: list, 11: list, 20: bytes.hex}.get(field, bytes.decode)
            value = plain(value)
        found[FACTS.get(field, "field %d" % field)] = value
    if "time" in found:
        moment = datetime.fromtimestamp(found["time"] / 1e9, UTC)
        found["time"] = moment.isoformat()
    return found


def check_proof(proof, keys):
    """Lines that say what was proven; raises Wrong."""
    if proof["format"] != "juki audit proof, version 1":
        raise Wrong("the format of the proof is not known")
    person = proof["person"]
    salt, pseudonym = bytes.fromhex(person["salt"]), bytes.fromhex(person["pseudonym"])
    if len(salt) != 16 or len(pseudonym) != 16:
        raise Wrong("salt and pseudonym have 16 bytes each")
    inner_leaf = leaf_hash(salt + pseudonym + bytes([person["outcome"]]))
    inner_root = root_of_inclusion(
        inner_leaf, person["index"], proof["persons"], list(map(bytes.fromhex, person["path"]))
    )
    facts, facts_salt = b64decode(proof["facts"]), bytes.fromhex(proof["facts_salt"])
    if len(facts_salt) != 16:
        raise Wrong("a salt has 16 bytes")
    commitment = sha256(b"\0", facts_salt, facts)
    entry = b"\1" + commitment + proof["persons"].to_bytes(4, "big") + inner_root
    origin, size, root = read_checkpoint(proof["checkpoint"], keys)
    path = list(map(bytes.fromhex, proof["path"]))
    if root_of_inclusion(leaf_hash(entry), proof["sequence"] - 1, size, path) != root:
        raise Wrong("the entry does not stand in the log of the checkpoint")
    yield "log: %s, %d records" % (origin, size)
    yield "record: %d, person %d of %d" % (proof["sequence"], person["index"], proof["persons"])
    yield "pseudonym: %s, %s" % (pseudonym.hex(), OUTCOMES.get(person["outcome"], "unknown"))
    for name, value in facts_of(facts).items():
        yield "%s: %s" % (name, value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["proof", "consistency"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--key", action="append", required=True, type=Path)
    options = parser.parse_args()
    try:
        keys = [read_key(path) for path in options.key]
        if options.what == "proof":
            (file,) = options.files
            lines = list(check_proof(json.loads(file.read_text("utf-8")), keys))
        else:
            older, newer, public = options.files
            old, new = (read_checkpoint(f.read_text("utf-8"), keys) for f in (older, newer))
            if old[0] != new[0]:
                raise Wrong("the checkpoints are of two logs")
            between = 0 < old[1] < new[1]
            path = Tiles(public, new[1]).consistency_path(old[1]) if between else []
            check_consistency(old[1], new[1], old[2], new[2], path)
            lines = ["log: %s" % new[0], "%d records continue %d" % (new[1], old[1])]
    except Wrong as wrong:
        sys.exit("WRONG: %s" % wrong)
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        print("cannot be read: %s: %s" % (type(error).__name__, error), file=sys.stderr)
        sys.exit(2)
    print("\n".join([*lines, "HOLDS"]))


if __name__ == "__main__":
    main()

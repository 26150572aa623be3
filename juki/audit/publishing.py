"""Publishes a log: tiles, bundles and a signed checkpoint follow the durable records.

All of it is derived from the segments, off the path of whoever appends. Order makes it safe against
a crash: full tiles are durable before the checkpoint that speaks of them, partial tiles are made
again at the start. A start goes on only from the tree that the last checkpoint signed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from juki.audit.checkpoint import CHECKPOINT_FILE, CheckpointSigning, read_checkpoint
from juki.audit.edge import TreeEdge
from juki.audit.encoding import split
from juki.audit.following import SegmentFollower
from juki.audit.leaves import leaf_data
from juki.audit.segment import Tampered
from juki.audit.tiles import (
    ENTRIES,
    PUBLIC_DIRECTORY,
    TILE_DIRECTORY,
    FileTiles,
    bundle_prefix,
    unpack_bundle,
)
from juki.audit.tree import HASH_BYTES, TILE_WIDTH
from juki.durable import sync_directory


class Publisher:
    """Publishes at least every `interval_seconds` while the log grows or when the key was rotated,
    and once more when stopped.

    What could not be signed or written is tried again at the next interval; `failed` says so to the
    health check. The log goes on meanwhile: its records are durable without it.
    """

    def __init__(
        self,
        directory: Path,
        durable: Callable[[], int],
        signing: CheckpointSigning,
        archive_directory: Path | None = None,
    ) -> None:
        """`durable` tells the sequence of the last durable record."""
        self._archive_directory = archive_directory
        self._directory = directory
        self._public = directory / PUBLIC_DIRECTORY
        self._durable = durable
        self._signing = signing
        self._full: list[tuple[str, bytes]] = []
        """Files that became full and are not durable yet."""

        self._partial: set[str] = set()
        """Partial files that are as they should be."""

        self._written: tuple[int, bytes] | None = None
        """Size and key id of the checkpoint on disk."""

        self._edge = TreeEdge()
        self._follower: SegmentFollower | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-publisher", daemon=True)
        self.failed = False

    def start(self) -> None:
        """Take up the published tree and publish what the log holds now, then go on.

        Raises Tampered when the log is not the one of its last checkpoint, and what signing or
        writing raises: a log that cannot be signed does not start.
        """
        try:
            self._take_up()
            self._follow(self._durable())
            self._mend()
            self._publish()
        except BaseException:
            self._close_follower()
            raise
        self._thread.start()

    @property
    def done_to(self) -> int:
        """Sequence of the last record that no start will read again: all of its tiles are full."""
        size = 0 if self._written is None else self._written[0]
        return size // TILE_WIDTH * TILE_WIDTH

    def stop(self) -> None:
        """End the thread and publish what is left."""
        self._stopping.set()
        self._thread.join()
        self._try_to_publish()
        self._close_follower()

    def _run(self) -> None:
        while not self._stopping.wait(self._signing.interval_seconds):
            self._try_to_publish()

    def _try_to_publish(self) -> None:
        try:
            self._publish()
            self.failed = False
        except Exception:  # custody's own errors are many; the next interval tries again
            self.failed = True

    def _take_up(self) -> None:
        path = self._public / CHECKPOINT_FILE
        signed = read_checkpoint(self._public)
        if signed is None:
            if (self._public / TILE_DIRECTORY).exists():
                raise Tampered(path, 0, "there are tiles and no checkpoint")
            return
        last = signed.checkpoint
        if last.origin != self._signing.origin:
            raise Tampered(path, 0, "the checkpoint is of another log")
        if last.size > self._durable():
            raise Tampered(path, 0, "records that the checkpoint speaks of are missing")
        whole = last.size // TILE_WIDTH * TILE_WIDTH
        self._edge = TreeEdge.restored(FileTiles(self._public), whole)
        self._follow(last.size)
        if self._edge.root() != last.root:
            raise Tampered(path, 0, "the log is not the one its checkpoint speaks of")

    def _follow(self, up_to: int) -> None:
        """Takes the records up to `up_to` into the tree."""
        if self._edge.size >= up_to:
            return
        if self._follower is None:
            self._follower = SegmentFollower(
                self._directory, self._edge.size + 1, self._archive_directory
            )
        for found in self._follower.read(up_to):
            self._full += self._edge.append(leaf_data(split(found.record)))

    def _mend(self) -> None:
        """Makes right what a crash left of the tiles that are not full."""
        for path, content in self._edge.partial():
            target = self._public / path
            if not target.parent.parent.is_dir():
                continue
            for left in target.parent.parent.glob(".*.new"):
                left.unlink()
            for folder in target.parent.parent.glob("*.p"):
                if folder != target.parent and folder.with_suffix("").exists():
                    _remove_partial(folder)
            if target.parent.is_dir():
                prefixes = _prefixes(path, content)
                for file in target.parent.iterdir():
                    if file.name not in prefixes:
                        file.unlink()  # of a size no checkpoint speaks of
                    elif file.read_bytes() != prefixes[file.name]:
                        _replace(file, prefixes[file.name], durable=True)

    def _publish(self) -> None:
        key = self._signing.key()
        self._follow(self._durable())
        state = self._edge.size, key.key_id
        if state == self._written:
            return
        self._write_tiles()
        signed = self._signing.sign(self._edge.size, self._edge.root(), key)
        _replace(self._public / CHECKPOINT_FILE, signed.note.encode(), durable=True)
        sync_directory(self._public)
        self._written = state

    def _write_tiles(self) -> None:
        if not self._public.is_dir():
            self._public.mkdir(mode=0o755)
            sync_directory(self._directory)
        folders = set()
        for path, content in self._full:
            target = self._public / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, content, durable=True)
            folders |= {folder for folder in target.parents if self._public in folder.parents}
        for folder in sorted(folders):
            sync_directory(folder)
        for path, _ in self._full:
            _remove_partial(self._public / f"{path}.p")
        self._full = []
        partial = dict(self._edge.partial())
        for path, content in partial.items():
            if path not in self._partial:
                target = self._public / path
                target.parent.mkdir(parents=True, exist_ok=True)
                _replace(target, content, durable=False)
        self._partial = set(partial)

    def _close_follower(self) -> None:
        if self._follower is not None:
            self._follower.close()


def _replace(path: Path, content: bytes, *, durable: bool) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def _prefixes(path: str, content: bytes) -> dict[str, bytes]:
    """What the partial files of a tile hold, by their width."""
    if path.startswith(f"{TILE_DIRECTORY}/{ENTRIES}/"):
        entries = len(unpack_bundle(content))
        return {str(width): bundle_prefix(content, width) for width in range(1, entries + 1)}
    widths = range(1, len(content) // HASH_BYTES + 1)
    return {str(width): content[: width * HASH_BYTES] for width in widths}


def _remove_partial(folder: Path) -> None:
    """The partial tiles of one that is full now."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

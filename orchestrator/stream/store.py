"""One partition's RocksDB: customer documents, the timer calendar and the position that they belong to.

Everything of one committed cycle goes in as one WriteBatch, so that whatever point RocksDB comes back to after a crash is a
state that Kafka once had; what is missing is restored from the changelog. Keys: `d` + customer, `t` + due + customer, `m`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from orchestrator.errors import StoreDamaged

FORMAT: Final = 1
_DOCUMENT: Final = b"d"
_TIMER: Final = b"t"
_META: Final = b"m"
_AFTER_TIMERS: Final = b"u"

# One cache for all partitions of the process, so that memory does not grow with the assignment.
_BLOCK_CACHE: Final = Cache(128 << 20)


class Position(msgspec.Struct, array_like=True):
    """How far one partition got: the last committed cycle and what goes with it.

    `sources` maps each source topic to its next offset, `changelog` is the next changelog offset to restore from, `chain` the
    checksum of the last journal record, `newest` the newest record time handled, all in ms UTC where they are times.
    """

    cycle: int = 0
    chain: int = 0
    newest: int = 0
    sources: dict[str, int] = {}
    changelog: int = 0
    timers_from: int = 0  # no calendar entry is due before this; spares a seek over deleted ones
    written_at: int = 0


class Identity(msgspec.Struct, array_like=True, frozen=True):
    """Whose store this is; a directory of another cluster, app or partition must never be taken for it."""

    format: int
    cluster: str
    app: str
    partition: int


class _Meta(msgspec.Struct, array_like=True):
    identity: Identity
    position: Position


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(32 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    table = BlockBasedOptions()
    table.set_block_cache(_BLOCK_CACHE)
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options


class PartitionStore:
    """An open store. One thread at a time may use it; every call blocks on disk at most."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open or create. Raises StoreDamaged where the directory cannot be opened or is somebody else's."""
        self.path = path
        self.identity = identity
        if _mark_of(path).exists():
            raise StoreDamaged("the local store was found damaged while it was in use", where=str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db: Any = Rdict(str(path), _options())
        except Exception as error:  # rocksdict raises plain Exceptions
            raise StoreDamaged("the local store cannot be opened", where=str(path)) from error
        try:
            self.position = self._position_of(identity)
        except StoreDamaged:
            self.close()  # an open one would keep the directory locked
            raise

    def _position_of(self, identity: Identity) -> Position:
        try:
            raw = self._db.get(_META)
            meta = msgspec.msgpack.decode(raw, type=_Meta) if raw else _Meta(identity, Position())
        except Exception as error:
            raise StoreDamaged("the local store's position cannot be read", where=str(self.path)) from error
        if meta.identity != identity:
            raise StoreDamaged("the local store belongs to another cluster, app, partition or format", where=str(self.path))
        return meta.position

    def get_many(self, customers: Sequence[bytes]) -> list[bytes | None]:
        """Give the stored documents in the order asked; None for a customer without one. Raises StoreDamaged."""
        try:
            found: list[bytes | None] = self._db.get([_DOCUMENT + c for c in customers])
        except Exception as error:
            raise self._unreadable() from error
        return found

    def _unreadable(self) -> StoreDamaged:
        """Mark the store, so that its next opening rebuilds it: opening alone would not find the damage, and so on for ever."""
        with suppress(OSError):
            _mark_of(self.path).touch()
        return StoreDamaged(
            "the local store cannot be read", where=str(self.path), next_step="start the worker again: it rebuilds the store"
        )

    def due(self, after: tuple[int, bytes], before: int, limit: int) -> list[tuple[int, bytes]]:
        """List at most `limit` calendar entries (due ms, customer) greater than `after` and with due < `before`, in order.

        Raises StoreDamaged.
        """
        iterator = self._db.iter()
        iterator.seek(_timer_key(*after) + b"\0" if after[1] else _timer_key(after[0], b""))
        found: list[tuple[int, bytes]] = []
        end = _timer_key(before, b"")
        while len(found) < limit and iterator.valid():
            key = iterator.key()
            if key >= end:
                break
            found.append((int.from_bytes(key[1:9], "big"), key[9:]))
            iterator.next()
        self._check(iterator)
        return found

    def _check(self, iterator: Any) -> None:
        """Tell the end of the entries from an iterator that met damage, which looks the same: timers would be lost."""
        if iterator.valid():
            return
        try:
            iterator.status()
        except Exception as error:
            raise self._unreadable() from error

    def earliest_due(self, after: int) -> int | None:
        """Give the due of the first calendar entry at or after `after`, None where there is none. Raises StoreDamaged."""
        iterator = self._db.iter()
        iterator.seek(_timer_key(after, b""))
        self._check(iterator)
        if not iterator.valid():
            return None
        key = iterator.key()
        return int.from_bytes(key[1:9], "big") if key < _AFTER_TIMERS else None

    def write(
        self,
        documents: Mapping[bytes, bytes | None],
        timers_gone: Iterable[tuple[int, bytes]],
        timers_new: Iterable[tuple[int, bytes]],
        position: Position,
    ) -> None:
        """Write one committed cycle or one batch of a restore, all or nothing. A None document is deleted.

        Raises StoreDamaged: after a failed write RocksDB refuses all others until it is opened anew.
        """
        batch = WriteBatch(raw_mode=True)
        for customer, stored in documents.items():
            if stored is None:
                batch.delete(_DOCUMENT + customer)
            else:
                batch.put(_DOCUMENT + customer, stored)
        for due, customer in timers_gone:
            batch.delete(_timer_key(due, customer))
        for due, customer in timers_new:
            batch.put(_timer_key(due, customer), b"")
        position.written_at = int(time.time() * 1000)
        batch.put(_META, msgspec.msgpack.encode(_Meta(self.identity, position)))
        try:
            self._db.write(batch)
        except Exception as error:
            if "orruption" in str(error):
                raise self._unreadable() from error
            raise StoreDamaged(
                f"the local store refuses writes: {error}",
                where=str(self.path),
                next_step="make room on the disk, then start the worker again",
            ) from error
        self.position = position

    def documents(self) -> Iterable[tuple[bytes, bytes]]:
        """Walk all (customer, stored document) pairs in key order."""
        for key, value in self._db.items(from_key=_DOCUMENT):
            if not key.startswith(_DOCUMENT):
                return
            yield key[1:], value

    def close(self) -> None:
        """Close; a store that cannot even be closed is left to the next opening's checks."""
        with suppress(Exception):
            self._db.close()


def _timer_key(due: int, customer: bytes) -> bytes:
    return _TIMER + max(due, 0).to_bytes(8, "big") + customer


def _mark_of(path: Path) -> Path:
    """Beside the store, since nothing may be written into one that is damaged."""
    return path.with_name(f"{path.name}.damaged")


def move_aside(path: Path) -> Path:
    """Rename a store that cannot be trusted to `<name>.bad-<seconds>`, keep no older such copy, and give the new name.

    Raises StoreDamaged where the file system does not let it.
    """
    target = path.with_name(f"{path.name}.bad-{int(time.time())}")
    try:
        for old in path.parent.glob(f"{path.name}.bad-*"):
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()
        if path.exists():
            path.rename(target)
        _mark_of(path).unlink(missing_ok=True)
    except OSError as error:
        raise StoreDamaged(
            f"a local store that cannot be used cannot be moved aside either: {error.strerror}",
            where=str(path),
            next_step="see to the rights and the space of the state directory",
        ) from error
    return target

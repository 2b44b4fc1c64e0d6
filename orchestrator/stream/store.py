"""One partition's RocksDB: customer documents, the timer calendar and the position that they belong to.

Everything of one committed cycle goes in as one WriteBatch, so that whatever point RocksDB comes back to after a crash is a
state that Kafka once had; what is missing is restored from the changelog.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, MemtableFactory, Options, Rdict, WriteBatch, WriteOptions

from orchestrator.engine.engine import NEVER, due_bytes
from orchestrator.errors import OrchestratorError, StoreDamaged, StoreUnusable
from orchestrator.stream.batches import DOCUMENT, META, TIMER, batch_of, timer_key
from orchestrator.structs import resolved

FORMAT: Final = 1
_AFTER_TIMERS: Final = b"u"
_NEVER: Final = NEVER.to_bytes(8, "big")

_WRITE_BUFFER: Final = 32 << 20
_BULK_BUFFERS: Final = 3  # one is filled while the others are sorted and written out
_NO_LIMIT: Final = 1 << 30
# RocksDB slows writes down from 20 files on and stops them at 36, in the thread that writes: the worker's loop.
_SETTLED_FILES: Final = 16
# What no new store would cure; all else that keeps a store from being opened is taken for damage.
_NOT_DAMAGE: Final = (
    "No space left",
    "quota exceeded",
    "File too large",
    "Read-only file",
    "Too many open files",
    "Permission denied",
)

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
    # When the store was last level with Kafka, or a restore into it began: it lacks no tombstone from before.
    written_at: int = 0
    rebuilt: int = 0  # which rebuilding of the documents from events this store is of, 0 for none


class Identity(msgspec.Struct, array_like=True, frozen=True):
    """Whose store this is; a directory of another cluster, app or partition must never be taken for it."""

    format: int
    cluster: str
    app: str
    partition: int


@resolved
class _Meta(msgspec.Struct, array_like=True):
    identity: Identity
    position: Position


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    # As Kafka Streams does: documents take 1.6 times the disk, and a read that the cache does not answer 3.2 us instead of 4.4.
    options.set_compression_type(DBCompressionType.none())
    # A filter for what is in memory, too: of millions of customers most who are asked for are not there.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.02)
    table = BlockBasedOptions()
    table.set_block_cache(_BLOCK_CACHE)
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options


def _bulk_options() -> Options:
    """Options for writing only: RocksDB sorts what was written when it flushes it, in threads of its own.

    Measured at 533 bytes a document, CPU of the calling thread: 5.1 us into a skip list with RocksDB's log, 4.3 us without the
    log, 5.2 us as sorted SST files made in Python and ingested, 0.4 us so.
    """
    options = _options()
    options.set_memtable_factory(MemtableFactory.vector())
    options.set_allow_concurrent_memtable_write(False)  # the vector cannot
    options.set_max_write_buffer_number(_BULK_BUFFERS)
    options.set_level_zero_file_num_compaction_trigger(2 * _SETTLED_FILES)
    options.set_level_zero_slowdown_writes_trigger(_NO_LIMIT)
    options.set_level_zero_stop_writes_trigger(_NO_LIMIT)
    return options


class PartitionStore:
    """An open store. One thread at a time may use it; every call blocks on disk at most."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open or create. Raises StoreDamaged where the directory cannot be opened or is somebody else's."""
        self.path = path
        self.identity = identity
        if _mark_of(path).exists():
            raise StoreDamaged("the local store was found damaged while it was in use", where=str(path))
        self._db: Any = self._opened(_options())
        try:
            self.position = self._position_of(identity)
        except StoreDamaged:
            self.close()  # an open one would keep the directory locked
            raise

    def _opened(self, options: Options) -> Any:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # By name, since rocksdict opens the families of a store that exists with RocksDB's own defaults otherwise.
            return Rdict(str(self.path), options, column_families={"default": options})
        except Exception as error:  # rocksdict raises plain Exceptions
            if _is_no_damage(error):
                raise self._unusable(error) from error
            raise StoreDamaged("the local store cannot be opened", where=str(self.path)) from error

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Write much in little time meanwhile, and read nothing.

        RocksDB's own log is off: a crash throws the store back by what is in memory yet, 100 MB at most, to the position that
        was written with the last batch before. Raises as `write` does.
        """
        self.close()
        self._db = self._opened(_bulk_options())
        unlogged: Any = WriteOptions()
        unlogged.disable_wal = True
        self._db.set_write_options(unlogged)
        try:
            yield
        finally:
            self._refusing(self._db.flush)
            self.close()
            self._db = self._opened(_options())

    @property
    def is_settled(self) -> bool:
        """Whether RocksDB has put so much in order since a bulk that it takes writes at full speed."""
        return int(self._db.property_int_value("rocksdb.num-files-at-level0") or 0) < _SETTLED_FILES

    @property
    def size_bytes(self) -> int:
        """Roughly how much the store takes, on disk and in memory that is yet to be written there."""
        asked = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(int(self._db.property_int_value(name) or 0) for name in asked)

    def _position_of(self, identity: Identity) -> Position:
        try:
            raw = self._db.get(META)
            meta = msgspec.msgpack.decode(raw, type=_Meta) if raw else _Meta(identity, Position())
        except Exception as error:
            raise StoreDamaged("the local store's position cannot be read", where=str(self.path)) from error
        if meta.identity != identity:
            raise StoreDamaged("the local store belongs to another cluster, app, partition or format", where=str(self.path))
        return meta.position

    def get_many(self, customers: Sequence[bytes]) -> list[bytes | None]:
        """Give the stored documents in the order asked; None for a customer without one. Raises StoreDamaged."""
        try:
            found: list[bytes | None] = self._db.get([DOCUMENT + c for c in customers])
        except Exception as error:
            raise self._unreadable(error) from error
        return found

    def _unreadable(self, error: Exception) -> OrchestratorError:
        """Mark the store, so that its next opening rebuilds it: opening alone would not find the damage, and so on for ever."""
        if _is_no_damage(error):
            return self._unusable(error)
        try:
            _mark_of(self.path).touch()
        except OSError as refused:
            return self._unusable(refused)
        return StoreDamaged("the local store cannot be read", where=str(self.path), next_step="nothing: it is rebuilt from Kafka")

    def _unusable(self, error: Exception) -> StoreUnusable:
        return StoreUnusable(
            f"the local store cannot be used: {error}",
            where=str(self.path),
            next_step="make room on the disk, or give the rights, and start the worker again: it goes on where it stopped",
        )

    def due(self, after: tuple[int, bytes], before: int, limit: int) -> list[tuple[int, bytes]]:
        """List at most `limit` calendar entries (due ms, customer) greater than `after` and with due < `before`, in order.

        Raises StoreDamaged.
        """
        start = timer_key(*after) + b"\0" if after[1] else timer_key(after[0], b"")
        keys = self._keys(start, timer_key(before, b""), limit)
        return [(int.from_bytes(key[1:9], "big"), key[9:]) for key in keys]

    def _keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        """List at most `limit` keys from `start` on and before `end`."""
        iterator, keys = self._db.iter(), list[bytes]()
        iterator.seek(start)
        try:
            while len(keys) < limit and iterator.valid() and (key := iterator.key()) < end:
                keys.append(key)
                iterator.next()
            if not iterator.valid():
                iterator.status()  # an iterator that met damage looks like one at its end: timers would be lost
        except Exception as error:
            raise self._unreadable(error) from error
        finally:
            del iterator  # one that lives on, in a traceback too, keeps the directory locked
        return keys

    def page(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List at most `limit` documents by key, from the first key after `after`, notes included. Raises StoreDamaged."""
        iterator, found = self._db.iter(), list[tuple[bytes, bytes]]()
        iterator.seek(DOCUMENT + after + b"\0" if after else DOCUMENT)
        try:
            while len(found) < limit and iterator.valid() and (key := iterator.key()).startswith(DOCUMENT):
                found.append((key[len(DOCUMENT) :], iterator.value()))
                iterator.next()
            if not iterator.valid():
                iterator.status()
        except Exception as error:
            raise self._unreadable(error) from error
        finally:
            del iterator
        return found

    def earliest_due(self, after: int) -> int | None:
        """Give the due of the first calendar entry at or after `after`, None where there is none. Raises StoreDamaged."""
        keys = self._keys(timer_key(after, b""), _AFTER_TIMERS, 1)
        return int.from_bytes(keys[0][1:9], "big") if keys else None

    def write(
        self,
        documents: Mapping[bytes, bytes | None],
        timers_gone: Iterable[tuple[int, bytes]],
        timers_new: Iterable[tuple[int, bytes]],
        position: Position,
    ) -> None:
        """Write one committed cycle, all or nothing. A None document is deleted.

        Raises StoreDamaged where the store must be rebuilt, and StoreUnusable: after a failed write RocksDB refuses all
        others until it is opened anew.
        """
        batch = batch_of(documents, timers_gone, timers_new)
        position.written_at = int(time.time() * 1000)
        self._write(batch, position)

    def write_restored(self, documents: Mapping[bytes, bytes | None], position: Position) -> None:
        """Write one batch of a restore, all or nothing, with its position. A None document is deleted.

        Deadlines that these documents had before stay in the calendar as stale hints: deleting them would cost a read each.
        Raises as `write` does.
        """
        batch = WriteBatch(raw_mode=True)
        put, earliest = batch.put, _NEVER
        for customer, stored in documents.items():
            if stored is None:
                batch.delete(DOCUMENT + customer)
                continue
            put(DOCUMENT + customer, stored)
            due = due_bytes(stored)
            if due != _NEVER:
                put(TIMER + due + customer, b"")
                earliest = min(earliest, due)
        position.timers_from = min(position.timers_from, int.from_bytes(earliest, "big"))
        position.written_at = position.written_at or int(time.time() * 1000)
        self._write(batch, position)

    def _write(self, batch: WriteBatch, position: Position) -> None:
        batch.put(META, msgspec.msgpack.encode(_Meta(self.identity, position)))
        self._refusing(lambda: self._db.write(batch))
        self.position = position

    def _refusing(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            if "orruption" in str(error):
                raise self._unreadable(error) from error
            raise self._unusable(error) from error

    def documents(self) -> Iterable[tuple[bytes, bytes]]:
        """Walk all (customer, stored document) pairs in key order. Raises StoreDamaged."""
        iterator = self._db.iter()
        iterator.seek(DOCUMENT)
        try:
            while iterator.valid() and (key := iterator.key()).startswith(DOCUMENT):
                yield key[1:], iterator.value()
                iterator.next()
            if not iterator.valid():
                iterator.status()  # see `_keys`
        except Exception as error:
            raise self._unreadable(error) from error
        finally:
            del iterator

    def close(self) -> None:
        """Close; a store that cannot even be closed is left to the next opening's checks."""
        with suppress(Exception):
            self._db.close()


def _is_no_damage(error: Exception) -> bool:
    return any(reason in str(error) for reason in _NOT_DAMAGE)


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

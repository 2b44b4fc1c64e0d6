"""Opening a partition: its store checked, brought up to Kafka from the changelog, and its position settled.

Whatever is wrong with a store, the answer is the same: move it aside and rebuild it from the changelog, which has everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import PositionLost, StoreDamaged
from orchestrator.observe import metrics
from orchestrator.observe.logs import logger
from orchestrator.stream import changelog, positions
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.patience import patiently
from orchestrator.stream.store import FORMAT, Identity, PartitionStore, Position, move_aside

log = logger(__name__)

DEFAULT_TOMBSTONES_KEPT_MS: Final = 24 * 3_600_000  # Kafka's own default of delete.retention.ms
# One partition alone waits for each answer of the broker, and for RocksDB's flush at its end. More than two are no faster on two
# cores, and each takes 130 MB while it lasts.
_AT_ONCE: Final = 2


class Source(Struct, frozen=True):
    """Where to restore from and what the partition reads."""

    cluster: str
    app: str
    topics: Sequence[str]
    changelog: str
    journal: str
    client: Mapping[str, Any]  # librdkafka settings for the restoring consumers, group.id included
    # A store not written for longer may have missed tombstones that compaction has removed since.
    max_age_ms: int
    rebuilt: Mapping[int, int] = {}  # when partitions' documents were rebuilt from events, ms UTC


def open_all(
    source: Source, state_dir: Path, partitions: Sequence[int], is_stopped: Callable[[], bool]
) -> dict[int, PartitionStore]:
    """Open the partitions' stores, some at a time, each in a thread. All, or none: the first that fails interrupts the others.

    Blocks. Raises as `Restorer.open`.
    """
    failures: list[BaseException] = []
    opened: dict[int, PartitionStore] = {}

    def open_share(share: Sequence[int]) -> None:
        try:
            restorer = Restorer(source, state_dir, lambda: bool(failures) or is_stopped())
            try:
                for partition in share:
                    opened[partition] = restorer.open(partition)
            finally:
                restorer.close()
        except BaseException as error:
            failures.append(error)

    with ThreadPoolExecutor(_AT_ONCE, "restore-share") as threads:
        for share in (partitions[n::_AT_ONCE] for n in range(_AT_ONCE)):
            if share:
                threads.submit(open_share, share)
    if failures:
        for store in opened.values():
            store.close()
        raise failures[0]
    return opened


class Restorer:
    """Opens partitions, one after the other, in one thread. Blocks on Kafka and disk."""

    def __init__(self, source: Source, state_dir: Path, is_stopped: Callable[[], bool]) -> None:
        self._source = source
        self._state_dir = state_dir
        self._is_stopped = is_stopped
        self._reader = kafka.consumer(self.reader_config(source))
        # Sees the true end of a log.
        self._gauge = kafka.consumer({**self.reader_config(source), "isolation.level": "read_uncommitted"})

    @staticmethod
    def reader_config(source: Source) -> dict[str, Any]:
        """Give librdkafka's settings for the reader of changelogs; the user's may tune it, not change what it reads."""
        return {
            **changelog.FETCHING,
            **source.client,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }

    def close(self) -> None:
        """End the restoring consumers."""
        self._reader.close()
        self._gauge.close()

    def open(self, partition: int) -> PartitionStore:
        """Give the partition's store, level with Kafka, its position settled. Goes on trying for a minute while Kafka is away.

        Raises Interrupted, PositionLost, Unreachable, StoreUnusable, StoreDamaged (where even a new store cannot be made).
        """
        try:
            return self._open(partition)
        except StoreDamaged as error:  # met while it was made level; it is marked now, so that the next opening rebuilds it
            log.warning("store_damaged", partition=partition, why=error.what)
        return self._open(partition)

    def _open(self, partition: int) -> PartitionStore:
        return patiently(lambda: self._open_once(partition), "the changelog", self._is_stopped, partition=partition)

    def _open_once(self, partition: int) -> PartitionStore:
        # First the position: waiting for stable offsets also waits out the previous owner's transaction.
        where = self._where(partition)
        return self._level(self._trusted_store(partition, where), where)

    def _level(self, store: PartitionStore, where: positions.Committed | None) -> PartitionStore:
        try:
            self._make_level(store, where)
        except BaseException:
            store.close()  # left open it would keep the directory locked, and the next opening would take it for damaged
            raise
        return store

    def _make_level(self, store: PartitionStore, where: positions.Committed | None) -> None:
        started, partition = time.monotonic(), store.identity.partition
        topic = self._source.changelog
        restored = changelog.catch_up(self._reader, store, topic, self._changelog_bounds(partition), self._is_stopped)
        if where is not None:
            position = Position(where.cycle, where.chain, where.newest, where.sources, store.position.changelog)
            position.timers_from, position.rebuilt = store.position.timers_from, store.position.rebuilt
        else:
            position = store.position
        position.sources = {
            topic: positions.check_in_log(self._gauge, topic, partition, position.sources.get(topic))
            for topic in self._source.topics
        }
        store.write({}, (), (), position)
        store.earliest_due(position.timers_from)  # damage in the calendar is met here, where a rebuild is at hand
        seconds = time.monotonic() - started
        log.info("partition_open", partition=partition, cycle=position.cycle, restored=restored, seconds=round(seconds, 2))

    def _where(self, partition: int) -> positions.Committed | None:
        found = positions.committed(self._reader, self._source.topics, partition)
        deadline = time.monotonic() + changelog.STABLE_END_TIMEOUT_S
        while not self._is_stopped():
            tail = positions.journal_tail(self._reader, self._source.journal, partition)
            if found is None or not found.cycle:
                return tail
            if tail is not None and tail.cycle == found.cycle and tail.chain == found.chain:
                return found
            if (tail is not None and tail.cycle > found.cycle) or time.monotonic() > deadline:
                break
            time.sleep(0.1)  # the commit's marker is on its way to the journal
        else:
            raise Interrupted
        raise PositionLost(
            f"the group's offsets are of cycle {found.cycle}, the journal ends with cycle {tail.cycle if tail else 0}",
            where=f"{self._source.journal}/{partition}",
            next_step="a topic was made anew or offsets were reset: restore the topics, or set a new `app` in streams.yaml",
        )

    def _trusted_store(self, partition: int, where: positions.Committed | None) -> PartitionStore:
        path = self._state_dir / "partitions" / str(partition)
        identity = Identity(FORMAT, self._source.cluster, self._source.app, partition)
        try:
            store = PartitionStore(path, identity)
        except StoreDamaged as error:
            doubt = error.what
        else:
            try:
                doubt = self._doubt(store, where)
            except BaseException:
                store.close()
                raise
            if not doubt:
                return self._marked(store)
            store.close()
        aside = move_aside(path)
        metrics.STORES_REBUILT.labels(partition).inc()
        log.warning("store_rebuilt", partition=partition, why=doubt, moved_to=str(aside))
        return self._marked(PartitionStore(path, identity))

    def _marked(self, store: PartitionStore) -> PartitionStore:
        """Note in a store, with whatever it writes next, which rebuilding of the documents it is of."""
        store.position.rebuilt = self._source.rebuilt.get(store.identity.partition, 0)
        return store

    def _doubt(self, store: PartitionStore, where: positions.Committed | None) -> str:
        """Tell why a store that could be opened must not be used; the empty string if it may."""
        position = store.position
        if not position.cycle and not position.changelog:
            return ""
        if position.rebuilt != self._source.rebuilt.get(store.identity.partition, 0):
            return "the state was rebuilt from events since"
        low, high = self._changelog_bounds(store.identity.partition)
        cycle = where.cycle if where is not None else 0
        if position.cycle > cycle:
            return "it is ahead of Kafka"
        if where is not None and position.cycle == cycle and position.chain != where.chain:
            return "its history differs from Kafka's"
        if not low <= position.changelog <= high:
            return "the changelog no longer holds what follows it"
        if time.time() * 1000 - position.written_at > self._source.max_age_ms:
            return "it was not written for too long"
        return ""

    def _changelog_bounds(self, partition: int) -> tuple[int, int]:
        return positions.bounds(self._gauge, self._source.changelog, partition)

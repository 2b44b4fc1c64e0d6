"""Opening a partition: its store checked, brought up to Kafka from the changelog, and its position settled.

Whatever is wrong with a store, the answer is the same: move it aside and rebuild it from the changelog, which has everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.engine.engine import NEVER, next_due
from orchestrator.errors import PositionLost, StoreDamaged, Unreachable
from orchestrator.observe.logs import logger
from orchestrator.stream import positions
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.failpoints import Failpoint, reach
from orchestrator.stream.store import FORMAT, Identity, PartitionStore, Position, move_aside

log = logger(__name__)

_BATCH: Final = 20_000
_SAY_EVERY_S: Final = 2.0
DEFAULT_TOMBSTONES_KEPT_MS: Final = 24 * 3_600_000  # Kafka's own default of delete.retention.ms
# How long a dead worker's open transaction may keep the end of the changelog from being read.
STABLE_END_TIMEOUT_S: Final = 60.0
# How long an opening outlasts brokers that are out of reach; who starts the process again tries for longer.
REACH_TIMEOUT_S: Final = 60.0
_PAUSE_S: Final = 1.0


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


class Restorer:
    """Opens partitions, one after the other, in one thread. Blocks on Kafka and disk."""

    def __init__(self, source: Source, state_dir: Path, is_stopped: Callable[[], bool]) -> None:
        self._source = source
        self._state_dir = state_dir
        self._is_stopped = is_stopped
        common = {
            "fetch.wait.max.ms": 20,  # the end of a log is told when a fetch finds nothing: 500 ms each by default
            **source.client,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
        self._reader = kafka.consumer({**common, "isolation.level": "read_committed"})
        self._gauge = kafka.consumer({**common, "isolation.level": "read_uncommitted"})  # sees the true end of a log

    def close(self) -> None:
        """End the restoring consumers."""
        self._reader.close()
        self._gauge.close()

    def open(self, partition: int) -> PartitionStore:
        """Give the partition's store, level with Kafka, its position settled. Goes on trying for a minute while Kafka is away.

        Raises Interrupted, PositionLost, Unreachable, StoreDamaged (where even a new store cannot be made).
        """
        deadline = time.monotonic() + REACH_TIMEOUT_S
        while True:
            # First the position: waiting for stable offsets also waits out the previous owner's transaction.
            try:
                where = self._where(partition)
                return self._level(self._trusted_store(partition, where), where)
            except (KafkaException, Unreachable) as error:
                if time.monotonic() > deadline:
                    raise error if isinstance(error, Unreachable) else positions.unreachable("the changelog", error) from error
                log.warning("restore_waits", partition=partition, why=str(error).splitlines()[0])
            if self._is_stopped():
                raise Interrupted
            time.sleep(_PAUSE_S)

    def _level(self, store: PartitionStore, where: positions.Committed | None) -> PartitionStore:
        try:
            self._make_level(store, where)
        except BaseException:
            store.close()  # left open it would keep the directory locked, and the next opening would take it for damaged
            raise
        return store

    def _make_level(self, store: PartitionStore, where: positions.Committed | None) -> None:
        started, partition = time.monotonic(), store.identity.partition
        restored = self._catch_up(store)
        if where is not None:
            position = Position(where.cycle, where.chain, where.newest, where.sources, store.position.changelog)
            position.timers_from = store.position.timers_from
        else:
            position = store.position
        position.sources = {
            topic: positions.check_in_log(self._gauge, topic, partition, position.sources.get(topic))
            for topic in self._source.topics
        }
        store.write({}, (), (), position)
        seconds = time.monotonic() - started
        log.info("partition_open", partition=partition, cycle=position.cycle, restored=restored, seconds=round(seconds, 2))

    def _where(self, partition: int) -> positions.Committed | None:
        found = positions.committed(self._reader, self._source.topics, partition)
        deadline = time.monotonic() + STABLE_END_TIMEOUT_S
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
                return store
            store.close()
        aside = move_aside(path)
        log.warning("store_rebuilt", partition=partition, why=doubt, moved_to=str(aside))
        return PartitionStore(path, identity)

    def _doubt(self, store: PartitionStore, where: positions.Committed | None) -> str:
        """Tell why a store that could be opened must not be used; the empty string if it may."""
        position = store.position
        if not position.cycle and not position.changelog:
            return ""
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

    def _catch_up(self, store: PartitionStore) -> int:
        """Write the changelog from the store's offset on to its end into the store; give how many documents came.

        The end is the log's true end, so that a commit whose marker is still on its way is waited for.
        """
        partition = store.identity.partition
        low, target = self._changelog_bounds(partition)
        start = max(store.position.changelog, low)
        if start >= target:
            return 0
        progress = _Progress(partition, start, target)
        self._reader.assign([TopicPartition(self._source.changelog, partition, start)])
        try:
            while progress.reached < target:
                if self._is_stopped():
                    raise Interrupted
                reach(Failpoint.RESTORE_BATCH_READY)
                self._batch(store, progress)
                reach(Failpoint.RESTORE_BATCH_WRITTEN)
        finally:
            self._reader.unassign()
        return progress.documents

    def _batch(self, store: PartitionStore, progress: _Progress) -> None:
        documents: dict[bytes, bytes | None] = {}
        message: Any
        for message in self._reader.consume(_BATCH, 0.2):
            error = message.error()
            if error is None:
                documents[message.key()] = message.value()
                progress.documents += 1
                progress.reached = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                progress.reached = max(progress.reached, message.offset())
            else:
                raise KafkaException(error)
        due = [(next_due(stored), customer) for customer, stored in documents.items()]
        # Deadlines that these documents had before stay in the calendar as stale hints: deleting them would cost a read each.
        timers = [entry for entry in due if entry[0] != NEVER]
        position = store.position
        position.changelog = progress.reached
        if timers:
            position.timers_from = min(position.timers_from, min(timers)[0])
        store.write(documents, (), timers, position)
        progress.say(moved=bool(documents))


class _Progress:
    """How far a restore got, said now and then, and given up where nothing moves."""

    def __init__(self, partition: int, start: int, target: int) -> None:
        self.partition = partition
        self.start = self.reached = start
        self.target = target
        self.documents = 0
        self._said = self._moved = time.monotonic()

    def say(self, *, moved: bool) -> None:
        now = time.monotonic()
        if moved:
            self._moved = now
        elif now - self._moved > STABLE_END_TIMEOUT_S:
            raise Unreachable(
                f"the changelog's end stays out of reach: {self.reached} of {self.target}",
                where=f"partition {self.partition}",
                next_step="look for a hanging transaction (kafka-transactions.sh find-hanging)",
            )
        if now - self._said > _SAY_EVERY_S:
            self._said = now
            done = (self.reached - self.start) / max(1, self.target - self.start)
            log.info("restoring", partition=self.partition, documents=self.documents, done_percent=round(100 * done))

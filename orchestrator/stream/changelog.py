"""Reading a partition's changelog into its store: fast, in bounded memory, and going on where it stopped.

Every batch is written together with the offset after it, so that a restore which is ended anyhow, killed too, goes on from there.
A store counts as complete only when that offset is the log's end, which whoever opens it asks for each time.

The documents are not decoded: the one thing that is needed of them, the deadline, stands at a fixed place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from orchestrator.errors import Unreachable
from orchestrator.observe import metrics
from orchestrator.observe.logs import logger
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.failpoints import Failpoint, reach
from orchestrator.stream.store import PartitionStore

log = logger(__name__)

# Larger batches are not faster; they only hold more memory, and a record may have a megabyte.
_BATCH: Final = 5_000
_WAIT_S: Final = 0.1
_BULK_FROM: Final = 50_000  # offsets; below, opening RocksDB in another mode and back costs more than it spares
_SAY_EVERY_S: Final = 2.0
# How long a dead worker's open transaction may keep the end of the changelog from being read.
STABLE_END_TIMEOUT_S: Final = 60.0
_SETTLE_TIMEOUT_S: Final = 600.0
_SETTLE_PAUSE_S: Final = 0.05

# librdkafka's queue and one answer of a broker bound what is fetched ahead; its default of 1000 for the back-off makes a reader
# that is faster than the fetcher wait for a second each time that the queue was full.
FETCHING: Final[Mapping[str, Any]] = {
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 32_768,
    "fetch.message.max.bytes": 4_194_304,
    "fetch.queue.backoff.ms": 2,
    "fetch.wait.max.ms": 20,  # the end of a log is told when a fetch finds nothing: 500 ms each by default
}


def catch_up(reader: Consumer, store: PartitionStore, topic: str, bounds: tuple[int, int], is_stopped: Callable[[], bool]) -> int:
    """Write the changelog from the store's offset on to its end into the store; give how many documents came.

    `bounds` are the log's first and next offset, its true end, so that a commit whose marker is still on its way is waited for.
    The reader loses its assignment. Blocks. Raises Interrupted, KafkaException, Unreachable, StoreDamaged, StoreUnusable.
    """
    low, target = bounds
    start = max(store.position.changelog, low)
    if start >= target:
        return 0
    progress = Progress(store.identity.partition, start, target)
    reader.assign([TopicPartition(topic, store.identity.partition, start)])
    is_bulk = target - start >= _BULK_FROM
    try:
        with store.bulk() if is_bulk else nullcontext():
            while progress.reached < target:
                if is_stopped():
                    raise Interrupted
                reach(Failpoint.RESTORE_BATCH_READY)
                _batch(reader, store, progress)
                reach(Failpoint.RESTORE_BATCH_WRITTEN)
    finally:
        reader.unassign()
    if is_bulk:
        _settle(store, is_stopped)
    return progress.documents


def _batch(reader: Consumer, store: PartitionStore, progress: Progress) -> None:
    messages: list[Any] = reader.consume(_BATCH, _WAIT_S)
    documents = {message.key(): message.value() for message in messages if message.error() is None}
    others = [message for message in messages if message.error() is not None]
    for message in others:
        if message.error().code() != KafkaError._PARTITION_EOF:
            raise KafkaException(message.error())
    reached = progress.reached
    if messages:
        reached = messages[-1].offset() + (messages[-1].error() is None)  # an end's offset is that of what comes next
    if reached > progress.reached:
        position = store.position
        position.changelog = reached
        store.write_restored(documents, position)
    progress.moved_to(reached, len(messages) - len(others))


def _settle(store: PartitionStore, is_stopped: Callable[[], bool]) -> None:
    """Wait until RocksDB has put in order what a bulk left, so that it does not hold up the worker's loop later."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    while not store.is_settled and time.monotonic() < deadline:
        if is_stopped():
            raise Interrupted
        time.sleep(_SETTLE_PAUSE_S)


class Progress:
    """How far a restore got, said now and then, and given up where nothing moves."""

    def __init__(self, partition: int, start: int, target: int) -> None:
        self.partition = partition
        self.start = self.reached = start
        self.target = target
        self.documents = 0
        self._began = self._said = self._moved = time.monotonic()
        self._documents_total = metrics.RESTORED_DOCUMENTS.labels(partition)
        self._remaining = metrics.RESTORE_REMAINING.labels(partition)
        self._eta = metrics.RESTORE_ETA.labels(partition)
        self._show()

    def moved_to(self, reached: int, documents: int) -> None:
        """Note a batch, or that none came. Raises Unreachable where nothing came for a minute."""
        now = time.monotonic()
        if reached > self.reached:
            self.reached, self._moved = reached, now
            self.documents += documents
            self._documents_total.inc(documents)
            self._show()
        elif now - self._moved > STABLE_END_TIMEOUT_S:
            raise Unreachable(
                f"the changelog's end stays out of reach: {self.reached} of {self.target}",
                where=f"partition {self.partition}",
                next_step="look for a hanging transaction (kafka-transactions.sh find-hanging)",
            )
        if now - self._said > _SAY_EVERY_S:
            self._said = now
            self._say()

    @property
    def eta_s(self) -> float:
        """Seconds that the rest takes at the rate so far."""
        done = self.reached - self.start
        return (self.target - self.reached) * (time.monotonic() - self._began) / done if done else 0.0

    def _show(self) -> None:
        self._remaining.set(max(0, self.target - self.reached))
        self._eta.set(self.eta_s)

    def _say(self) -> None:
        done, todo = self.reached - self.start, self.target - self.start
        log.info(
            "restoring",
            partition=self.partition,
            documents=self.documents,
            documents_per_s=round(self.documents / (time.monotonic() - self._began)),
            done_offsets=done,
            of_offsets=todo,
            done_percent=round(100 * done / max(1, todo)),
            eta_s=round(self.eta_s, 1),
        )

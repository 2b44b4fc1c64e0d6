"""Brings one cycle at a time into Kafka, in a thread of its own, while the loop folds the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any, Final

from confluent_kafka import TopicPartition
from msgspec import Struct

from orchestrator.errors import Unreachable
from orchestrator.observe import metrics
from orchestrator.observe.logs import logger
from orchestrator.stream import positions
from orchestrator.stream.commit import (
    Commit,
    Interrupted,
    Outcome,
    TransactionalProducer,
    producer_config,
)
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.partition import Partition
from orchestrator.stream.producing import Produce

log = logger(__name__)

RETRY_S: Final = 1.0


class Ended(Struct, frozen=True):
    """What became of a cycle: whether Kafka has it, and what the producer told. `touched` are the partitions that it closed."""

    touched: list[Partition]
    commit: Commit
    landed: bool


class Committer:
    """The worker's one producer. At most one cycle is under way; what became of it must be taken before the next one begins."""

    def __init__(
        self, config: WorkerConfig, topics: Sequence[str], is_stopping: Callable[[], bool], when_over: Callable[[], None]
    ) -> None:
        """`when_over` is called in the loop when a cycle is over."""
        self._config = config
        self._when_over = when_over
        self._topics = topics
        self._is_stopping = is_stopping
        self._under_way: asyncio.Task[Ended] | None = None
        self._thread = ThreadPoolExecutor(1, "commit")
        streams = config.topology.streams
        producer = producer_config(config.kafka, f"{streams.app}-{config.identity.id}")
        self.producer = TransactionalProducer(producer, streams.changelog, is_stopping)

    async def open(self, patience_s: float) -> None:
        """End what an earlier process of this worker left open. Raises as the producer's `open`."""
        await self._do(self.producer.open, patience_s)

    async def open_if_closed(self) -> None:
        """Open where `close_producer` was called. Raises as the producer's `open`."""
        await self._do(self.producer.open_if_closed)

    async def close_producer(self) -> None:
        """Let go of the producer; it can be opened again."""
        await self._do(self.producer.close)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    async def _do(self, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    @property
    def is_busy(self) -> bool:
        """Whether there is a cycle of which it was not taken yet what became of it."""
        return self._under_way is not None

    @property
    def is_over(self) -> bool:
        """Whether it can be taken what became of a cycle."""
        return self._under_way is not None and self._under_way.done()

    def begin(self, touched: list[Partition], records: Sequence[Produce], offsets: Sequence[TopicPartition], group: Any) -> None:
        """Send a cycle on its way."""
        assert self._under_way is None, "one cycle at a time"
        self._under_way = asyncio.get_running_loop().create_task(self._bring(touched, records, offsets, group))
        self._under_way.add_done_callback(lambda _: self._when_over())

    async def _bring(
        self, touched: list[Partition], records: Sequence[Produce], offsets: Sequence[TopicPartition], group: Any
    ) -> Ended:
        with metrics.COMMIT.time():
            commit = await self._do(self.producer.run, records, offsets, group)
        landed = commit.outcome is Outcome.COMMITTED
        if commit.outcome is Outcome.UNKNOWN:
            landed = await self._do(self._find_out, touched[0])
        return Ended(touched, commit, landed)

    async def over(self) -> None:
        """Wait until the cycle that is under way is over."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])

    def take(self) -> Ended:
        """Give what became of the cycle that is over. Raises what the producer's `run` raises."""
        assert self._under_way is not None
        task, self._under_way = self._under_way, None
        return task.result()

    async def forgotten(self) -> None:
        """Wait until the cycle that is under way is over, whatever becomes of it. Raises as `take`."""
        await self.over()
        if self.is_over:
            self.take()

    def _find_out(self, partition: Partition) -> bool:
        """Tell whether a transaction of unknown fate landed. A new producer ends it either way; then its offsets tell."""
        self.producer.open()
        while True:
            try:
                found = self.last_cycle(partition.number)
                break
            except Unreachable as error:
                log.warning("unknown_commit_waits", why=error.what)
            if self._is_stopping():
                raise Interrupted
            sleep(RETRY_S)
        # The checksum too: another worker may have taken the partition over and committed a cycle of the same number.
        landed = found is not None and positions.metadata_of(found.cycle, found.chain, found.newest) == partition.offset_metadata
        log.warning("unknown_commit_settled", landed=landed)
        return landed

    def last_cycle(self, number: int) -> positions.Committed | None:
        """Ask Kafka for the last cycle of a partition. Raises Unreachable."""
        return positions.last_cycle(self._config.kafka, self._config.topology.streams, self._topics, number)

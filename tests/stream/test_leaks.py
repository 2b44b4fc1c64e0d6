"""Nothing is left behind by partitions that come and go: memory, files, threads and tasks stay as they were (invariant I8)."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import TopicPartition

from orchestrator.errors import WorkerFenced
from orchestrator.stream.app import JourneyApp
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.worker import WorkerConfig
from orchestrator.wire.schemas import load_schemas
from tests.brokers import Broker
from tests.contract.cdnow import some_purchases
from tests.contract.stage import Stage

ROUNDS: Final = 30
WARM_UP: Final = 5  # rounds; what is made once and kept is made by then
FENCED_EVERY: Final = 10  # rounds; then its clients are made anew as well
SPARE: Final = ROUNDS // 3  # timers and requests come and go; what one round in three leaves behind shows
SPARE_MB: Final = 40  # librdkafka's and RocksDB's arenas grow by steps
PATIENCE_S: Final = 120.0
HASTY: Final = {"heartbeat.interval.ms": "100", "session.timeout.ms": "6000"}


class Counts:
    """What this process holds."""

    def __init__(self) -> None:
        gc.collect()
        self.tasks = len(asyncio.all_tasks())
        self.threads = threading.active_count()
        self.native_threads = len(list(Path("/proc/self/task").iterdir()))
        self.files = len(list(Path("/proc/self/fd").iterdir()))
        self.rss_mb = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000

    def __repr__(self) -> str:
        return str(vars(self))

    def exceeds(self, other: Counts) -> bool:
        counted = ("tasks", "threads", "native_threads", "files")
        more = any(getattr(self, name) > getattr(other, name) + SPARE for name in counted)
        return more or self.rss_mb > other.rss_mb + SPARE_MB


class Rounds:
    """One worker in this process, whose partitions come and go."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        kafka = {"bootstrap.servers": stage.broker.bootstrap, **HASTY}
        self.identity = WorkerIdentity(folder, "w0")
        self.app = JourneyApp(WorkerConfig(stage.topology, load_schemas(), "p", kafka, self.identity, "c"))

    @property
    def open(self) -> int:
        return len(self.app.worker._partitions)

    async def wait(self, what: str, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():
                assert self.app.crash_reason is None, f"{what}: {self.app.crash_reason!r}"
                await asyncio.sleep(0.02)

    async def round(self) -> None:
        """All partitions are taken and given back, as the poll thread tells it when the group does so."""
        consumer = self.app.consumer
        parts = [TopicPartition(tp.topic, tp.partition) for tp in consumer.assignment()]
        consumer._commands.put(lambda: consumer._on_revoke(consumer._client, parts))
        consumer._commands.put(lambda: consumer._on_assign(consumer._client, parts))
        generation = consumer._generation
        await self.wait("all are open again", lambda: consumer._generation > generation and self.open == 2)

    async def fencing(self) -> None:
        """The consumer is told that it is fenced, as after its time-outs, and joins anew."""
        generation = self.app.consumer._generation
        self.app.consumer.join_anew(WorkerFenced("a test says so", is_own_doing=True))
        await self.wait("it has joined anew", lambda: self.app.consumer._generation > generation and self.open == 2)


async def _settled(before: Counts) -> Counts:
    """What is held once what was let go of has ended, or half a minute has passed."""
    for _ in range(150):
        if not Counts().exceeds(before):
            break
        await asyncio.sleep(0.2)
    return Counts()


async def _scenario(rounds: Rounds) -> tuple[Counts, Counts]:
    rounds.app.finalize()
    await rounds.app.start()
    try:
        await rounds.wait("all are open", lambda: rounds.open == 2)
        await rounds.fencing()
        for _ in range(WARM_UP):
            await rounds.round()
        before = Counts()
        for number in range(ROUNDS):
            await (rounds.fencing() if number % FENCED_EVERY == 0 else rounds.round())
        return before, await _settled(before)
    finally:
        await rounds.app.stop()
        rounds.identity.release()


def test_partitions_that_come_and_go_leave_nothing_behind(embedded: Broker, tmp_path: Path) -> None:
    stage = Stage(embedded, tmp_path, partitions=2)
    stage.produce(some_purchases(100))
    before, after = asyncio.run(_scenario(Rounds(stage, tmp_path / "state")))
    assert not after.exceeds(before), f"{before} -> {after}"

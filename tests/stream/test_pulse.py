"""A worker that is slow against one that stood still: only the second has to find the ends of its logs anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from msgspec.structs import replace

from orchestrator.stream import worker as worker_module
from orchestrator.stream.blocks import Block
from orchestrator.stream.clock import TIMER_GRACE_MS
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.worker import JourneyWorker
from tests.stream.bench import NUMBER, SCHEMAS, START, TOPOLOGY, Bench, block, purchase

NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}


class Reader:
    """The consumer's side towards the worker; `found` is when it last looked at the logs, `under_way` what it found there."""

    def __init__(self) -> None:
        self.epoch, self.lost_sight = 0, False
        self.read: list[dict[TP, int]] = []
        self.found, self.under_way = 0, False

    def read_from(self, offsets: dict[TP, int]) -> None:
        self.read.append(dict(offsets))

    def looked(self, partition: int, next_offsets: Mapping[str, int]) -> int | None:
        return None if self.under_way else self.found

    def handled(self, block: Block) -> None:
        self.under_way = False


class Rig:
    """A worker without its loop, on one partition, with a wall clock to set."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "bench")
        self.reader = Reader()
        self.identity = WorkerIdentity(folder / "state", "w0")
        app: Any = SimpleNamespace(consumer=self.reader, should_stop=False)
        config = WorkerConfig(TOPOLOGY, SCHEMAS, "p", NOWHERE, self.identity, "c", wall=lambda: self.bench.now)
        self.worker = JourneyWorker(app, config)
        self.worker._partitions = {NUMBER: self.bench.partition}
        self.reader.found = self.bench.now

    def take(self, *blocks: Block) -> int:
        self.worker._inbox.extend(blocks)
        return self.worker._handle_blocks()

    def set_clock(self, now: int) -> None:
        """Set the wall clock as if it had gone there while the worker was busy, not standing still."""
        self.bench.now = self.worker._pulse = now
        self.worker._stood_still = False
        if not self.reader.under_way:
            self.reader.found = now

    def close(self) -> None:
        self.bench.close()
        self.identity.release()
        self.worker._committer.close()
        self.worker._restore_thread.shutdown()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def _wait_long_due(rig: Rig) -> int:
    """A purchase long ago, its 60 days over, all read to the end; gives when the timer came due."""
    rig.take(block(purchase("c1", START, 0)))
    rig.bench.commit()
    rig.bench.caught_up()
    return rig.bench.partition.calendar.earliest


def test_t4_t5_after_the_last_record_of_a_backlog_what_is_long_due_fires_at_once(rig: Rig) -> None:
    _wait_long_due(rig)
    assert rig.worker._timers_due()
    assert rig.worker._fire_timers() == 1
    assert rig.reader.read == []


def test_t5_what_came_before_a_deadline_is_handled_before_the_timer_fires_however_busy_the_worker(rig: Rig) -> None:
    due = _wait_long_due(rig)
    rig.set_clock(due - 100)
    rig.worker._note_looks()
    rig.set_clock(due + 60_000)
    rig.reader.under_way = True
    assert not rig.worker._timers_due()
    assert rig.worker._fire_timers() == 0
    rig.reader.under_way, rig.reader.found = False, due + TIMER_GRACE_MS
    assert rig.worker._timers_due()
    assert rig.worker._fire_timers() == 1


def test_a_busy_loop_is_not_taken_for_a_process_that_stood_still(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "STALL_MS", 400)
    began = monotonic()
    rig.worker.config = replace(rig.worker.config, wall=lambda: int((monotonic() - began) * 1000))
    rig.worker._pulse = 0
    beat = Thread(target=rig.worker._beat)
    beat.start()
    while monotonic() < began + 1.0:
        sum(range(1000))
    rig.worker._check_sight()
    rig.worker._stopped.set()
    beat.join()
    assert rig.reader.read == []


def test_t6_a_process_that_stood_still_reads_again_before_any_timer_fires(rig: Rig) -> None:
    _wait_long_due(rig)
    rig.bench.now += worker_module.STALL_MS + 1
    assert rig.worker._fire_timers() == 0
    rig.worker._check_sight()
    assert rig.reader.read == [{TP(topic, NUMBER): next_ for topic, next_ in rig.bench.partition.next_offsets.items()}]
    assert not rig.bench.partition.clock.caught_up

"""Gauges that nobody could keep up to date for nothing: looked at every 15 s, in a thread beside the loop.

Counting timers walks a partition's calendar, a thousand entries a turn of the loop, and is repeated only after 200 times as long
as it took, so that it costs half a percent of a core at most, however many there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from faust.types import TP

from orchestrator.engine.engine import NEVER
from orchestrator.observe import metrics
from orchestrator.stream.ends import LogEnds

EVERY_S: Final = 15.0
FIRST_S: Final = 1.0
_REST: Final = 200
_CHUNK: Final = 1_000
_BREATH_S: Final = 0.01
Ask = Callable[[Callable[[], Any]], Any]


class Sampling:
    """Looks at one worker; `ask` has the loop answer a question."""

    def __init__(self, worker: Any, ask: Ask) -> None:
        self._worker = worker
        self._ask = ask
        self._ends = LogEnds(worker.config.kafka, worker.config.wall)
        self._shown: set[int] = set()
        self._count_at = 0.0

    def run(self) -> None:
        """Look again and again; ends with the process."""
        pause = FIRST_S
        while True:
            time.sleep(pause)
            try:
                pause = EVERY_S if self.look() else FIRST_S
            except TimeoutError:
                pause = EVERY_S  # the loop has no turn for this just now

    def look(self) -> bool:
        """Set all gauges once; tell whether there was a partition to look at. Raises TimeoutError."""
        worker, topics = self._worker, tuple(self._worker.topics)
        metrics.READY.set(bool(worker.is_ready))
        numbers: list[int] = self._ask(lambda: sorted(worker.partitions))
        for gone in self._shown - set(numbers):
            metrics.forget_partition(gone, topics)
        self._shown = set(numbers)
        if not numbers:
            return False
        self._ends.ask(TP(topic, number) for topic in topics for number in numbers)
        for number in numbers:
            self._ask(partial(self._show, number))
        if time.monotonic() >= self._count_at:
            began = time.monotonic()
            for number in numbers:
                self._count(number)
            # The pauses between the chunks count as work here: the safe side.
            self._count_at = time.monotonic() + (time.monotonic() - began) * _REST
        return True

    def _show(self, number: int) -> None:
        partition = self._worker.partitions.get(number)
        if partition is None:
            return
        for topic, next_offset in partition.next_offsets.items():
            tp = TP(topic, number)
            behind = self._ends.behind(tp, next_offset, self._worker.app.consumer.read_to(tp))
            metrics.LAG.labels(topic, number).set(behind)
        delay = self._worker.config.wall() - partition.clock.timers_before()
        metrics.WATERMARK_DELAY.labels(number).set(max(0, delay) / 1000)
        metrics.STOPPED.labels(number).set(partition.breaker.is_open)
        metrics.STORE_BYTES.labels(number).set(partition.store.size_bytes)

    def _count(self, number: int) -> None:
        """Walk one calendar; give up where the partition goes meanwhile."""
        pending, overdue, after = 0, 0, (0, b"")
        while True:
            found = self._ask(partial(self._chunk, number, after))
            if found is None:
                return
            entries, before = found
            pending += len(entries)
            overdue += sum(due < before for due, _ in entries)
            if len(entries) < _CHUNK:
                break
            after = entries[-1]
            time.sleep(_BREATH_S)
        metrics.TIMERS_PENDING.labels(number).set(pending)
        metrics.OVERDUE.labels(number).set(overdue)

    def _chunk(self, number: int, after: tuple[int, bytes]) -> tuple[list[tuple[int, bytes]], int] | None:
        partition = self._worker.partitions.get(number)
        if partition is None:
            return None
        start = after if after[1] else (partition.store.position.timers_from, b"")
        return partition.store.due(start, NEVER, _CHUNK), partition.overdue_before

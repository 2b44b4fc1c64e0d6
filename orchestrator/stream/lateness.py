"""How late timers fire (invariant I9): in metrics always, in the log where it is more than a moment.

The decisions of a late timer stand at its deadline, and the journal's sweep says up to when the clock had come: the two together
tell the lateness of each, for ever. This is for whoever looks now.
"""

from __future__ import annotations

from typing import Final

from orchestrator.observe import metrics
from orchestrator.observe.logs import logger
from orchestrator.stream.clock import TIMER_GRACE_MS, WallClock

log = logger(__name__)

LATE_MS: Final = 10_000
_SAY_EVERY_MS: Final = 10_000


class Lateness:
    """Of one partition's timers; told of each batch that fired."""

    def __init__(self, partition: int, wall: WallClock) -> None:
        self._partition = partition
        self._wall = wall
        self._fired = metrics.TIMERS_FIRED.labels(partition)
        self._latest = metrics.TIMER_LATENESS.labels(partition)
        self._said_at = 0

    def fired(self, due: int, count: int) -> None:
        """Take that `count` timers fired just now, the earliest of them due at `due`."""
        now = self._wall()
        late = max(0, now - due - TIMER_GRACE_MS)
        self._fired.inc(count)
        self._latest.set(late / 1000)
        if late > LATE_MS and abs(now - self._said_at) > _SAY_EVERY_MS:
            self._said_at = now
            log.warning("timers_late", partition=self._partition, seconds=round(late / 1000, 1), timers=count)

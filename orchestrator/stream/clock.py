"""A partition's clock (rule T4): the newest record time while there is a backlog, the wall clock once caught up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

TIMER_GRACE_MS: Final = 1000  # rule T5: how long a timer waits for a record that happened in time but is still under way
TICK_S: Final = 0.1
_LOOKED_MS: Final = TIMER_GRACE_MS // 2  # how much older than a deadline plus grace the last look at the logs may be
_NOW: Final = 1 << 62

SKEW_MS: Final = 60_000  # how far ahead of this host's clock a producer's may honestly be

WallClock = Callable[[], int]


def wall_ms() -> int:
    """Give the wall clock in ms UTC. The only place where the stream room reads it for decisions."""
    return time.time_ns() // 1_000_000


def advanced(newest: int, time: int, wall: int) -> int:
    """Give the newest record time after a record of this time.

    A record from the future does not count: in a backlog it would make timers fire before records that happened in time.
    """
    return max(newest, min(time, wall)) if time <= wall + SKEW_MS else newest


class PartitionClock:
    """Tells up to when a partition's timers may fire and what "now" is for its records.

    `at_end` has a flag for each source topic: whether its reader has reached the end of the log since the last record.
    """

    def __init__(self, topics: list[str], newest: int, wall: WallClock) -> None:
        self.newest = newest
        self._wall = wall
        self._at_end = dict.fromkeys(topics, False)
        self._looked = _NOW

    def looked(self, at: int) -> None:
        """Note that what had come by this wall time is handled. Without a word, everything always is."""
        self._looked = at

    def reached_end(self, topic: str) -> None:
        """Note that the reader of this topic stands at the end of the log."""
        self._at_end[topic] = True

    def left_end(self, topic: str) -> None:
        """Note that there is, or may be, more to read from this topic."""
        self._at_end[topic] = False

    def lose_sight(self) -> None:
        """Note that nothing is known of any topic's end."""
        self._at_end = dict.fromkeys(self._at_end, False)

    @property
    def caught_up(self) -> bool:
        """Whether every source topic of the partition has been read to its end."""
        return all(self._at_end.values())

    def timers_before(self) -> int:
        """Give the instant before which timers may fire.

        The grace holds in a backlog too: near the present, records of several producers arrive a little out of order. And a
        record that claims to come from the future hurries no timer. A worker too busy to look at the logs has caught up with
        what was there when it last did.
        """
        latest = self._wall() - TIMER_GRACE_MS
        return min(latest, self._looked - _LOOKED_MS) if self.caught_up else min(self.newest, latest)

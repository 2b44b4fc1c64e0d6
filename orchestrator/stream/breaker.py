"""The circuit breaker of one partition (rule B2): too many incidents, and it stops instead of draining a topic into them.

It counts by offsets, not by time, so that a backlog stops where live running would have: more than `incidents` within any
`window` offsets in a row of one source topic. What timers and authors' alerts report is not counted: no record is to blame.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct


class BreakerLimits(Struct, frozen=True):
    """More than `incidents` within `window` offsets of a source topic stop the partition; 0 incidents: never."""

    incidents: int = 100
    window: int = 1_000


DEFAULT_BREAKER: Final = BreakerLimits()
NEVER_STOPS: Final = BreakerLimits(incidents=0)


class Tripped(Struct, frozen=True):
    """At which record the breaker opened."""

    topic: str
    offset: int


class _Undo(Struct):
    """What to go back to where a cycle is dropped: `seen` as it was before it, None where it counted nothing."""

    seen: dict[str, deque[int]] | None = None
    tripped: Tripped | None = None


class Breaker:
    """Counts a partition's incidents. Open, the partition must not handle records; what it counted holds once a cycle is kept."""

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self.is_open = False
        self._seen: dict[str, deque[int]] = {}
        self._running = _Undo()
        self._closed = _Undo()

    @property
    def tripped(self) -> Tripped | None:
        """Where it opened, in a cycle that Kafka does not have yet."""
        return self._closed.tripped or self._running.tripped

    @property
    def stops(self) -> bool:
        """Whether it opened in the cycle that is closed and not kept yet."""
        return self._closed.tripped is not None

    def note(self, topic: str, offset: int) -> None:
        """Count one record that became an incident; at most once a record."""
        limit = self.limits.incidents
        if not limit or self.is_open:
            return
        if self._running.seen is None:
            self._running.seen = {name: seen.copy() for name, seen in self._seen.items()}
        seen = self._seen.setdefault(topic, deque(maxlen=limit + 1))
        seen.append(offset)
        if len(seen) > limit and offset - seen[0] < self.limits.window:
            self.is_open, self._running.tripped = True, Tripped(topic, offset)

    def close(self) -> Tripped | None:
        """End the running cycle; give where it opened the breaker."""
        self._closed, self._running = self._running, _Undo()
        return self._closed.tripped

    def keep(self) -> None:
        """The closed cycle was committed."""
        self._closed = _Undo()

    def drop(self) -> None:
        """The running cycle and a closed one were dropped: their records come again."""
        for undo in (self._running, self._closed):
            if undo.seen is not None:
                self._seen = undo.seen
            if undo.tripped is not None:
                self.is_open = False
        self._running, self._closed = _Undo(), _Undo()

    def open(self) -> None:
        """Stand still from the beginning: the partition was stopped before it came here."""
        self.is_open = True

    def release(self) -> None:
        """Go on, counting from nothing."""
        self.is_open = False
        self._seen = {}

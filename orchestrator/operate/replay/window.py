"""Which cycles of a partition a replay is about: those that handled some offsets, or that were committed between two times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from orchestrator.operate.replay.snapshot import Snapshot
from orchestrator.wire.journal import JournalRecord

FAR: Final = (1 << 62) - 1
SKEW_MS: Final = 60_000  # how far apart the clocks of two workers may be that had the partition one after the other


class Window(Struct, frozen=True):
    """Offsets by topic, each from the first up to, not including, the second; and times of commit, ms UTC, likewise.

    A cycle is one transaction, so it belongs to the window whole, its timers too, if it handled any of the offsets.
    """

    offsets: Mapping[str, tuple[int, int]] = {}
    from_ms: int = 0
    to_ms: int = FAR

    def covers(self, record: JournalRecord, at: int) -> bool:
        """Tell whether a cycle is in the window; `at` is when its journal record was written."""
        if not self.from_ms <= at < self.to_ms:
            return False
        if not self.offsets:
            return True
        return any(self._overlaps(run.topic, run.first, run.next) for run in record.runs if run.topic)

    def _overlaps(self, topic: str, first: int, following: int) -> bool:
        start, end = self.offsets.get(topic, (FAR, FAR))
        return first < end and start < following

    def begins_after(self, snapshot: Snapshot) -> bool:
        """Tell whether no cycle up to a snapshot's can be in the window. Clocks of two workers may be a minute apart."""
        reached = snapshot.reached
        is_offset_before = any(reached.positions.get(topic, 0) <= start for topic, (start, _) in self.offsets.items())
        return reached.at + SKEW_MS < self.from_ms or (is_offset_before and len(self.offsets) == 1)

    def is_past(self, positions: Mapping[str, int], at: int) -> bool:
        """Tell whether no later cycle can be in the window, from the positions before a cycle and the time of that cycle."""
        if at >= self.to_ms:
            return True
        return bool(self.offsets) and all(positions.get(topic, 0) >= end for topic, (_, end) in self.offsets.items())

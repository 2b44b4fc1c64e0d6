"""Which cycles of a partition a replay is about: those that handled some offsets, or that were committed between two times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from orchestrator.wire.journal import JournalRecord

FAR: Final = (1 << 62) - 1


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

    def is_past(self, positions: Mapping[str, int], at: int) -> bool:
        """Tell whether no later cycle can be in the window, from the positions before a cycle and the time of that cycle."""
        if at >= self.to_ms:
            return True
        return bool(self.offsets) and all(positions.get(topic, 0) >= end for topic, (_, end) in self.offsets.items())

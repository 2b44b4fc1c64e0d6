"""Which customers of a partition have a timer due: an index over the documents' `next_due`.

The documents hold the truth. An entry is only a hint that a customer was once due then; whoever takes it compares it with
the document and drops it where they differ. So nothing here needs the changelog, and a restore may leave stale entries.
"""

from __future__ import annotations

import heapq

from orchestrator.engine.engine import NEVER
from orchestrator.stream.store import PartitionStore

_BATCH = 1000


class Calendar:
    """The timers of one partition, read from RocksDB in order from a cursor on.

    `earliest` is never later than the true earliest entry, so that an idle tick is one comparison.
    """

    def __init__(self, store: PartitionStore) -> None:
        self._store = store
        # Nothing in RocksDB is before this. By customer, too: a million deleted entries of one instant take long to skip.
        self._low: tuple[int, bytes] = (store.position.timers_from, b"")
        self.rewind()

    def rewind(self) -> None:
        """Forget what a dropped cycle took; begin again from what RocksDB has."""
        self._cursor = self._passed = self._low
        self._read: list[tuple[int, bytes]] = []  # entries read ahead from RocksDB, latest first
        self._behind: list[tuple[int, bytes]] = []  # a heap: entries that RocksDB has behind the cursor
        first = self._store.due(self._cursor, NEVER, 1)
        self.earliest = first[0][0] if first else NEVER

    def take(self, before: int, limit: int) -> list[tuple[int, bytes]]:
        """Take at most `limit` entries with due < `before`, earliest first. Fewer than `limit` means that no more are due."""
        taken: list[tuple[int, bytes]] = []
        if self.earliest >= before:
            return taken
        while len(taken) < limit:
            entry = self._next(before)
            if entry is None:
                self._look_ahead(before)
                break
            taken.append(entry)
        return taken

    def _next(self, before: int) -> tuple[int, bytes] | None:
        if not self._read:
            self._read = self._store.due(self._cursor, before, _BATCH)[::-1]
            if self._read:
                self._cursor = self._read[0]
        ahead = self._read[-1] if self._read and self._read[-1][0] < before else None
        behind = self._behind[0] if self._behind and self._behind[0][0] < before else None
        if behind is not None and (ahead is None or behind <= ahead):
            return heapq.heappop(self._behind)
        if ahead is not None:
            self._passed = self._read.pop()
        return ahead

    def _look_ahead(self, before: int) -> None:
        in_store = self._store.earliest_due(max(before, self._cursor[0]))
        candidates = [NEVER if in_store is None else in_store]
        candidates += [self._behind[0][0]] if self._behind else []
        candidates += [self._read[-1][0]] if self._read else []
        self.earliest = min(candidates)

    def committed(self, armed: list[tuple[int, bytes]]) -> int:
        """Note that what was taken is being deleted and what was armed written; give the due before which RocksDB then has none.

        What was armed behind the cursor is kept here.
        """
        for entry in armed:
            self.earliest = min(self.earliest, entry[0])
            if entry <= self._cursor:
                heapq.heappush(self._behind, entry)
        self._low = self._passed
        if self._behind and self._behind[0] <= self._low:
            self._low = (self._behind[0][0], b"")
        return self._low[0]

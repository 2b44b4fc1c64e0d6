"""Counting where the instances of a partition stand, a page at a time: the loop gives documents, a thread of HTTP's counts them.

A page ends after two seconds, because a connection lives for ten; the answer then names the page after it by a word that means
nothing to anybody else: the key at which it ended is a customer's id.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from msgspec import Struct

from orchestrator.engine.portrait import places
from orchestrator.engine.vicinity import NOTE

PAGE_S: Final = 2.0
CHUNK: Final = 1_000  # documents that the loop gives in one turn: some milliseconds
PAGES: Final = 64  # of all who ask, remembered

Give = Callable[[int, bytes, int], "list[tuple[bytes, bytes]] | None"]  # documents of a partition after a key, None: not here


class Page(Struct, frozen=True):
    """Counts by journey, version, state and step; `after` names the next page, "" where there is none."""

    counts: list[tuple[str, int, str, str, int]]
    after: str


class Counting:
    """Remembers where pages ended. For any thread."""

    def __init__(self, give: Give) -> None:
        """`give` may raise TimeoutError."""
        self._give = give
        self._ends: dict[str, tuple[int, bytes]] = {}
        self._lock = Lock()

    def page(self, partition: int, after: str = "") -> Page | None:
        """Count on; None where the partition is not here, or nobody remembers the page. Blocks; raises TimeoutError."""
        key = b""
        if after:
            with self._lock:
                known, key = self._ends.pop(after, (-1, b""))
            if known != partition:
                return None
        counted: Counter[tuple[str, int, str, str]] = Counter()
        deadline = time.monotonic() + PAGE_S
        while True:
            found = self._give(partition, key, CHUNK)
            if found is None:
                return None
            for name, stored in found:
                if not name.startswith(_NOTE):
                    counted.update(places(stored))
            if len(found) < CHUNK:
                return Page(_listed(counted), "")
            key = found[-1][0]
            if time.monotonic() > deadline:
                return Page(_listed(counted), self._remember(partition, key))

    def _remember(self, partition: int, key: bytes) -> str:
        word = secrets.token_hex(8)
        with self._lock:
            while len(self._ends) >= PAGES:
                self._ends.pop(next(iter(self._ends)))
            self._ends[word] = (partition, key)
        return word


_NOTE: Final = NOTE.encode()


def _listed(counted: Counter[Any]) -> list[tuple[str, int, str, str, int]]:
    return [(*place, count) for place, count in sorted(counted.items())]

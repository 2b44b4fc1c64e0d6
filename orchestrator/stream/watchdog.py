"""The watchdog: a thread that feels whether the event loop lives, and ends the process where it does not.

A loop that is stuck commits nothing, while librdkafka's threads keep the worker's place in the group; nobody else would take its
partitions over. What is not committed is done again by the next start, so to end is safe.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time
from typing import Final

from orchestrator.names import ExitCode
from orchestrator.observe.logs import logger
from orchestrator.stream.ending import end_now

log = logger(__name__)

TICK_S: Final = 1.0


class Watchdog:
    """Ends the process after `limit_s` without a sign of life; 0 for never.

    Signs of life are the loop's own turns, and any change of what `progress` gives, so that one long turn of work is none of its
    business. Time in which the watchdog did not run either (SIGSTOP, the host slept, no CPU) does not count.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float,
        progress: Callable[[], object],
        give_up: Callable[[float], None] | None = None,
    ) -> None:
        """Take the loop of the calling thread. `give_up` gets the silent seconds, in the watchdog's thread."""
        self._loop = loop
        self._limit_s = limit_s
        self._progress = progress
        self._give_up = give_up or self._end
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self._turns = 0
        self._is_asked = False
        self._last: object = None
        self._silent_s = 0.0

    def start(self) -> None:
        """Begin to watch, in a thread of its own."""
        if self._limit_s:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()

    def _watch(self) -> None:
        before = monotonic(), time()
        while not self._over.wait(TICK_S):
            now = monotonic(), time()
            # While a host sleeps its monotonic clock may stand still, and the wall clock may be set back.
            self.feel(max(now[0] - before[0], now[1] - before[1]))
            before = now

    def feel(self, passed_s: float) -> None:
        """Look for a sign of life, `passed_s` after the look before."""
        if not self._is_asked:
            self._is_asked = True
            self._loop.call_soon_threadsafe(self._answer)
        seen = self._turns, self._progress()
        if seen != self._last:
            self._last, self._silent_s = seen, 0.0
        elif passed_s <= 2 * TICK_S:
            self._silent_s += passed_s
        if self._silent_s >= self._limit_s:
            self._give_up(self._silent_s)

    def _answer(self) -> None:
        self._turns += 1
        self._is_asked = False

    def _end(self, silent_s: float) -> None:
        end_now(ExitCode.STUCK, "event_loop_stuck", seconds=round(silent_s), stack=self.stack())

    def stack(self) -> list[str]:
        """Give where the loop's thread is, outermost first: files, lines and functions, nothing of what they hold."""
        frame = sys._current_frames().get(self._watched)
        found = traceback.StackSummary.extract(traceback.walk_stack(frame), lookup_lines=False) if frame else []
        return [f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in reversed(found)]

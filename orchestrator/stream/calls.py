"""Calls into librdkafka that may never come back, each in a thread of its own, which is left behind then."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread


class Call(Thread):
    """One call, begun at once. The process does not wait for it at its end."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Do it, and keep what it raises for who waits."""
        try:
            self._work()
        except Exception as error:
            self._error = error

    def is_over(self, seconds: float) -> bool:
        """Wait for so long at most; tell whether it has come back. Raises what it raised."""
        self.join(seconds)
        if self.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

"""After a fencing: does a second worker of this name live, or was this one only away for too long?

Kafka fences by name, so the newer of two workers with one id wins. The older must not come back and fence it in turn; but one
that was stopped past its time-outs, or that the group took for a twin of itself, may. The group tells which: a live worker of the
name has a member there and keeps it, a dead one loses it when its session times out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from orchestrator.errors import WorkerFenced
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.holder import Holder

LOOK_S: Final = 0.5
# So long beyond its session a dead member may still be shown: its time-out is looked for now and then.
SESSION_GRACE_S: Final = 3.0
# More fencings than this in so long: somebody has the name whom the group does not show, such as another program's producer.
MOST_FENCINGS: Final = 5
FENCINGS_S: Final = 600.0


class Fencings:
    """The fencings of one process, which may come back from a few of them."""

    def __init__(self, name: str, holder: Holder, is_stopped: Callable[[], bool], session_s: float) -> None:
        """Take the worker's name, who tells which member holds it ("" for none, None where that cannot be told), the session."""
        self._name = name
        self._holder = holder
        self._is_stopped = is_stopped
        self._patience_s = session_s + SESSION_GRACE_S
        self._times: deque[float] = deque(maxlen=MOST_FENCINGS)

    def await_alone(self, error: WorkerFenced, own: set[str]) -> None:
        """Return when this worker may join anew. Blocks up to the session time-out; `own` are the members that it has been.

        Raises WorkerFenced where a second worker of its name lives, or where fencings go on and on; Interrupted.
        """
        if len(self._times) == MOST_FENCINGS and monotonic() - self._times[0] < FENCINGS_S:
            raise self._second(f"fenced {MOST_FENCINGS + 1} times in {FENCINGS_S:.0f} s, now by: {error.what}") from error
        self._times.append(monotonic())
        deadline, was_free, is_foreign = monotonic() + self._patience_s, False, False
        while True:
            holder = self._holder()
            is_free = holder is not None and (not holder or holder in own)
            is_foreign = is_foreign if holder is None else not is_free
            if is_foreign and (was_free or monotonic() >= deadline):
                raise self._second(f"another worker holds this one's place in the group; {error.what}") from error
            # Not fenced by its own time-outs: whoever did it has opened its producer, and joins the group next.
            if (is_free and error.is_own_doing) or monotonic() >= deadline:
                return
            was_free = was_free or is_free
            if self._is_stopped():
                raise Interrupted
            sleep(LOOK_S)

    def _second(self, what: str) -> WorkerFenced:
        return WorkerFenced(
            what, where=self._name, next_step="look for a second worker with this --worker-id, and end one of the two"
        )

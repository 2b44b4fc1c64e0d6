"""Named points on a worker's way at which a test makes it die, stop, fail or wait.

    ORCHESTRATOR_FAILPOINT=offsets_sent=kill             dies (SIGKILL) when it gets there for the first time
    ORCHESTRATOR_FAILPOINT=offsets_sent:3=stop           stops (SIGSTOP) at the third time, until somebody sends SIGCONT
    ORCHESTRATOR_FAILPOINT=engine_done:2=sleep:3,offsets_sent=kill:0.01
                                                         waits 3 s; then dies 10 ms after the point, wherever it is by then

Without the variable `reach` does nothing, and that is settled when this module is imported. It is called once a cycle, a batch
or a rebalance, never once a record.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from typing import Final, TypeVar

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.language.problems import nearest
from orchestrator.observe.logs import logger

log = logger(__name__)

VARIABLE: Final = "ORCHESTRATOR_FAILPOINT"

_Named = TypeVar("_Named", bound=StrEnum)


class Failpoint(StrEnum):
    """Every point, in the order in which a worker comes by."""

    ASSIGNED = "assigned"  # the group gave partitions, nothing is open yet
    RESTORE_BATCH_READY = "restore_batch_ready"  # a batch of the changelog is to be read and written
    RESTORE_BATCH_WRITTEN = "restore_batch_written"
    OPENED = "opened"  # all stores are level with Kafka, nothing is read yet
    BLOCK_TAKEN = "block_taken"  # a block left the inbox, none of its records is handled
    ENGINE_DONE = "engine_done"  # the cycle's work is done, in memory only
    TRANSACTION_BEGUN = "transaction_begun"
    HALF_PRODUCED = "half_produced"
    ALL_PRODUCED = "all_produced"
    OFFSETS_SENT = "offsets_sent"  # they are in the transaction, and its commit is the next call
    COMMITTED = "committed"  # Kafka has the cycle, the stores do not
    STORE_BATCH_READY = "store_batch_ready"  # a partition's batch is to be written to RocksDB
    STORE_BATCH_WRITTEN = "store_batch_written"  # one partition's is written, others' may not be
    REVOKED = "revoked"  # partitions are to be given up, the running cycle may go on
    LET_GO = "let_go"  # their stores are closed, the group does not know yet


class Action(StrEnum):
    """What happens at a point."""

    KILL = "kill"  # SIGKILL to itself; with seconds: so much later, while the work goes on
    STOP = "stop"  # SIGSTOP to itself
    RAISE = "raise"  # an exception that nobody expects
    SLEEP = "sleep"  # seconds, in the thread that got there


class FailpointReached(Exception):
    """What the action `raise` raises."""


class Arming(Struct, frozen=True):
    """One failpoint that is armed: what happens at the `nth` time that the process gets to the point."""

    point: Failpoint
    nth: int
    action: Action
    seconds: float = 0.0


def armings(text: str) -> list[Arming]:
    """Read the variable's value: `name[:nth][=action[:seconds]]`, several with commas between. Raises UsageError."""
    return [_arming(part.strip()) for part in text.split(",") if part.strip()]


def _arming(text: str) -> Arming:
    place, _, what = text.partition("=")
    name, _, nth = place.partition(":")
    action_name, _, seconds = what.partition(":")
    point = _one_of(Failpoint, name, "failpoint")
    action = _one_of(Action, action_name or Action.KILL, "action of a failpoint")
    if nth and not (nth.isascii() and nth.isdecimal() and int(nth) > 0):
        raise UsageError(f"{nth!r} is not a count from 1 on", where=VARIABLE, next_step=f"for example {name}:2={action}")
    if seconds and action in (Action.STOP, Action.RAISE):
        raise UsageError(f"{action} takes no seconds", where=VARIABLE, next_step=f"for example {name}={action}")
    if not seconds and action is Action.SLEEP:
        raise UsageError("sleep takes seconds", where=VARIABLE, next_step=f"for example {name}=sleep:3")
    return Arming(point, int(nth or 1), action, _seconds(seconds))


def _one_of(kind: type[_Named], word: str, what: str) -> _Named:
    try:
        return kind(word)
    except ValueError:
        near = nearest(word, kind)
        advice = f"did you mean {near}?" if near else f"known are {', '.join(kind)}"
        raise UsageError(f"there is no {what} {word!r}", where=VARIABLE, next_step=advice) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise UsageError(f"{text!r} is not a number of seconds", where=VARIABLE, next_step="for example sleep:0.5")
    return seconds


class _Armed:
    """Counts how often the process got to each point, and acts."""

    def __init__(self, found: list[Arming]) -> None:
        self._times: Counter[Failpoint] = Counter()
        self._armings: Mapping[Failpoint, list[Arming]] = defaultdict(list)
        for arming in found:
            self._armings[arming.point].append(arming)

    def reach(self, point: Failpoint) -> None:
        if not self._times:  # not earlier: this is made before the logs are set up
            log.warning("failpoints_armed", points=list(self._armings))
        self._times[point] += 1
        for arming in self._armings.get(point, ()):
            if arming.nth == self._times[point]:
                log.warning("failpoint_reached", point=point, times=arming.nth, action=arming.action)
                _ACTIONS[arming.action](arming)


def _kill(arming: Arming) -> None:
    if arming.seconds:
        # The kernel ends the process, whichever thread holds the interpreter by then; SIGALRM's default is as final as SIGKILL.
        signal.setitimer(signal.ITIMER_REAL, arming.seconds)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def _stop(_: Arming) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(arming: Arming) -> None:
    raise FailpointReached(f"failpoint {arming.point}")


def _sleep(arming: Arming) -> None:
    time.sleep(arming.seconds)


_ACTIONS: Final[Mapping[Action, Callable[[Arming], None]]] = {
    Action.KILL: _kill,
    Action.STOP: _stop,
    Action.RAISE: _raise,
    Action.SLEEP: _sleep,
}


def _nothing(point: Failpoint) -> None:
    """Stand in for `reach` where no failpoint is armed."""


def reacher(text: str) -> Callable[[Failpoint], None]:
    """Give what a process calls at each point, `text` being the variable's value. Raises UsageError."""
    found = armings(text)
    return _Armed(found).reach if found else _nothing


reach: Final = reacher(os.environ.get(VARIABLE, ""))

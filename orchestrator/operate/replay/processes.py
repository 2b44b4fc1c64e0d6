"""Replaying partitions side by side, each in a process; word of their progress; and Ctrl-C, after which the same call goes on."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from orchestrator import errors
from orchestrator.errors import OrchestratorError, RunFailed
from orchestrator.operate.replay.following import Following, Order, Outcome
from orchestrator.operate.replay.programs import Programs
from orchestrator.wire.gate import GateLimits

_ASK_S: Final = 0.2
_TELL_S: Final = 0.2
_STOP_S: Final = 120.0  # a checkpoint of millions of customers takes its time

Tell = Callable[[Mapping[int, int]], None]  # source offsets behind, by partition


class Basis(Struct, frozen=True):
    """What all partitions of a replay have in common: the folders of programs, the one at hand first."""

    topologies: tuple[Path, ...]
    schemas: Path | None
    limits: GateLimits
    is_any_program: bool = False
    registry: Mapping[str, str] = {}  # its client's settings, none for none

    def programs(self, conf: Mapping[str, Any] | None = None) -> Programs:
        """Load them; with `conf` those too that were published, once they are asked for. Raises what `Workspace.load` does."""
        return Programs(
            self.topologies, self.schemas, self.limits,
            is_any_good=self.is_any_program, conf=conf, registry=self.registry,
        )  # fmt: skip


def replay_all(orders: Sequence[Order], basis: Basis, jobs: int, tell: Tell) -> dict[int, Outcome]:
    """Replay these partitions, `jobs` at a time. Blocks; after Ctrl-C the processes keep where they are, and it is raised.

    Raises what a partition's replay raised, after the others have stopped; RunFailed for a process that ended by itself.
    """
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    stop = context.Event()
    waiting = deque(_dealt(orders, jobs))
    processes = [context.Process(target=_work, args=(part, basis, told, stop), daemon=True) for part in waiting]
    for process in processes:
        process.start()
    try:
        return _attend(processes, told, {order.partition for order in orders}, tell)
    finally:
        stop.set()
        deadline = time.monotonic() + _STOP_S
        for process in processes:
            _drain_until_ended(process, told, deadline)


def _dealt(orders: Sequence[Order], jobs: int) -> list[list[Order]]:
    """Deal the partitions out, the longest first, each to who has the least so far."""
    hands: list[list[Order]] = [[] for _ in range(min(jobs, len(orders)))]
    for order in sorted(orders, key=_length, reverse=True):
        min(hands, key=lambda hand: sum(map(_length, hand))).append(order)
    return hands


def _length(order: Order) -> int:
    return sum(order.bounds[topic][1] - order.bounds[topic][0] for topic in order.topics.sources) + 1


def _attend(processes: Sequence[Any], told: Any, open_ones: set[int], tell: Tell) -> dict[int, Outcome]:
    done: dict[int, Outcome] = {}
    behind: dict[int, int] = {}
    while open_ones:
        try:
            what, partition, value = told.get(timeout=_ASK_S)
        except queue.Empty:
            if any(process.exitcode not in (None, 0) for process in processes):
                raise RunFailed(
                    "a process of the replay ended by itself", next_step="look for its end in the system's log; then run it again"
                ) from None
            continue
        if what == "failed":
            raise _raised(value)
        if what == "behind":
            behind[partition] = value
            tell(behind)
        elif what == "done":
            done[partition] = value
            open_ones.discard(partition)
    return done


def _drain_until_ended(process: Any, told: Any, deadline: float) -> None:
    """Wait for a process; one that still has something to say does not end before it is heard."""
    while process.is_alive() and time.monotonic() < deadline:
        try:
            told.get(timeout=0.05)
        except queue.Empty:
            process.join(0.05)
    if process.is_alive():
        process.kill()
    process.join()


def _work(orders: Sequence[Order], basis: Basis, told: Any, stop: Any) -> None:
    """What a process of its own does. Ctrl-C is for the one that started it, which then says so here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    last = 0.0

    def is_stopped() -> bool:
        return bool(stop.is_set() or (parent is not None and not parent.is_alive()))

    try:
        programs = basis.programs(orders[0].client if orders else None)
        for order in orders:
            if is_stopped():
                return

            def tell(behind: int, partition: int = order.partition) -> None:
                nonlocal last
                if time.monotonic() - last > _TELL_S:
                    last = time.monotonic()
                    told.put(("behind", partition, behind))

            outcome = Following(order, programs).run(tell, is_stopped)
            if outcome.is_finished:
                told.put(("done", order.partition, outcome))
    except OrchestratorError as error:
        told.put(("failed", -1, (type(error).__name__, error.what, error.where, error.next_step)))


def _raised(told: tuple[str, str, str, str]) -> OrchestratorError:
    kind, what, where, next_step = told
    made: OrchestratorError = getattr(errors, kind)(what, where=where, next_step=next_step)
    return made

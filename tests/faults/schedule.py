"""Which faults come when: the same seed, rounds, kinds and workers give the same list, on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from orchestrator.stream.failpoints import Failpoint
from tests.faults.brokers import WHO
from tests.faults.network import DISTURBANCES

SESSION_TIMEOUT_S: Final = 6.0
TRANSACTION_TIMEOUT_S: Final = 8.0
# Longer than both: a worker that is away for so long has lost its partitions, and its transaction was ended for it.
ZOMBIE_S: Final = SESSION_TIMEOUT_S + TRANSACTION_TIMEOUT_S + 2.0
LONG_BLOCK_S: Final = 3.0


class Kind(StrEnum):
    """The kinds of faults that can be asked for."""

    KILL = "kill"
    STOP = "stop"
    REBALANCE = "rebalance"
    BROKER = "broker"
    FAILPOINTS = "failpoints"
    NETWORK = "network"  # one broker behind a proxy
    CLUSTER = "cluster"  # one of three brokers, or all


OF_NO_WORKER: Final = frozenset({Kind.BROKER, Kind.NETWORK, Kind.CLUSTER})


class Fault(Struct, frozen=True):
    """One round. `wait_s` passes first; then `how` befalls `worker` (from 0), and lasts for `lasts_s`.

    `armed` is what ORCHESTRATOR_FAILPOINT says in the worker that is started in this round.
    """

    kind: Kind
    how: str
    worker: int
    wait_s: float
    lasts_s: float = 0.0
    armed: str = ""

    def told(self) -> str:
        """Say it in a line for people."""
        who = "" if self.kind in OF_NO_WORKER or self.how == "all" else f" w{self.worker + 1}"
        armed = f", then {self.armed}" if self.armed else ""
        return f"{self.kind} {self.how}{who} for {self.lasts_s:.1f} s{armed}"


def schedule(seed: int, rounds: int, kinds: Sequence[Kind], workers: int) -> list[Fault]:
    """Give one fault a round; the kinds take turns in random order."""
    dice = random.Random(f"{seed} {' '.join(kinds)} {workers}")
    return [_MAKERS[dice.choice(kinds)](dice, workers) for _ in range(rounds)]


def _wait(dice: random.Random) -> float:
    """From the middle of a start to the middle of the work: 0.5 to 10 s, most often little."""
    return round(0.5 + 9.5 * dice.random() ** 1.5, 2)


def _absence(dice: random.Random) -> float:
    """At once, within the session, or so much later that others have taken over."""
    return round(dice.choices([0.0, dice.uniform(0.2, 3.0), SESSION_TIMEOUT_S + dice.uniform(0.5, 3.0)], [65, 25, 10])[0], 2)


def _kill(dice: random.Random, workers: int) -> Fault:
    how = dice.choices(["one", "two", "all", "one and its state"], [70, 10, 10, 10])[0]
    return Fault(Kind.KILL, how, dice.randrange(workers), _wait(dice), _absence(dice))


def _stop(dice: random.Random, workers: int) -> Fault:
    lasts = dice.choices([dice.uniform(0.5, 4.0), SESSION_TIMEOUT_S + 2.0, ZOMBIE_S], [60, 25, 15])[0]
    return Fault(Kind.STOP, "one", dice.randrange(workers), _wait(dice), round(lasts, 2))


def _rebalance(dice: random.Random, workers: int) -> Fault:
    """The first worker stays; the others come and go, under their old name or a new one, some with a block that takes long."""
    how = dice.choices(["same name", "new name", "second of its name"], [50, 40, 10])[0]
    lasts = dice.choice([dice.uniform(0.0, 2.0), SESSION_TIMEOUT_S + dice.uniform(0.5, 3.0)])
    slow = f"{Failpoint.BLOCK_TAKEN}:{dice.randint(1, 20)}=sleep:{LONG_BLOCK_S}" if dice.random() < 0.4 else ""
    worker = dice.randrange(1, workers) if workers > 1 else 0
    return Fault(Kind.REBALANCE, how, worker, round(dice.uniform(1.0, 6.0), 2), round(lasts, 2), slow)


def _broker(dice: random.Random, workers: int) -> Fault:
    how, lasts = dice.choice([("killed", dice.uniform(0.0, 4.0)), ("paused", dice.choice([1.0, 5.0, 12.0]))])
    return Fault(Kind.BROKER, how, 0, _wait(dice), round(lasts, 2))


def _network(dice: random.Random, workers: int) -> Fault:
    return Fault(Kind.NETWORK, dice.choice(list(DISTURBANCES)), 0, _wait(dice), round(dice.uniform(2.0, 12.0), 2))


def _cluster(dice: random.Random, workers: int) -> Fault:
    """Paused for less than a request may take, than a session, than a transaction, and for longer than all of them."""
    who = dice.choice(WHO)
    how, lasts = dice.choice([("killed", dice.uniform(0.0, 4.0)), ("paused", dice.choice([1.0, 5.0, 12.0, 40.0]))])
    return Fault(Kind.CLUSTER, f"{how} {who}", 0, _wait(dice), round(lasts, 2))


def _failpoint(dice: random.Random, workers: int) -> Fault:
    point, nth = dice.choice(list(Failpoint)), dice.choice([1, 1, 2, 5])
    if point in ONCE:
        nth = 1
    action = dice.choices(["kill", f"kill:{dice.uniform(0.0005, 0.02):.4f}", "stop", "raise"], [45, 20, 25, 10])[0]
    lasts = dice.choice([2.0, ZOMBIE_S]) if action == "stop" else 0.0
    return Fault(Kind.FAILPOINTS, "armed", dice.randrange(workers), 0.5, lasts, f"{point}:{nth}={action}")


# A worker that is left alone comes by only once.
ONCE: Final = frozenset(
    {Failpoint.ASSIGNED, Failpoint.OPENED, Failpoint.RESTORE_BATCH_READY, Failpoint.RESTORE_BATCH_WRITTEN}
    | {Failpoint.REVOKED, Failpoint.LET_GO}
)
_MAKERS: Final[dict[Kind, Callable[[random.Random, int], Fault]]] = {
    Kind.KILL: _kill,
    Kind.STOP: _stop,
    Kind.REBALANCE: _rebalance,
    Kind.BROKER: _broker,
    Kind.FAILPOINTS: _failpoint,
    Kind.NETWORK: _network,
    Kind.CLUSTER: _cluster,
}

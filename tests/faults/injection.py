"""Faults made real, one kind a function: when it returns, every worker runs again or is on its way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final

from orchestrator.language.model import Topology
from orchestrator.stream.failpoints import Action, Failpoint, armings
from tests import proc
from tests.brokers import Broker, KafkaBroker
from tests.brokers.cluster import KafkaCluster
from tests.contract.stage import WorkerProcess
from tests.faults import brokers
from tests.faults.fleet import Fleet
from tests.faults.line import Line
from tests.faults.network import DISTURBANCES, DidNotHappen
from tests.faults.schedule import Fault, Kind

REACH_LIMIT_S: Final = 90.0


class Injector:
    """Injects faults into one fleet and its broker."""

    def __init__(self, fleet: Fleet, broker: Broker, topology: Topology, line: Line | None = None) -> None:
        """`line` is what the workers reach the broker by, where there is something between."""
        self.missed = 0  # faults that nobody came by in time
        self._fleet = fleet
        self._broker = broker
        self._topology = topology
        self._line = line

    def inject(self, fault: Fault) -> None:
        """Wait, and let it happen. Blocks for `wait_s` and `lasts_s`, and what starting takes."""
        time.sleep(fault.wait_s)
        self._fleet.tend()
        _INJECT[fault.kind](self, fault)

    def kill(self, fault: Fault) -> None:
        numbers = self._befallen(fault)
        for number in numbers:
            self._fleet.kill(number)
        time.sleep(fault.lasts_s)
        for number in numbers:
            if fault.how == "one and its state":
                self._fleet.forget_state(number)
            self._fleet.start(number)

    def _befallen(self, fault: Fault) -> list[int]:
        many = {"two": 2, "all": len(self._fleet)}.get(fault.how, 1)
        return [(fault.worker + step) % len(self._fleet) for step in range(min(many, len(self._fleet)))]

    def stop(self, fault: Fault) -> None:
        process = self._fleet.process(fault.worker)
        process.send(signal.SIGSTOP)
        time.sleep(fault.lasts_s)
        process.send(signal.SIGCONT)

    def rebalance(self, fault: Fault) -> None:
        if fault.how == "second of its name":
            self._fleet.start_twin(fault.worker)
            time.sleep(fault.lasts_s)
            self._fleet.end_twins()
            return
        self._fleet.end(fault.worker)
        time.sleep(fault.lasts_s)
        if fault.how == "new name":
            self._fleet.rename(fault.worker)
        self._fleet.start(fault.worker, fault.armed)

    def broker(self, fault: Fault) -> None:
        assert isinstance(self._broker, KafkaBroker), "only a broker that the run started itself may be broken"
        if fault.how == "killed":
            self._broker.kill()
            time.sleep(fault.lasts_s)
            self._broker.start()
        else:
            self._broker.pause()
            time.sleep(fault.lasts_s)
            self._broker.resume()

    def network(self, fault: Fault) -> None:
        assert self._line is not None, "there is no proxy on the way to this broker"
        try:
            DISTURBANCES[fault.how](self._line, fault.lasts_s)
        except DidNotHappen:
            self.missed += 1
        finally:
            self._line.heal()

    def cluster(self, fault: Fault) -> None:
        assert isinstance(self._broker, KafkaCluster), "one broker is no cluster"
        how, _, who = fault.how.partition(" ")
        deed = {"killed": brokers.kill, "paused": brokers.pause}[how]
        deed(self._broker, who, self._topology, fault.lasts_s)

    def failpoints(self, fault: Fault) -> None:
        (arming,) = armings(fault.armed)
        self._fleet.kill(fault.worker)
        if arming.point in RESTORING:
            self._fleet.forget_state(fault.worker)
        process = self._fleet.start(fault.worker, fault.armed)
        if arming.point in LEAVING:
            until_ready(process)
            process.send(signal.SIGTERM)
        if not until_reached(process):
            self.missed += 1
        elif arming.action is Action.STOP:
            time.sleep(fault.lasts_s)
            process.send(signal.SIGCONT)
        else:
            _wait_for_end(process)


RESTORING: Final = frozenset({Failpoint.RESTORE_BATCH_READY, Failpoint.RESTORE_BATCH_WRITTEN})
LEAVING: Final = frozenset({Failpoint.REVOKED, Failpoint.LET_GO})
_INJECT: Final[dict[Kind, Callable[[Injector, Fault], None]]] = {
    Kind.KILL: Injector.kill,
    Kind.STOP: Injector.stop,
    Kind.REBALANCE: Injector.rebalance,
    Kind.BROKER: Injector.broker,
    Kind.FAILPOINTS: Injector.failpoints,
    Kind.NETWORK: Injector.network,
    Kind.CLUSTER: Injector.cluster,
}


def until_ready(process: WorkerProcess, limit_s: float = REACH_LIMIT_S) -> bool:
    """Wait until a worker has its partitions open; False where it ended or took too long."""
    return until_logged(process, "worker_ready", limit_s)


def until_reached(process: WorkerProcess, limit_s: float = REACH_LIMIT_S) -> bool:
    """Wait until a worker is at its failpoint, or dead of it; False where it took too long."""
    return until_logged(process, "failpoint_reached", limit_s)


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal."""
    return proc.state(pid) == "T"


def until_logged(process: WorkerProcess, text: str, limit_s: float, times: int = 1) -> bool:
    """Wait until a worker's log has a text so many times; False where it ended without or took too long."""
    deadline = time.monotonic() + limit_s
    while True:
        has_ended = process.exit_code is not None  # before the log is read: its last words count
        if process.log.read_text(encoding="utf-8", errors="replace").count(text) >= times:
            return True
        if has_ended or time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _wait_for_end(process: WorkerProcess) -> None:
    """A worker that goes on after a failpoint that should end it is left to be found by the next round."""
    try:
        process.wait(REACH_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)

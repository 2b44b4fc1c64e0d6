"""`orchestrator worker --processes 2`: two members of the group that begin, work and end as one worker does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import urllib.request

import pytest

from orchestrator.names import ExitCode
from tests import proc
from tests.brokers.kafka_process import free_ports
from tests.contract.cdnow import assert_as_the_oracle_says, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage, WorkerProcess

TWO = ("--processes", "2")
WAITING = {"ORCHESTRATOR_FAILPOINT": "offsets_sent:2=sleep:5"}  # so that there is time to end it before all is done
HELD = {"ORCHESTRATOR_FAILPOINT": "offsets_sent:2=sleep:15"}  # for as long as a slow machine may need to see the first commit


def are_over(stage: Stage, pids: list[int]) -> None:
    stage.wait_until("no process is left", lambda: not any(map(proc.is_alive, pids)))


def in_pair(stage: Stage, *more: str, **environment: str) -> tuple[WorkerProcess, list[int]]:
    """Start a worker of two processes; give it and their pids when both have their partitions."""
    worker = stage.worker("pair", *TWO, *more, **environment)
    stage.wait_until("both have partitions", lambda: all(has_partitions(worker, number) for number in range(2)))
    return worker, proc.children(worker.pid)


def has_partitions(worker: WorkerProcess, number: int) -> bool:
    return any(
        '"worker_ready"' in line and f'"process": {number}' in line and '"partitions": []' not in line
        for line in worker.log.read_text().splitlines()
    )


def test_t6_two_processes_do_what_the_oracle_says_and_a_restart_has_their_state(stage_on: MakeStage) -> None:
    stage = stage_on()
    records = stage.produce(some_purchases(5))
    worker, pids = in_pair(stage, **WAITING)
    goes_on(stage, 0)
    assert worker.stop() == ExitCode.OK, worker.tail()
    assert not any(map(proc.is_alive, pids))
    assert "Traceback" not in worker.tail()
    again = stage.worker("pair", *TWO)
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage, 5)
    assert again.stop() == ExitCode.OK, again.tail()
    assert [path.name for path in sorted(stage.state_of("pair").glob("process-*"))] == ["process-0", "process-1"]


def test_t6_kill_9_of_the_worker_or_of_one_process_ends_all_and_repeats_nothing(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(5))
    worker = stage.worker("pair", *TWO, **HELD)
    handled = goes_on(stage, 0)
    pids = proc.children(worker.pid)
    worker.kill()
    are_over(stage, pids)

    worker = stage.worker("pair", *TWO, **HELD)
    goes_on(stage, handled)
    stage._workers.remove(worker)  # its end is meant
    pids = proc.children(worker.pid)
    os.kill(pids[1], signal.SIGKILL)
    assert worker.wait(60) == ExitCode.NO
    assert "worker_process_ended" in worker.tail()
    assert not any(map(proc.is_alive, pids))
    assert stage.handled_records() < records, "there was nothing left to do"

    worker = stage.worker("pair", *TWO)
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage, 5)
    assert worker.stop() == ExitCode.OK, worker.tail()


def goes_on(stage: Stage, handled: int) -> int:
    """Wait until more is handled than that; give how much."""
    stage.wait_until("something more is handled", lambda: stage.handled_records() > handled)
    return stage.handled_records()


@pytest.mark.parametrize("tells_all", [False, True], ids=["ctrl-c", "systemd"])
def test_being_told_ends_all_in_order(stage_on: MakeStage, tells_all: bool) -> None:
    stage = stage_on(partitions=2)
    worker, pids = in_pair(stage)
    for pid in pids if tells_all else ():
        os.kill(pid, signal.SIGTERM)
    worker.send(signal.SIGTERM if tells_all else signal.SIGINT)
    assert worker.wait(60) == ExitCode.OK, worker.tail()
    assert not any(map(proc.is_alive, pids))
    assert worker.tail().count("worker_stopped") == 2
    assert "Traceback" not in worker.tail()


def test_a_second_ctrl_c_ends_all_at_once(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=2)
    worker, pids = in_pair(stage)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # they would have ended before the second
    stage._workers.remove(worker)  # its end is meant
    worker.send(signal.SIGINT)
    time.sleep(0.5)
    worker.send(signal.SIGINT)
    assert worker.wait(60) == ExitCode.INTERRUPTED, worker.tail()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    are_over(stage, pids)


def test_each_process_serves_http_on_a_port_of_its_own(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=2)
    first = two_free_ports()
    worker, _ = in_pair(stage, "--set", f"http_address={first}")
    for port in (first, first + 1):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
            assert answer.status == 200
    assert worker.stop() == ExitCode.OK, worker.tail()


def two_free_ports() -> int:
    """The first of two neighbours."""
    while True:
        with free_ports(1) as (port,), socket.socket() as next_one, contextlib.suppress(OSError):
            next_one.bind(("127.0.0.1", port + 1))
            return port


def test_what_keeps_a_worker_from_beginning_is_said_once(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=1)
    first = stage.worker("pair", *TWO)
    stage.wait_until("one of them has the partition", lambda: "worker_ready" in first.tail())
    assert "worker_processes_idle" in first.tail()
    second = stage.worker("pair", *TWO)
    stage._workers.remove(second)  # its end is meant
    assert second.wait(60) == ExitCode.REFUSED
    assert second.tail().count("ORC-007") == 1
    assert first.stop() == ExitCode.OK, first.tail()

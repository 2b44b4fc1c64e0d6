"""The watchdog: what it takes for a sign of life, what it does not count, and what it says at the end."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.names import ExitCode
from orchestrator.stream import watchdog as module
from orchestrator.stream.watchdog import Watchdog

LIMIT_S = 10.0


class Loop:
    """An event loop as the watchdog sees it; turns when told."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, work: Callable[[], None]) -> None:
        self.asked.append(work)

    def turn(self) -> None:
        for work in self.asked:
            work()
        self.asked.clear()


class Rig:
    """A watchdog without its thread."""

    def __init__(self) -> None:
        self.loop: Any = Loop()
        self.work = SimpleNamespace(done=0)
        self.ended: list[float] = []
        self.dog = Watchdog(self.loop, LIMIT_S, lambda: self.work.done, self.ended.append)

    def feel(self, times: int, passed_s: float = 1.0) -> None:
        for _ in range(times):
            self.dog.feel(passed_s)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_loop_without_a_turn_for_the_limit_ends_the_process(rig: Rig) -> None:
    rig.feel(10)
    assert rig.ended == []
    rig.feel(1)
    assert rig.ended == [LIMIT_S]


def test_a_loop_that_turns_is_alive_however_late(rig: Rig) -> None:
    for _ in range(10):
        rig.feel(9)
        rig.loop.turn()
    assert rig.ended == []


def test_a_stuck_loop_is_asked_once_not_at_every_look(rig: Rig) -> None:
    rig.feel(5)
    assert len(rig.loop.asked) == 1


def test_one_long_turn_that_gets_on_is_no_wedge(rig: Rig) -> None:
    for _ in range(10):
        rig.feel(9)
        rig.work.done += 1
    assert rig.ended == []


def test_time_in_which_the_watchdog_stood_still_too_does_not_count(rig: Rig) -> None:
    """SIGSTOP, a host that slept, a clock set forward: a look comes long after the one before."""
    rig.feel(9)
    rig.feel(20, passed_s=3600.0)
    assert rig.ended == []
    rig.feel(2)
    assert rig.ended == [LIMIT_S]


def test_the_stack_names_places_and_none_of_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Watchdog] = []
    ready, over = threading.Event(), threading.Event()

    def handle_a_customer(customer: str) -> None:
        found.append(Watchdog(Loop(), LIMIT_S, lambda: customer))  # type: ignore[arg-type]
        ready.set()
        over.wait()

    thread = threading.Thread(target=handle_a_customer, args=("customer-4711",))
    thread.start()
    ready.wait()
    stack = found[0].stack()
    over.set()
    thread.join()
    assert any(line.startswith("test_watchdog.py:") and line.endswith(" handle_a_customer") for line in stack)
    assert "4711" not in str(stack)


def test_it_watches_from_a_thread_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.01)
    ended = threading.Event()

    async def live_then_get_stuck() -> None:
        dog = Watchdog(asyncio.get_running_loop(), 0.5, lambda: None, lambda _: ended.set())
        dog.start()
        await asyncio.sleep(1.0)
        assert not ended.is_set()
        assert ended.wait(20)
        dog.stop()

    asyncio.run(live_then_get_stuck())


PROCESS = """
import asyncio, sys, time
from orchestrator.observe import logs
from orchestrator.stream.ending import on_signals
from orchestrator.stream.watchdog import Watchdog

async def main():
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    on_signals(lambda: loop.call_soon_threadsafe(over.set))
    Watchdog(loop, 2.0, lambda: None).start()
    print("ready", flush=True)
    if sys.argv[1] == "stuck":
        turn_for_ever()
    await over.wait()

def turn_for_ever():
    while True:
        sum(range(100))

logs.setup(json=True)
asyncio.run(main())
"""


def _process(tmp_path: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_stuck_process_ends_with_a_status_of_its_own_and_says_where_it_is(tmp_path: Path) -> None:
    process = _process(tmp_path, "stuck")
    _, said = process.communicate(timeout=60)
    assert process.returncode == ExitCode.STUCK == 5
    (line,) = (line for line in said.splitlines() if "event_loop_stuck" in line)
    assert "turn_for_ever" in line


def test_a_process_that_was_stopped_for_longer_than_the_limit_goes_on(tmp_path: Path) -> None:
    process = _process(tmp_path, "alive")
    process.send_signal(signal.SIGSTOP)
    time.sleep(5)  # what is measured is that time passes
    process.send_signal(signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "event_loop_stuck" not in said

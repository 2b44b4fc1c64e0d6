"""How a process ends when it is told to, whatever its loop is doing, and when ending hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROCESS = """
import asyncio, logging, sys, time
from orchestrator.observe import logs
from orchestrator.stream import ending

async def main(how):
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    ending.on_signals(lambda: loop.call_soon_threadsafe(told.set), loop)
    print("ready", flush=True)
    if how == "stuck":
        time.sleep(600)  # the loop turns no more
    await told.wait()
    print("told", flush=True)
    if how == "hangs":
        await asyncio.sleep(600)
    if how == "mute":
        logging.getLogger().handlers[0].acquire()
        time.sleep(600)

logs.setup(json=True)
ending.STOP_TIMEOUT_S = float(sys.argv[2])
if sys.argv[1] == "begins":
    ending.leave_at_sigterm()
    print("ready", flush=True)
    time.sleep(600)
asyncio.run(main(sys.argv[1]))
"""


class Process:
    """A process that stops in one way or another."""

    def __init__(self, how: str, limit_s: float = 600) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, how, str(limit_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.hear("ready")

    def hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Its exit status and what it said; well before any limit that it does not have from the test."""
        try:
            _, said = self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        return self._process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_it_in_order(number: signal.Signals) -> None:
    process = Process("obeys")
    process.tell(number)
    process.hear("told")
    assert process.end() == (0, "")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    process = Process("hangs")
    process.tell(signal.SIGINT)
    process.hear("told")
    process.tell(second)
    assert process.end()[0] == 130


def test_a_second_signal_ends_a_process_whose_loop_is_stuck() -> None:
    process = Process("stuck")
    process.tell(signal.SIGTERM)
    time.sleep(0.5)  # two signals of one kind at once are one
    process.tell(signal.SIGTERM)
    assert process.end()[0] == 130


@pytest.mark.parametrize("how", ["hangs", "stuck"])
def test_a_stop_that_hangs_ends_after_the_limit_and_says_so(how: str) -> None:
    process = Process(how, limit_s=1)
    process.tell(signal.SIGTERM)
    status, said = process.end()
    assert status == 1
    assert "stop_timed_out" in said
    assert "main > tasks.py" in said.replace("'", "") or how == "stuck", "what the loop's tasks wait for"


def test_it_ends_even_where_the_logs_are_what_is_stuck() -> None:
    process = Process("mute", limit_s=1)
    process.tell(signal.SIGTERM)
    assert process.end() == (1, "")


def test_before_anything_is_begun_one_signal_ends_it_with_0() -> None:
    process = Process("begins")
    process.tell(signal.SIGTERM)
    assert process.end() == (0, "")

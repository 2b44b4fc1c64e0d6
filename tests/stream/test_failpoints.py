"""Failpoints: how they are named in the environment, what they do, and that without them nothing happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.stream import failpoints
from orchestrator.stream.failpoints import VARIABLE, Action, Arming, Failpoint, FailpointReached, armings, reacher

STREAM = Path(failpoints.__file__).parent


def test_names_counts_and_actions_are_read() -> None:
    text = "assigned, engine_done:2=sleep:0.5,offsets_sent:3=stop,committed=kill:0.01,let_go=raise"
    assert armings(text) == [
        Arming(Failpoint.ASSIGNED, 1, Action.KILL),
        Arming(Failpoint.ENGINE_DONE, 2, Action.SLEEP, 0.5),
        Arming(Failpoint.OFFSETS_SENT, 3, Action.STOP),
        Arming(Failpoint.COMMITTED, 1, Action.KILL, 0.01),
        Arming(Failpoint.LET_GO, 1, Action.RAISE),
    ]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("ofsets_sent", "did you mean offsets_sent?"),
        ("zzz", "known are assigned, restore_batch_ready"),
        ("committed=kil", "did you mean kill?"),
        ("committed:0", "for example committed:2=kill"),
        ("committed:x", "for example committed:2=kill"),
        ("committed=sleep", "for example committed=sleep:3"),
        ("committed=sleep:-1", "for example sleep:0.5"),
        ("committed=sleep:nan", "for example sleep:0.5"),
        ("committed=stop:3", "for example committed=stop"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(text: str, advice: str) -> None:
    with pytest.raises(UsageError) as raised:
        armings(text)
    assert advice in raised.value.next_step
    assert raised.value.where == VARIABLE


def test_a_worker_with_a_wrong_failpoint_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "worker", "--state-dir", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {VARIABLE: "comitted"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "error: ORC-001 there is no failpoint 'comitted' (ORCHESTRATOR_FAILPOINT)\n  next: did you mean committed?\n"
    )


def test_without_the_variable_reaching_a_point_is_an_empty_function() -> None:
    assert VARIABLE not in os.environ
    assert failpoints.reach is failpoints._nothing
    assert reacher("") is reacher(" , ") is failpoints._nothing


def test_an_action_happens_at_its_count_and_only_there() -> None:
    reach = reacher("committed:2=raise")
    reach(Failpoint.COMMITTED)
    reach(Failpoint.ENGINE_DONE)
    with pytest.raises(FailpointReached, match="committed"):
        reach(Failpoint.COMMITTED)
    reach(Failpoint.COMMITTED)


def _process(text: str) -> subprocess.Popen[bytes]:
    body = "from orchestrator.stream.failpoints import *\nreach(Failpoint.OPENED)\nimport time\nwhile True: sum(range(1000))\n"
    return subprocess.Popen([sys.executable, "-c", body], env=os.environ | {VARIABLE: text}, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("text", "signal_number"), [("opened", signal.SIGKILL), ("opened=kill:0.05", signal.SIGALRM)])
def test_kill_ends_the_process_at_once_or_in_the_midst_of_what_follows(text: str, signal_number: int) -> None:
    process = _process(text)
    try:
        assert process.wait(60) == -signal_number
    finally:
        process.kill()
        process.wait()


def test_stop_stops_the_process_until_it_is_let_go_on() -> None:
    process = _process("opened=stop")
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        _, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
    finally:
        process.kill()
        process.wait()


def test_sleep_waits() -> None:
    started = time.monotonic()
    reacher("opened=sleep:0.1")(Failpoint.OPENED)
    assert time.monotonic() - started >= 0.1


def test_every_point_is_reached_in_one_place_of_the_room() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in STREAM.glob("*.py") if path.name != "failpoints.py")
    named = re.findall(r"Failpoint\.([A-Z_]+)", sources)
    assert sorted(named) == sorted(point.name for point in Failpoint)

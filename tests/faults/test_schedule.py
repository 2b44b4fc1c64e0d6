"""The schedule of a run: the same seed gives the same faults, and every kind of them comes up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator.stream.failpoints import Failpoint, armings
from tests.faults.schedule import ONCE, Kind, schedule


def test_the_same_seed_gives_the_same_faults_in_every_process() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-m", "tests.faults", "--seed", "7", "--rounds", "30", "--plan"],
            capture_output=True, text=True, timeout=60, check=True, env={"PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == 30
    assert schedule(7, 30, [Kind.KILL], 3) != schedule(8, 30, [Kind.KILL], 3)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_longer_run_begins_as_the_shorter_one_and_befalls_workers_that_there_are(kind: Kind) -> None:
    faults = schedule(1, 300, [kind], 3)
    assert faults[:100] == schedule(1, 100, [kind], 3)
    assert {fault.kind for fault in faults} == {kind}
    assert {fault.worker for fault in faults} <= {0, 1, 2}
    assert all(fault.wait_s > 0 and fault.lasts_s >= 0 for fault in faults)
    assert all(len(armings(fault.armed)) <= 1 for fault in faults)


def test_all_failpoints_come_up_and_none_that_would_never_be_reached() -> None:
    found = [armings(fault.armed)[0] for fault in schedule(1, 300, [Kind.FAILPOINTS], 3)]
    assert {arming.point for arming in found} == set(Failpoint)
    assert all(arming.nth == 1 for arming in found if arming.point in ONCE)


def test_a_storm_keeps_the_first_worker_and_takes_new_names_twins_and_long_blocks() -> None:
    faults = schedule(1, 300, [Kind.REBALANCE], 3)
    assert {fault.worker for fault in faults} == {1, 2}
    assert {fault.how for fault in faults} == {"same name", "new name", "second of its name"}
    assert any("sleep:3.0" in fault.armed for fault in faults)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(("--faults", "kil"), "known are kill, stop"), (("--rounds", "0"), "1 or more")],
)
def test_a_wrong_call_is_told(words: tuple[str, ...], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert complaint in done.stderr

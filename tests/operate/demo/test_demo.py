"""`orchestrator demo` as a stranger runs it: to the end, interrupted at any moment, with a worker that dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import defaults
from tests.operate.demo.stage import Stage
from tests.oracle.actual import read_actions
from tests.oracle.compare import differences
from tests.oracle.winback import expected_actions, read_purchases

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")

PHASES = ("reading journeys", "starting a broker", "producing events", "starting a worker", "handling events")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def start(*arguments: str) -> Stage:
        stages.append(Stage(tmp_path, *arguments))
        return stages[-1]

    yield start
    for each in stages:
        each.clean_up()


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_does_what_the_oracle_says(stage: Callable[..., Stage], tmp_path: Path) -> None:
    computed = sum(os.times()[2:4])
    run = stage("--keep", "kept")
    status, output = run.end()
    assert status == 0, run.progress
    # Under a minute on a machine of its own; on one that others use too, what was computed must fit on 1.5 cores.
    assert min(time.monotonic() - run.began, (sum(os.times()[2:4]) - computed) / 1.5) < 60
    assert run.leftovers() == []

    actions = read_actions(tmp_path / "kept" / "actions.jsonl")
    assert differences(expected_actions(read_purchases(), 1 << 60), actions) == []
    for part in (
        "82,540 events became 77,595 actions",
        "69,659 entered  lapsed 34,955, bought-again 34,704",
        "1,488 entered  paid 566",
        "682 entered  logged-in 518",
        "273 entered  paid 209, closed 24, waiting 40",
        "reported back  77,595: delivered",
        "discount  183",
        "asked for    40",
        "asked again  15",
        "done         34",
        "given up      6",
        "not admitted  413  consent",
        "made to wait  820  quiet_hours",
        "made to wait  408  cap",
        "kept back      12  consent",
        "kept back      58  holdout",
        "kept back      16  suppression",
        "unknown_schema   4",
        "too_large        2",
        "One customer: u0",
    ):
        assert part in output, output

    lines = output.splitlines()
    commands = [line.strip() for line in lines[lines.index("Try next") :] if line.startswith("    ")]
    assert len(commands) == 3
    assert [line for line in lines if len(line.rstrip()) > 80 and line.strip() not in commands] == []
    for command in commands:
        done = subprocess.run(command, check=False, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_ends_the_demo_cleanly(stage: Callable[..., Stage], phase: str) -> None:
    run = stage()
    run.wait_for(phase)
    run.interrupt()
    status, output = run.end()
    assert status == 130, run.progress
    assert "Traceback" not in run.progress + output
    assert output == ""
    assert run.leftovers() == []


def test_ctrl_c_twice_still_leaves_nothing_behind(stage: Callable[..., Stage]) -> None:
    run = stage()
    run.wait_for("starting a worker")
    for _ in range(3):
        run.interrupt()
        time.sleep(0.05)  # a hasty user, not a wait for anything
    status, _ = run.end()
    assert status == 130, run.progress
    assert run.leftovers() == []


def test_a_worker_that_dies_is_reported_with_its_last_lines(stage: Callable[..., Stage]) -> None:
    run = stage()
    run.wait_for("handling events")
    (worker,) = [pid for pid, command in run.members().items() if " worker " in command]
    os.kill(worker, signal.SIGKILL)
    status, output = run.end()
    assert status == 1
    assert "ORC-011 the worker was killed by signal 9; its last lines:" in run.progress
    assert "worker_ready" in run.progress
    assert "next: run the demo again with --keep DIR" in run.progress
    assert output == ""
    assert run.leftovers() == []


def test_a_directory_with_other_files_is_refused(stage: Callable[..., Stage], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    run = stage("--keep", "mine")
    status, _ = run.end()
    assert status == 2
    assert "it holds other files (thesis.txt)" in run.progress
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert run.leftovers() == []


def test_a_journey_with_a_mistake_is_refused_with_its_place(stage: Callable[..., Stage], tmp_path: Path) -> None:
    shutil.copytree(defaults.TOPOLOGIES, tmp_path / "mine")
    journey = tmp_path / "mine" / "journeys" / "winback.yaml"
    journey.write_text(journey.read_text().replace("go: lapsing", "go: lapsng"))
    run = stage("--topologies", "mine")
    status, _ = run.end()
    assert status == 1
    assert "mine/journeys/winback.yaml:" in run.progress
    assert "did you mean 'lapsing'?" in run.progress
    assert "starting a broker" not in run.progress
    assert run.leftovers() == []


def test_a_topology_that_is_not_there_is_refused_before_anything_starts(stage: Callable[..., Stage]) -> None:
    run = stage("--topologies", "nowhere")
    status, _ = run.end()
    assert status == 2
    assert "starting a broker" not in run.progress
    assert run.leftovers() == []

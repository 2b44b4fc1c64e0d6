"""The mark that outlives a process, and what deaths at the same records add up to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.stream.attempts import DEATHS, Attempts, Suspicion

TOPIC = "customer.events"


def died_at(folder: Path, first: int, after: int, partition: int = 0) -> Attempts:
    """A process that died at these records, and the one that came after it."""
    Attempts(folder).begin(TOPIC, partition, first, after)
    return Attempts(folder)


def test_kill_9_leaves_the_mark(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from orchestrator.stream.attempts import Attempts\n"
        f"Attempts(Path(sys.argv[1])).begin({TOPIC!r}, 3, 17, 40); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert Attempts(tmp_path).suspicions == [Suspicion(TOPIC, 3, 17, 40)]
    assert Attempts(tmp_path).suspicions == [Suspicion(TOPIC, 3, 17, 40)], "a death is counted once"


def test_a_process_that_ends_with_nothing_at_hand_is_no_death(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    attempts.begin(TOPIC, 0, 0, 10)
    attempts.over()
    assert Attempts(tmp_path).suspicions == []


def test_deaths_at_the_same_records_blame_what_their_blocks_have_in_common(tmp_path: Path) -> None:
    for death, (first, after) in enumerate([(0, 4000), (0, 900), (500, 4000)], 1):
        attempts = died_at(tmp_path, first, after)
        assert attempts.suspected(TOPIC, 0, 500, 501) is (death >= DEATHS)
    assert attempts.suspicions == [Suspicion(TOPIC, 0, 500, 900, 3)]
    assert attempts.suspected(TOPIC, 0, 0, 501)
    assert attempts.suspected(TOPIC, 0, 899, 5000)
    assert not attempts.suspected(TOPIC, 0, 0, 500)
    assert not attempts.suspected(TOPIC, 0, 900, 5000)
    assert not attempts.suspected(TOPIC, 1, 0, 5000)
    assert not attempts.suspected("journeys.outcomes", 0, 0, 5000)


def test_deaths_at_other_records_begin_the_count_anew(tmp_path: Path) -> None:
    died_at(tmp_path, 0, 100)
    died_at(tmp_path, 0, 100)
    assert died_at(tmp_path, 100, 200).suspicions == [Suspicion(TOPIC, 0, 100, 200, 1)]


def test_two_partitions_with_a_deadly_record_each_are_both_found(tmp_path: Path) -> None:
    for _ in range(DEATHS):
        died_at(tmp_path, 0, 100, partition=0)
        attempts = died_at(tmp_path, 7, 9, partition=1)
    assert attempts.suspected(TOPIC, 0, 0, 100)
    assert attempts.suspected(TOPIC, 1, 0, 100)


def test_what_lies_behind_the_committed_position_is_forgotten(tmp_path: Path) -> None:
    died_at(tmp_path, 0, 100)
    attempts = died_at(tmp_path, 50, 200)
    attempts.passed(1, {TOPIC: 1000})
    attempts.passed(0, {TOPIC: 99})
    assert attempts.suspicions
    attempts.passed(0, {TOPIC: 100})
    assert attempts.suspicions == []
    assert Attempts(tmp_path).suspicions == []


@pytest.mark.parametrize("name", ["at-work", "deaths.json"])
def test_a_damaged_file_is_as_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"{")
    assert Attempts(tmp_path).suspicions == []
    assert died_at(tmp_path, 0, 1).suspicions == [Suspicion(TOPIC, 0, 0, 1)]


def test_the_file_of_the_mark_has_no_hole_that_a_full_disk_could_not_fill(tmp_path: Path) -> None:
    Attempts(tmp_path)
    state = (tmp_path / "at-work").stat()
    assert state.st_blocks * 512 >= state.st_size


def test_a_mark_costs_a_block_nothing_noticeable(tmp_path: Path) -> None:
    """A block is 12 us a record; the limit here is 20 times what a mark takes, for machines that are busy."""
    attempts = Attempts(tmp_path)
    started = time.process_time()
    for offset in range(10_000):
        attempts.begin(TOPIC, 0, offset, offset + 1)
        attempts.over()
    assert (time.process_time() - started) / 10_000 < 20e-6

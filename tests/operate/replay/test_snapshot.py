"""Snapshots of replays: which stay, and that nobody removes one that is in use."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.cli import replay
from orchestrator.operate.replay import snapshot
from orchestrator.operate.replay.snapshot import KEPT, Reached, Snapshot

JOURNAL = "app-journal"


def _keep(folder: Path, cycle: int, most: int = 3) -> None:
    """Keep one as of a later time than those before."""
    snapshot.keep(folder, JOURNAL, 0, Snapshot(Reached(cycle), 0, {}, [], {}), most)
    (path,) = folder.rglob(f"{cycle:012d}.snapshot")
    os.utime(path, (cycle, cycle))


def _cycles(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.rglob("*.snapshot"))


def test_r1_so_many_of_each_partition_stay_those_that_were_kept_last(tmp_path: Path) -> None:
    for cycle in range(1, 6):
        _keep(tmp_path, cycle)
    snapshot.keep(tmp_path, JOURNAL, 1, Snapshot(Reached(1), 0, {}, [], {}), 3)
    assert _cycles(tmp_path / JOURNAL / "partition-0") == [3, 4, 5]
    assert _cycles(tmp_path / JOURNAL / "partition-1") == [1]
    assert replay.KEPT == KEPT


def test_r1_of_a_journal_that_began_anew_the_few_new_cycles_stay_and_not_the_many_old_ones(tmp_path: Path) -> None:
    for cycle in (7_001, 7_002, 7_003):
        _keep(tmp_path, cycle)
    for path in tmp_path.rglob("*.snapshot"):
        os.utime(path, (0, 0))
    for cycle in (1, 2):
        _keep(tmp_path, cycle)
    assert {1, 2} < set(_cycles(tmp_path))


def test_r1_one_that_a_replay_began_with_stays_as_long_as_that_runs_and_counts_as_young(tmp_path: Path) -> None:
    for cycle in (1, 2, 3):
        _keep(tmp_path, cycle)
    kept = list(snapshot.kept(tmp_path, JOURNAL, 0))
    assert [each.snapshot.cycle for each in kept] == [3, 2, 1]
    for each in kept[:2]:
        each.file.close()
    for cycle in (4, 5, 6, 7):
        _keep(tmp_path, cycle)
    assert _cycles(tmp_path) == [1, 5, 6, 7]
    in_use = snapshot.use(kept[2])
    in_use.close()
    _keep(tmp_path, 8)
    assert _cycles(tmp_path) == [1, 7, 8]


def test_r1_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    _keep(tmp_path, 1)
    _keep(tmp_path, 2)
    (path,) = tmp_path.rglob("000000000002.snapshot")
    path.write_bytes(b"half a")
    (found,) = snapshot.kept(tmp_path, JOURNAL, 0)
    found.file.close()
    assert found.snapshot.cycle == 1

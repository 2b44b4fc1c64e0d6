"""Rows 2 and 5 of the matrix, in short: random kills and rebalances; the long runs are `make faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.faults.run import run_stretch
from tests.faults.schedule import Kind, schedule

SEED = 5
ROUNDS = 8


@pytest.mark.long
@pytest.mark.timeout(600)
def test_i3_t6_three_workers_in_a_storm_of_kills_and_rebalances(kafka: Broker, tmp_path: Path) -> None:
    faults = list(enumerate(schedule(SEED, ROUNDS, [Kind.KILL, Kind.REBALANCE], 3), 1))
    verdict = run_stretch(kafka, tmp_path, SEED, 3, faults, print)
    print(f"seed {SEED}: {verdict.summary}")
    assert not verdict.differences, "\n".join(verdict.differences)

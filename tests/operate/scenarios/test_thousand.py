"""A thousand scenarios are done while one waits: half of them on the shipped topologies, half with journeys of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scenarios import measured, write

MOST_S = 30


@pytest.mark.slow
def test_a_thousand_scenarios_run_in_under_half_a_minute(tmp_path: Path) -> None:
    write(tmp_path, 1_000)
    seconds, failed = measured(tmp_path)
    if seconds >= MOST_S:  # another process may have had the machine
        seconds, failed = measured(tmp_path)
    print(f"1,000 scenarios in {seconds:.1f} s")

    assert failed == 0
    assert seconds < MOST_S

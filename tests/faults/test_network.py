"""Rows 8 to 11 with workers: the checker finds no difference, whatever the network did. At the producer: test_transactions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import network
from tests.faults.line import Line
from tests.faults.run import Stretch

SEED = 11


def _befall(line: Line, folder: Path, *deeds: tuple[str, float]) -> None:
    with Stretch(line, folder, SEED, 2) as stretch:
        for name, lasts_s in deeds:
            stretch.wait_for_progress()
            network.DISTURBANCES[name](line, lasts_s)
        stretch.wait_for_progress()
        verdict = stretch.end()
    print(verdict.summary)
    assert not verdict.differences, "\n".join(verdict.differences)


@pytest.mark.timeout(600)
def test_t6_lost_and_late_commits_and_refused_offsets_change_nothing(line: Line, tmp_path: Path) -> None:
    _befall(line, tmp_path, ("lost commit answer", 0), ("late commit", 0), ("refused offsets", 0), ("lost commit answer", 0))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_t6_half_open_connections_losses_and_resets_change_nothing(line: Line, tmp_path: Path) -> None:
    _befall(line, tmp_path, ("half of all lost", 5), ("resets", 5), ("half-open", 2))

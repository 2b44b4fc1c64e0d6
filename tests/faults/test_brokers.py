"""Rows 6 and 7 in short: one of three brokers killed, one paused for longer than a request may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers.cluster import KafkaCluster
from tests.faults import brokers
from tests.faults.line import Line
from tests.faults.run import Stretch

SEED = 6


@pytest.mark.timeout(600)
def test_t6_a_killed_and_a_paused_broker_of_three_change_nothing(lines: Line, tmp_path: Path) -> None:
    cluster = lines.broker
    assert isinstance(cluster, KafkaCluster)
    with Stretch(lines, tmp_path, SEED, 2) as stretch:
        topology = stretch.stage.topology
        stretch.wait_for_progress()
        brokers.kill(cluster, "leader of the changelog", topology, 1.0)
        stretch.wait_for_progress()
        brokers.pause(cluster, "transaction coordinator", topology, 6.0)
        stretch.wait_for_progress()
        verdict = stretch.end()
    print(verdict.summary)
    assert not verdict.differences, "\n".join(verdict.differences)

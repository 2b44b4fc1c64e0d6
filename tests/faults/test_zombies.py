"""Rows 3 and 4 of the matrix: a worker that stands still until others have its work, and then goes on as if nothing had been."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from orchestrator.stream.failpoints import Failpoint
from tests.brokers import Broker
from tests.contract.stage import WorkerProcess
from tests.faults.injection import is_stopped, until_logged, until_reached, until_ready
from tests.faults.run import Stretch
from tests.faults.test_crashes import SHORT

SEED: Final = 20261123
LIMIT_S: Final = 90.0
EVERYTHING: Final = '"partitions": [0, 1, 2, 3]'
ZOMBIES: Final = (
    Failpoint.BLOCK_TAKEN,
    Failpoint.TRANSACTION_BEGUN,
    Failpoint.ALL_PRODUCED,
    Failpoint.OFFSETS_SENT,
    Failpoint.COMMITTED,
)


def _stand_still(stretch: Stretch, point: Failpoint) -> WorkerProcess:
    """The first worker stops at the point, and does not move any more."""
    process = stretch.fleet.start(0, f"{point}:3=stop")
    assert until_reached(process, LIMIT_S), f"never came by {point}:\n{process.tail()}"
    assert is_stopped(process.pid)
    return process


def _take_over(stretch: Stretch) -> None:
    """The second worker comes to have all partitions, and handles their records."""
    process = stretch.fleet.process(1)
    seen = process.log.read_text(encoding="utf-8").count(EVERYTHING)
    assert until_logged(process, EVERYTHING, LIMIT_S, seen + 1), f"did not take over:\n{process.tail()}"
    stretch.wait_for_progress()


def _judge(stretch: Stretch) -> None:
    verdict = stretch.end()
    print(verdict.summary)
    assert not verdict.differences, "\n".join(verdict.differences)


@pytest.mark.timeout(600)
def test_i3_t6_a_zombie_writes_nothing_after_others_have_its_work(kafka: Broker, tmp_path: Path) -> None:
    with Stretch(kafka, tmp_path, SEED, 2, SHORT) as stretch:
        fleet = stretch.fleet
        for point in ZOMBIES:
            fleet.end(0)
            assert until_ready(fleet.process(1), LIMIT_S)
            zombie = _stand_still(stretch, point)
            _take_over(stretch)
            zombie.send(signal.SIGCONT)
            # It rejoins by itself, or ends and says why; which, the fleet finds out.
            assert until_logged(zombie, "worker_ready", LIMIT_S, 2) or zombie.exit_code is not None, zombie.tail()
        _judge(stretch)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_i3_t6_a_zombie_that_regains_its_partitions_does_not_write_old_state(kafka: Broker, tmp_path: Path) -> None:
    """Its last cycle is in Kafka and not yet in its stores when it stops; the stores are written when it goes on."""
    with Stretch(kafka, tmp_path, SEED + 1, 2, SHORT) as stretch:
        fleet = stretch.fleet
        for point in (Failpoint.COMMITTED, Failpoint.STORE_BATCH_READY):
            fleet.end(0)
            assert until_ready(fleet.process(1), LIMIT_S)
            zombie = _stand_still(stretch, point)
            _take_over(stretch)
            fleet.kill(1)
            zombie.send(signal.SIGCONT)
            assert until_logged(zombie, EVERYTHING, LIMIT_S) or zombie.exit_code is not None, zombie.tail()
            stretch.wait_for_progress()
            fleet.start(1)
        _judge(stretch)

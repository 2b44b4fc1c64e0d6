"""Row 1 of the matrix: a worker dies at every point of its way, in its first cycle and in the midst of its work.

One stream of records goes on through all the deaths; what came of it is judged once, at the end.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from orchestrator.stream.failpoints import Failpoint
from tests.brokers import Broker
from tests.contract.stage import WorkerProcess
from tests.faults.injection import LEAVING, RESTORING, until_reached, until_ready
from tests.faults.run import Stretch
from tests.faults.schedule import ONCE

SEED: Final = 20261122
# What a worker that died holds of the group and of the topics ends soon.
SHORT: Final = ("kafka.session.timeout.ms=2000", "kafka.heartbeat.interval.ms=500", "kafka.transaction.timeout.ms=3000")
IN_THE_STORE_S: Final = 0.0003  # after the point before the write of a batch: within it, or hardly behind

SLOW: Final = 40  # records a second: enough for a cycle a moment, and soon judged
BEFORE: Final = 600  # records, so that there is something to restore in every partition

FIRST: Final = tuple(f"{point}:1=kill" for point in Failpoint)
MIDDLE: Final = (
    *(f"{point}:4=kill" for point in Failpoint if point not in ONCE),
    *(f"{point}:2=kill" for point in Failpoint if point in RESTORING),  # of the second partition
    f"{Failpoint.STORE_BATCH_READY}:3=kill:{IN_THE_STORE_S}",
    f"{Failpoint.OFFSETS_SENT}:3=kill:0.003",  # in the midst of the commit
)


def _point(armed: str) -> Failpoint:
    return Failpoint(armed.partition(":")[0])


def _assert_died_there(process: WorkerProcess, armed: str) -> None:
    if not until_reached(process):
        pytest.fail(f"never came by {armed}:\n{process.tail()}")
    assert process.wait(30) in (-signal.SIGKILL, -signal.SIGALRM)
    assert f'"{_point(armed)}"' in process.log.read_text(encoding="utf-8")


def _assert_nothing_was_lost_or_repeated(stretch: Stretch, deaths: int) -> None:
    verdict = stretch.end()
    print(verdict.summary)
    assert not verdict.differences, "\n".join(verdict.differences)
    assert verdict.sent > 0
    logs = [path.read_text(encoding="utf-8") for path in stretch.stage.folder.glob("*.log")]
    assert sum("failpoint_reached" in log for log in logs) == deaths
    # A store is behind Kafka after a crash, never ahead of it or damaged: nobody may have had to rebuild one.
    assert not [log for log in logs if "store_rebuilt" in log]


@pytest.mark.timeout(1200)
def test_i3_t6_a_worker_that_dies_at_any_point_goes_on_when_it_is_back(kafka: Broker, tmp_path: Path) -> None:
    with Stretch(kafka, tmp_path, SEED, 1, SHORT, rate=SLOW) as stretch:
        fleet = stretch.fleet
        stretch.wait_for_progress(BEFORE)
        fleet.kill(0)
        for armed in (*FIRST, *MIDDLE):
            if _point(armed) in RESTORING:
                fleet.forget_state(0)
            process = fleet.start(0, armed)
            if _point(armed) in LEAVING:
                assert until_ready(process)
                process.send(signal.SIGTERM)
            _assert_died_there(process, armed)
        _assert_nothing_was_lost_or_repeated(stretch, len(FIRST) + len(MIDDLE))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_i3_t6_what_a_worker_leaves_that_dies_at_any_point_another_takes_over(kafka: Broker, tmp_path: Path) -> None:
    with Stretch(kafka, tmp_path, SEED + 1, 2, SHORT, rate=SLOW) as stretch:
        fleet = stretch.fleet
        stretch.wait_for_progress(BEFORE)
        for number in (0, 1):
            assert until_ready(fleet.process(number))
            fleet.kill(number)
        for turn, armed in enumerate((*FIRST, *MIDDLE)):
            mine, other = turn % 2, 1 - turn % 2
            fleet.kill(mine)
            if armed in MIDDLE and _point(armed) in RESTORING:
                fleet.forget_state(mine)
            process = fleet.start(mine, armed)
            if _point(armed) in LEAVING:
                assert until_ready(process)
                fleet.start(other)  # joins, so that the first must share
            _assert_died_there(process, armed)
        _assert_nothing_was_lost_or_repeated(stretch, len(FIRST) + len(MIDDLE))

"""kill -9 at any moment: what Kafka and the stores hold afterwards is what one engine makes of the same records in peace."""

from __future__ import annotations

import random
import time

from orchestrator.operate.demo.cohort import cohort
from orchestrator.stream.failpoints import VARIABLE, Action, Failpoint
from tests.checker import Demands, LiveReader
from tests.checker.evidence import Topics
from tests.contract.cdnow import AFTER_THE_LAST_TIMER, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.stage import Stage, WorkerProcess

SEED = 20261122
JOURNEYS = ("winback", "onboarding", "payment-recovery")
LOADED = Demands(is_loaded=True, fired_before=AFTER_THE_LAST_TIMER)


def test_i3_t6_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(stage_on_kafka: MakeStage) -> None:
    dice = random.Random(SEED)
    stage = stage_on_kafka(journeys=JOURNEYS)
    records = stage.produce([*some_purchases(8), *cohort(SEED, 300)])
    kills = at_work = 0
    with LiveReader(stage.broker.bootstrap, Topics.of(stage.topology).outputs, 4) as reader:
        worker = stage.worker()
        while kills < 3 or (stage.handled_records() < records and kills < 6):
            # From the middle of the start to the middle of the work, which a quiet machine does in two seconds.
            time.sleep(dice.uniform(0.3, 1.5))
            worker.kill()
            kills += 1
            at_work += stage.handled_records() < records
            worker = stage.worker()
        wait_for_all(stage, records)
        assert worker.stop() == 0
    print(f"seed {SEED}: killed {kills} times")
    assert kills >= 3
    assert at_work, "each came when all was done"
    assert_exactly_once(stage, [reader], demands=LOADED, second_client=True)


def _two_workers(stage: Stage) -> tuple[WorkerProcess, WorkerProcess]:
    """Start two at once; each waits at its first block, so that neither has done everything before the other is there."""
    slow = {VARIABLE: f"{Failpoint.BLOCK_TAKEN}={Action.SLEEP}:8"}
    return stage.worker("w1", **slow), stage.worker("w2", **slow)


def test_t6_two_workers_share_and_hand_over(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(6))
    first, second = _two_workers(stage)
    stage.wait_until("both have committed", lambda: {r.worker for r, _ in stage.journal()} >= {"w1", "w2"}, 90)
    assert second.stop() == 0
    wait_for_all(stage, records)
    assert first.stop() == 0
    assert_exactly_once(stage, demands=LOADED)


def test_t6_a_killed_worker_is_replaced_by_the_other(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(6))
    first, second = _two_workers(stage)
    stage.wait_until("both have committed", lambda: {r.worker for r, _ in stage.journal()} >= {"w1", "w2"}, 90)
    first.kill()
    wait_for_all(stage, records)
    assert second.stop() == 0
    assert_exactly_once(stage, demands=LOADED)

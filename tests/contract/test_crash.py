"""kill -9 at any moment of the CDNOW run: what a read_committed reader sees is what it sees without."""

from __future__ import annotations

import random
import time

from tests.contract.cdnow import assert_as_the_oracle_says, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage

SEED = 20261122


def test_i3_t6_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(stage_on_kafka: MakeStage) -> None:
    dice = random.Random(SEED)
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(2))
    kills = 0
    worker = stage.worker()
    while stage.handled_records() < records and kills < 12:
        # From the middle of the start to the middle of the work; a run takes a few seconds in all.
        time.sleep(dice.uniform(0.3, 3.0))
        worker.kill()
        kills += 1
        worker = stage.worker()
    wait_for_all(stage, records)
    print(f"seed {SEED}: killed {kills} times")
    assert kills >= 3
    assert_as_the_oracle_says(stage, 2)
    assert worker.stop() == 0
    assert stage.stored_documents("w0") == stage.changelog_documents()


def test_t6_two_workers_share_and_hand_over(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(2))
    first = stage.worker("w1")
    second = stage.worker("w2")
    stage.wait_until("both have partitions", lambda: all("worker_ready" in w.tail() for w in (first, second)))
    stage.wait_until("both have committed", lambda: {r.worker for r, _ in stage.journal()} >= {"w1", "w2"}, 90)
    assert second.stop() == 0
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage, 2)


def test_t6_a_killed_worker_is_replaced_by_the_other(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(2))
    first = stage.worker("w1")
    second = stage.worker("w2")
    stage.wait_until("both have committed", lambda: {r.worker for r, _ in stage.journal()} >= {"w1", "w2"}, 90)
    first.kill()
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage, 2)
    assert second.exit_code is None

"""The main job, end to end: CDNOW purchases through a worker, judged by the oracle and by the engine in virtual time."""

from __future__ import annotations

import shutil
from collections import defaultdict
from typing import Any

from orchestrator.engine.record import Record
from orchestrator.simulate import Simulation
from tests.contract.cdnow import assert_as_the_oracle_says, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage

SAMPLE = 12  # one customer in twelve: the embedded broker keeps only 5 MiB a partition


def _simulated(stage: Stage, one_in: int) -> dict[str, list[Any]]:
    simulation = Simulation(stage.topology)
    handlings = []
    for line in some_purchases(one_in):
        handlings += simulation.feed(Record(line.event, line.customer, line.id, line.at, dict(line.data)))
    handlings += simulation.run_until(1 << 60)
    lives: dict[str, list[Any]] = defaultdict(list)
    for handling in handlings:
        lives[handling.customer] += [(handling.at, d.kind, d.step, d.instance, d.reason) for d in handling.decisions]
    return lives


def _logged(stage: Stage) -> dict[str, list[Any]]:
    lives: dict[str, list[Any]] = defaultdict(list)
    for handling in stage.handlings():
        lives[handling["customer"]] += [
            (handling["at"], d["kind"], d["step"] or "", d["instance"] or "", d["reason"] or "") for d in handling["decisions"]
        ]
    return lives


def test_t1_t3_i1_the_worker_the_simulation_and_the_oracle_agree(stage_on: MakeStage) -> None:
    stage = stage_on()
    stage.worker()
    wait_for_all(stage, stage.produce(some_purchases(SAMPLE)))
    assert_as_the_oracle_says(stage, SAMPLE)
    assert _logged(stage) == _simulated(stage, SAMPLE)


def test_all_of_cdnow_on_a_real_kafka(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases())
    worker = stage.worker()
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage)
    assert worker.stop() == 0


def test_i3_a_worker_stopped_midway_and_robbed_of_its_state_goes_on_where_it_was(stage_on: MakeStage) -> None:
    stage = stage_on()
    records = stage.produce(some_purchases(SAMPLE))
    first = stage.worker()
    stage.wait_until("something is handled", lambda: stage.handled_records() > 0)
    assert first.stop() == 0
    shutil.rmtree(stage.state_of("w0"))

    stage.worker()
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage, SAMPLE)


def test_t6_a_state_directory_lost_after_everything_changes_nothing(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka()
    records = stage.produce(some_purchases(SAMPLE))
    first = stage.worker()
    wait_for_all(stage, records)
    assert first.stop() == 0
    before = stage.actions()
    shutil.rmtree(stage.state_of("w0"))

    second = stage.worker()
    stage.wait_until("the worker is ready again", lambda: "worker_ready" in second.tail())
    assert second.stop() == 0
    assert stage.actions() == before
    assert stage.stored_documents("w0") == stage.changelog_documents()

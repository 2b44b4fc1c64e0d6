"""SIGTERM ends a worker in order within 30 s, whatever it is doing; a busy one and a lost broker: `test_worker_process.py`."""

from __future__ import annotations

import time
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupState, Producer

from orchestrator import kafka
from tests.contract.cdnow import assert_journal_is_one_chain, some_purchases
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage, WorkerProcess

READY_S: Final = 120.0


def _ends_in_order(worker: WorkerProcess) -> None:
    began = time.monotonic()
    assert worker.stop(60) == 0, worker.tail()
    assert time.monotonic() - began < 30
    said = worker.log.read_text()
    assert "worker_stopped" in said
    assert "stop_timed_out" not in said
    assert "Traceback" not in said


def _has_said(stage: Stage, worker: WorkerProcess, word: str) -> None:
    stage.wait_until(f"the worker says {word}", lambda: word in worker.log.read_text(), READY_S)


def test_sigterm_ends_a_worker_that_waits_in_a_restore(stage_on_kafka: MakeStage) -> None:
    """Somebody's open transaction keeps the end of the changelog from being read; the restore would wait it out."""
    stage = stage_on_kafka(partitions=1)
    hanging = Producer({"bootstrap.servers": stage.broker.bootstrap, "transactional.id": stage.topology.streams.app + "-hanging"})
    hanging.init_transactions(30)
    hanging.begin_transaction()
    hanging.produce(stage.topology.streams.changelog, b"", b"somebody", 0)
    hanging.flush(30)
    worker = stage.worker("w0", ORCHESTRATOR_FAILPOINT="restore_batch_ready=sleep:0.01")
    _has_said(stage, worker, "failpoint_reached")
    _ends_in_order(worker)
    assert "worker_ready" not in worker.log.read_text()
    hanging.abort_transaction(30)


def test_sigterm_ends_a_worker_that_waits_in_a_rebalance(stage_on_kafka: MakeStage) -> None:
    """Another member of the group was told to give up its partitions and does not; nobody has any until it does."""
    stage = stage_on_kafka(partitions=2)
    other = Consumer({"bootstrap.servers": stage.broker.bootstrap, "group.id": stage.topology.streams.app})
    assigned: list[Any] = []
    topics = [stage.events, stage.topology.streams.outcomes]
    other.subscribe(topics, on_assign=lambda _, parts: assigned.append(parts))
    while not assigned:
        other.poll(0.1)
    worker = stage.worker("w0")
    client = kafka.admin({"bootstrap.servers": stage.broker.bootstrap})
    stage.wait_until("the group waits", lambda: _rebalances(client, stage.topology.streams.app), READY_S)
    _ends_in_order(worker)
    assert "worker_ready" not in worker.log.read_text()
    other.close()


def _rebalances(client: Any, group: str) -> bool:
    found = client.describe_consumer_groups([group])[group].result(10)
    return bool(found.state == ConsumerGroupState.PREPARING_REBALANCING)


def test_sigterm_commits_the_cycle_that_runs_and_a_worker_that_idles_ends_too(stage_on_kafka: MakeStage) -> None:
    """The signal comes while the first cycle waits between its offsets and its commit."""
    stage = stage_on_kafka(partitions=2)
    stage.produce(some_purchases(100))
    worker = stage.worker("w0", ORCHESTRATOR_FAILPOINT="offsets_sent=sleep:3")
    _has_said(stage, worker, "failpoint_reached")
    assert stage.journal() == []
    _ends_in_order(worker)
    assert stage.handled_records() > 0
    assert_journal_is_one_chain(stage)
    assert stage.stored_documents("w0") == stage.changelog_documents() != {}
    idle = stage.worker("w0")
    _has_said(stage, idle, "worker_ready")
    _ends_in_order(idle)

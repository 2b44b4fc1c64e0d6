"""A worker that was stopped past its time-outs in the middle of a commit: it goes on by itself, unless its name was taken."""

from __future__ import annotations

import signal
from typing import Final

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from orchestrator import kafka
from orchestrator.operate.demo.events import EventLine
from orchestrator.stream.holder import holder_in_group
from tests import proc
from tests.contract.cdnow import assert_as_the_oracle_says, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage, WorkerProcess

SOON: Final = ("--set", "kafka.session.timeout.ms=6000", "--set", "kafka.transaction.timeout.ms=6000")
LATER: Final = EventLine(1_000_000_000_000, "late", "account.closed", "x", {})
PATIENCE_S: Final = 120.0


class Stopped:
    """A worker on a stage of its own, stopped between its offsets and its commit for the second time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.records = stage.produce(some_purchases(20))
        self.worker = stage.worker("w1", *SOON, ORCHESTRATOR_FAILPOINT="offsets_sent:2=stop")

    def await_stop(self) -> None:
        self.stage.wait_until("it is stopped", lambda: proc.state(self.worker.pid) == "T", PATIENCE_S)

    def await_time_outs(self) -> None:
        """Until the group has forgotten it and the broker has ended its transaction."""
        ask = holder_in_group({"bootstrap.servers": self.stage.broker.bootstrap}, self.stage.topology.streams.app, "w1")
        self.stage.wait_until("the group forgets it", lambda: ask() == "", PATIENCE_S)
        self.stage.wait_until("its transaction is over", lambda: not self._is_open(), PATIENCE_S)

    def _is_open(self) -> bool:
        """Tell whether some reader of committed records has to wait for the journal's end."""
        client = kafka.admin({"bootstrap.servers": self.stage.broker.bootstrap})
        streams = self.stage.topology.streams
        ends = []
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
            asked = {TopicPartition(streams.journal, n): OffsetSpec.latest() for n in range(streams.partitions)}
            found = client.list_offsets(asked, isolation_level=level)
            ends.append(sum(each.result(10).offset for each in found.values()))
        return ends[0] != ends[1]

    def go_on(self) -> None:
        self.worker.send(signal.SIGCONT)

    def await_return(self) -> None:
        self.stage.wait_until("it is back", lambda: "worker_ready" in _after(self.worker, "failpoint_reached"), PATIENCE_S)

    def finish(self) -> None:
        self.records += self.stage.produce([LATER])
        wait_for_all(self.stage, self.records)
        assert_as_the_oracle_says(self.stage, 20)


def _after(worker: WorkerProcess, word: str) -> str:
    return worker.log.read_text().partition(word)[2]


@pytest.mark.long
def test_i3_t6_a_worker_stopped_past_its_time_outs_goes_on_unless_its_name_is_taken(stage_on_kafka: MakeStage) -> None:
    """Three at a time, for the waiting is long: one alone, one with another worker beside it, one whose name a second took."""
    alone, beside, taken = (Stopped(stage_on_kafka(partitions=2)) for _ in range(3))
    for each in (alone, beside, taken):
        each.await_stop()
    other = beside.stage.worker("w2", *SOON)
    second = taken.stage.worker("second", "--worker-id", "w1", *SOON)
    alone.await_time_outs()
    wait_for_all(beside.stage, beside.records)
    wait_for_all(taken.stage, taken.records)
    for each in (alone, beside, taken):
        each.go_on()
    alone.await_return()
    beside.await_return()
    taken.stage._workers.remove(taken.worker)
    try:
        assert taken.worker.wait(60) == 1
    finally:
        taken.worker.end()
    assert "ORC-009" in taken.worker.tail()
    for each in (alone, beside, taken):
        each.finish()
    # The one that woke may take a new producer before the group tells it of the second: that fences the second, once.
    assert second.log.read_text().count('"joining_anew"') <= 1
    for worker in (alone.worker, beside.worker, other, second):
        assert worker.stop() == 0

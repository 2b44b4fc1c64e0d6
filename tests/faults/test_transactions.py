"""Rows 8, 9 and 10 at the producer: whatever is lost, late or refused on the way, a cycle lands whole or not at all, and once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from kafka.protocol.api_key import ApiKey
from kafka.protocol.producer import EndTxnResponse

from orchestrator.stream import commit as commit_module
from orchestrator.stream.commit import Commit, Outcome, TransactionalProducer
from orchestrator.stream.producing import Produce
from tests.brokers import read_to_end, unique
from tests.brokers.test_brokers import await_true
from tests.faults.answers import with_error
from tests.faults.line import Line
from tests.faults.proxy import Deed, Rule, Side

WAIT_S = 30.0
OF_A_CYCLE = (
    ApiKey.AddPartitionsToTxn,
    ApiKey.Produce,
    ApiKey.AddOffsetsToTxn,
    ApiKey.TxnOffsetCommit,
    ApiKey.EndTxn,
)
FENCED = {KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}


class Bench:
    """A producer behind the proxy, a topic of two partitions, and a group that keeps offsets: what a cycle touches."""

    def __init__(self, line: Line, **settings: Any) -> None:
        self.line = line
        self.topic, self.group = unique("outputs"), unique("group")
        line.broker.create_topic(self.topic, 2)
        self._reader = Consumer(
            {"bootstrap.servers": line.broker.bootstrap, "group.id": self.group, "isolation.level": "read_uncommitted"}
        )
        self.producer = TransactionalProducer(
            {"bootstrap.servers": line.bootstrap, "transactional.id": self.group, "linger.ms": 5, **settings}, self.topic
        )
        self.producer.open(WAIT_S)

    def cycle(self, number: int) -> Commit:
        """One record on each partition and the offset, all of which say the cycle's number."""
        records = [Produce(self.topic, partition, b"k", b"%d" % number) for partition in (0, 1)]
        offsets = [TopicPartition(self.topic, 0, number, str(number))]
        return self.producer.run(records, offsets, self._reader.consumer_group_metadata())

    def settle(self, number: int) -> bool:
        """Do as the worker does after an unknown outcome: end the transaction, and ask for the offsets."""
        self.producer.open(WAIT_S)
        return self.offset() == number

    def until_landed(self, number: int) -> None:
        """Do a cycle again and again, as the worker would, until it has landed."""
        for _ in range(5):
            commit = self.cycle(number)
            if commit.outcome is Outcome.COMMITTED or (commit.outcome is Outcome.UNKNOWN and self.settle(number)):
                return
        raise AssertionError(f"cycle {number} did not land in five tries")

    def offset(self) -> int:
        (found,) = self._reader.committed([TopicPartition(self.topic, 0)], WAIT_S)
        assert found.metadata == (str(found.offset) if found.offset > 0 else None), "offset and metadata are of two cycles"
        return int(found.offset)

    def ends(self) -> list[int]:
        """The ends of both partitions, open transactions included."""
        return [self._reader.get_watermark_offsets(TopicPartition(self.topic, each), WAIT_S)[1] for each in (0, 1)]

    def landed(self) -> list[list[int]]:
        """What a read_committed reader sees: the cycles on each partition."""
        rows = read_to_end(self.line.broker.bootstrap, self.topic)
        return [[int(row.value or b"") for row in rows if row.partition == partition] for partition in (0, 1)]

    def close(self) -> None:
        self.line.heal()
        self.producer.close()
        self._reader.close()


@pytest.fixture
def bench(line: Line) -> Iterator[Bench]:
    made = Bench(line)
    made.until_landed(1)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("api", "side", "deed"),
    [*((api, side, Deed.CUT) for api in OF_A_CYCLE for side in Side), (ApiKey.EndTxn, Side.ANSWER, Deed.RESET)],
    ids=lambda each: each.name,
)
def test_t6_a_connection_that_breaks_at_any_request_or_answer_loses_and_repeats_nothing(
    bench: Bench, api: ApiKey, side: Side, deed: Deed
) -> None:
    rule = bench.line.add(api, side, deed)
    bench.until_landed(2)
    assert rule.done.is_set()
    bench.until_landed(3)
    assert bench.landed() == [[1, 2, 3], [1, 2, 3]]
    assert bench.offset() == 3


def test_t6_an_answer_to_the_commit_that_never_comes_is_unknown_and_settled_by_the_offsets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "TRANSACTION_TIMEOUT_S", 2)
    lost = bench.line.add(ApiKey.EndTxn, Side.ANSWER, Deed.DROP, count=math.inf)
    assert bench.cycle(2).outcome is Outcome.UNKNOWN
    assert lost.seen >= 1
    bench.line.heal()
    assert bench.settle(2)
    bench.until_landed(3)
    assert bench.landed() == [[1, 2, 3], [1, 2, 3]]


def test_t6_a_commit_that_never_arrives_is_unknown_and_found_not_to_have_landed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "TRANSACTION_TIMEOUT_S", 2)
    bench.line.add(ApiKey.EndTxn, Side.REQUEST, Deed.DROP, count=math.inf)
    assert bench.cycle(2).outcome is Outcome.UNKNOWN
    bench.line.heal()
    assert not bench.settle(2)
    bench.until_landed(2)
    assert bench.landed() == [[1, 2], [1, 2]]


# Late requests: the client lost the connection and asked again, the broker gets the first request in the next transaction


def _refuse_offsets(bench: Bench, code: int = KafkaError.ILLEGAL_GENERATION, count: float = 1) -> Rule:
    return bench.line.add(ApiKey.TxnOffsetCommit, Side.ANSWER, Deed.CHANGE, count=count, change=with_error(code))


def _arrives_in(bench: Bench, late: Rule, number: int, *, refused: bool = False) -> Commit:
    """Do a cycle in the midst of which, when it has produced to one partition, a stranded request arrives.

    Its offsets may be `refused`. That can end it before its second record is on its way, of which nothing comes: again, then.
    """
    ends: list[Commit] = []
    for _ in range(5):
        before = bench.ends()
        if refused:
            _refuse_offsets(bench)
        midst = bench.line.add(ApiKey.Produce, Side.REQUEST, Deed.HOLD, nth=2)
        cycle = threading.Thread(target=lambda: ends.append(bench.cycle(number)))
        cycle.start()
        await_true(lambda: midst.done.is_set() or not cycle.is_alive(), WAIT_S, "the second record is on its way")  # noqa: B023
        if midst.done.is_set():
            break
        bench.line.proxy.rules.remove(midst)
    await_true(lambda: sum(bench.ends()) > sum(before), WAIT_S, "one is produced")
    bench.line.proxy.release(late)
    assert late.answered.wait(WAIT_S)
    bench.line.proxy.release(midst)
    cycle.join(WAIT_S)
    return ends[-1]


def _late(bench: Bench, api: ApiKey) -> tuple[Rule, Commit]:
    """Cycle 2 with a stranded request, which arrives in the midst of cycle 3, whose offsets are refused; what became of that."""
    late = bench.line.add(api, Side.REQUEST, Deed.STRAND)
    bench.until_landed(2)
    assert late.done.is_set()
    return late, _arrives_in(bench, late, 3, refused=True)


@pytest.mark.parametrize("api", OF_A_CYCLE, ids=lambda each: each.name)
def test_t6_a_late_request_of_one_transaction_does_nothing_to_the_next(bench: Bench, api: ApiKey) -> None:
    late, third = _late(bench, api)
    assert third.outcome is Outcome.ABORTED
    assert bench.landed() == [[1, 2], [1, 2]]
    assert bench.offset() == 2
    if api is ApiKey.EndTxn:
        assert EndTxnResponse.decode(late.answer, version=1, header=True).error_code in FENCED
    bench.until_landed(3)
    bench.until_landed(4)
    assert bench.landed() == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert bench.offset() == 4


def test_t6_a_late_end_of_an_aborted_transaction_does_not_abort_half_of_the_next(bench: Bench) -> None:
    late = bench.line.add(ApiKey.EndTxn, Side.REQUEST, Deed.STRAND)
    _refuse_offsets(bench)
    assert bench.cycle(2).outcome is not Outcome.COMMITTED
    assert late.done.is_set()
    if _arrives_in(bench, late, 2).outcome is not Outcome.COMMITTED:
        bench.until_landed(2)
    assert bench.landed() == [[1, 2], [1, 2]]
    assert bench.offset() == 2


def test_a_producer_that_is_used_again_after_a_commit_was_retried_tears_the_next_cycle(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the rule is for (KAFKA-17754). When this fails, Kafka and librdkafka have learnt to do without it.

    A cycle that has to be done again, see `_arrives_in`, has another producer: then all is begun anew. On a slow machine that was
    so five times on end.
    """
    monkeypatch.setattr(commit_module, "LOST_CONNECTION", "never said")
    assert any(_tears_the_third_cycle(line) for _ in range(20))


def _tears_the_third_cycle(line: Line) -> bool:
    bench = Bench(line)
    try:
        bench.until_landed(1)
        _, third = _late(bench, ApiKey.EndTxn)
        assert third.outcome is not Outcome.COMMITTED
        return [3 in cycles for cycles in bench.landed()].count(True) == 1
    finally:
        bench.close()


# Offsets refused


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    ],
)
def test_t6_offsets_refused_because_the_group_moved_on_drop_the_cycle_and_end_the_assignment(bench: Bench, code: int) -> None:
    _refuse_offsets(bench, code)
    commit = bench.cycle(2)
    assert (commit.outcome, commit.left_group) == (Outcome.ABORTED, True)
    assert bench.offset() == 1
    bench.until_landed(2)
    assert bench.landed() == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    "code", [KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR]
)
def test_t6_offsets_refused_by_a_coordinator_that_is_not_ready_are_sent_again(bench: Bench, code: int) -> None:
    refused = _refuse_offsets(bench, code, count=2)
    commit = bench.cycle(2)
    assert (commit.outcome, commit.left_group) == (Outcome.COMMITTED, False)
    assert refused.seen >= 3
    assert bench.landed() == [[1, 2], [1, 2]]
    assert bench.offset() == 2


def test_t6_a_coordinator_that_is_never_ready_aborts_the_cycle_in_time_and_keeps_the_assignment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "OFFSETS_TIMEOUT_S", 2.0)
    _refuse_offsets(bench, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, count=math.inf)
    commit = bench.cycle(2)
    assert commit.outcome is not Outcome.COMMITTED
    assert not commit.left_group
    bench.line.heal()
    bench.until_landed(2)
    assert bench.landed() == [[1, 2], [1, 2]]

"""One cycle into Kafka, and what becomes of it when the answer is lost, refused, or another producer took over."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError
from faust.types import TP

from orchestrator.errors import RecordTooLarge, Unreachable, WorkerFenced
from orchestrator.stream import commit as commit_module
from orchestrator.stream.commit import Interrupted, Outcome, TransactionalProducer
from orchestrator.stream.positions import metadata_of
from orchestrator.stream.producing import Produce
from tests.brokers import read_to_end, unique
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.stream.bench import START
from tests.stream.rig import Broken, Rig, Stuck, group_of, producer_of


async def _two_cycles(rig: Rig, spoil: Callable[[], None]) -> None:
    rig.handle(0)
    await rig.commit()
    assert rig.cycles == [1, 1]
    rig.handle(1)
    spoil()
    await rig.commit()


def _run(work: Any) -> None:
    import asyncio

    asyncio.run(work)


def test_i3_an_unknown_commit_that_landed_is_written_on_every_partition(rig: Rig) -> None:
    _run(_two_cycles(rig, lambda: rig.lose_the_answer(after=True)))
    assert rig.cycles == [2, 2]
    assert len(rig.stage.journal()) == 4
    assert rig.app.read_from == []
    _assert_a_rebuilt_store_agrees(rig)


def test_i3_an_unknown_commit_that_did_not_land_is_dropped_and_done_again(rig: Rig) -> None:
    _run(_two_cycles(rig, lambda: rig.lose_the_answer(after=False)))
    assert rig.cycles == [1, 1]
    assert len(rig.stage.journal()) == 2
    assert rig.app.read_from == [
        {TP(topic, n): 1 if topic == rig.stage.events else 0 for topic in rig.worker.topics for n in (0, 1)}
    ]

    async def again() -> None:
        rig.handle(1)
        await rig.commit()

    _run(again())
    assert rig.cycles == [2, 2]
    assert len(rig.stage.journal()) == 4
    _assert_a_rebuilt_store_agrees(rig)


def test_t6_a_sending_of_offsets_that_never_ends_is_given_up_and_the_cycle_done_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "OFFSETS_TIMEOUT_S", 0.1)
    stuck = Stuck(rig.worker._committer.producer._producer)

    def stick() -> None:
        rig.spoil(stuck)

    async def again() -> None:
        await _two_cycles(rig, stick)
        assert rig.cycles == [1, 1]
        rig.handle(1)
        await rig.commit()

    try:
        _run(again())
    finally:
        stuck.let_go.set()
    assert rig.cycles == [2, 2]
    assert len(rig.stage.journal()) == 4
    _assert_a_rebuilt_store_agrees(rig)


@pytest.mark.parametrize("call", ["poll", "flush"])
def test_i3_a_producer_that_a_fatal_error_ended_is_replaced_and_the_cycle_done_once(rig: Rig, call: str) -> None:
    async def story() -> None:
        await _two_cycles(rig, lambda: rig.spoil(Broken(rig.worker._committer.producer._producer, call)))
        if rig.cycles == [1, 1]:
            rig.handle(1)
            await rig.commit()

    _run(story())
    assert rig.cycles == [2, 2]
    assert len(rig.stage.journal()) == 4
    _assert_a_rebuilt_store_agrees(rig)


def test_a_bug_is_not_taken_for_an_error_of_kafkas(rig: Rig) -> None:
    rig.spoil(SimpleNamespace(poll=_bug))
    with pytest.raises(SystemError):
        rig.worker._committer.producer.run([], [], None)


def _bug(*_: Any) -> None:
    raise SystemError("a bug")


def test_t6_a_producer_that_saw_all_brokers_go_is_not_used_again(rig: Rig) -> None:
    before = rig.worker._committer.producer._producer
    rig.worker._committer.producer._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    rig.handle(0)
    _run(rig.commit())
    assert rig.cycles == [1, 1]
    assert rig.worker._committer.producer._producer is not before


def test_an_opening_without_an_answer_ends_when_the_worker_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_module, "_INIT_TRY_S", 0.3)
    producer = TransactionalProducer({"bootstrap.servers": "127.0.0.1:1", "transactional.id": "t"}, "c", lambda: True)
    with pytest.raises(Interrupted):
        producer.open()


def test_an_opening_without_an_answer_says_what_to_check() -> None:
    producer = TransactionalProducer({"bootstrap.servers": "127.0.0.1:1", "transactional.id": "t"}, "c")
    with pytest.raises(Unreachable, match="did not open a transaction") as caught:
        producer.open(0.5)
    assert caught.value.where == "127.0.0.1:1"


def _assert_a_rebuilt_store_agrees(rig: Rig) -> None:
    view = rig.stage.changelog_documents()
    stored = {}
    for partition in rig.partitions.values():
        stored.update(dict(partition.store.documents()))
    assert stored == view


def test_i3_a_cycle_of_the_same_number_by_another_worker_is_not_taken_for_ones_own(rig: Rig) -> None:
    """A stopped process wakes up: its commit failed, the partition's new owner committed a cycle of that number."""
    from confluent_kafka import TopicPartition

    def taken_over() -> None:
        rig.lose_the_answer(after=False)
        foreign = [TopicPartition(rig.stage.events, n, 2, metadata_of(2, 4711, START)) for n in (0, 1)]
        rig.app._client.commit(offsets=foreign, asynchronous=False)

    _run(_two_cycles(rig, taken_over))
    assert rig.cycles == [1, 1]


def test_a_worker_that_left_the_group_lets_go_of_its_partitions(rig: Rig) -> None:
    """Until the group tells it what is its own, neither a record nor a timer may be tried again and again."""
    from orchestrator.stream.commit import Commit

    rig.handle(0)
    rig.worker._drop(Commit(Outcome.ABORTED, left_group=True))
    assert rig.worker._partitions == {}
    assert rig.app.read_from == [{}]


def test_a_fenced_producer_says_what_to_look_for(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    first = producer_of(stage)
    second = producer_of(stage)
    record = Produce(stage.topology.streams.journal, 0, b"k", b"v")
    with pytest.raises(WorkerFenced, match="Kafka refused the transaction") as caught:
        first.run([record], [], group_of(stage))
    assert caught.value.code == "ORC-009"
    assert "--worker-id" in caught.value.next_step
    assert second.run([record], [], group_of(stage)).outcome is Outcome.COMMITTED


def test_a_record_that_no_broker_takes_aborts_the_cycle(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=1)
    producer = producer_of(stage)
    journal = stage.topology.streams.journal
    too_large = Produce(journal, 0, b"k", b"x" * 5_000_000)
    assert producer.run([Produce(journal, 0, b"k", b"1"), too_large], [], group_of(stage)).outcome is Outcome.ABORTED
    assert producer.run([Produce(journal, 0, b"k", b"2")], [], group_of(stage)).outcome is Outcome.COMMITTED
    if stage.broker.kind == "kafka":  # the embedded broker shows what was aborted
        assert [row.value for row in read_to_end(stage.broker.bootstrap, journal)] == [b"2"]


def _too_large_for_the_producer(stage: Stage) -> Produce:
    return Produce(stage.topology.streams.journal, 0, b"k", b"x" * 5_000_000)


def test_a_record_over_a_limit_ends_the_worker_at_the_third_try_and_says_what_to_set(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=1)
    producer, too_large = producer_of(stage), _too_large_for_the_producer(stage)
    for _ in range(2):
        assert producer.run([too_large], [], group_of(stage)).outcome is Outcome.ABORTED
    with pytest.raises(RecordTooLarge, match=r"5000000 bytes.*3 times") as caught:
        producer.run([too_large], [], group_of(stage))
    assert caught.value.where == stage.topology.streams.journal
    assert "max.message.bytes to 1048576" in caught.value.next_step
    assert (caught.value.code, caught.value.exit_code) == ("ORC-012", 4)


def test_a_commit_in_between_begins_the_count_of_records_too_large_anew(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=1)
    producer, too_large = producer_of(stage), _too_large_for_the_producer(stage)
    fits = Produce(too_large.topic, 0, b"k", b"1")
    outcomes = [
        producer.run([record], [], group_of(stage)).outcome for record in (too_large, too_large, fits, too_large, too_large)
    ]
    assert outcomes.count(Outcome.ABORTED) == 4


def test_a_topic_that_takes_only_small_records_is_named_with_its_limit(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    topic = unique("small")
    stage.broker.create_topic(topic, 1, max_message_bytes="2000")
    producer = producer_of(stage)
    records = [Produce(topic, 0, b"k", urandom(5000)), Produce(stage.topology.streams.journal, 0, b"k", b"1")]
    with pytest.raises(RecordTooLarge, match="5000 bytes") as caught:
        for _ in range(3):
            assert producer.run(records, [], group_of(stage)).outcome is Outcome.ABORTED
    assert caught.value.where == topic
    assert stage.journal() == []


def test_the_changelogs_next_offset_is_that_of_each_partitions_last_document(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=2)
    producer = producer_of(stage)
    changelog = stage.topology.streams.changelog
    documents = [Produce(changelog, n % 2, b"%d" % n, b"v") for n in range(7)]
    commit = producer.run([*documents, Produce(stage.topology.streams.journal, 0, b"0", b"j")], [], group_of(stage))
    assert commit.changelog == {0: 4, 1: 3}

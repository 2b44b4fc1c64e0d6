"""What an operator may do to Kafka under a worker: it stops with a clear message, and never goes on somewhere else in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)

from orchestrator.errors import NotAllowed
from orchestrator.kafka import admin
from orchestrator.stream.commit import Outcome
from orchestrator.stream.producing import Produce
from tests.brokers import KafkaBroker, fill
from tests.contract.cdnow import assert_journal_is_one_chain
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage, WorkerProcess
from tests.contract.test_breaker import good
from tests.stream.rig import group_of, producer_of

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


def handled(stage: Stage, count: int, worker: WorkerProcess | None = None) -> WorkerProcess:
    worker = worker or stage.worker()
    stage.wait_until(f"{count} are handled", lambda: stage.handled_records() == count)
    return worker


def ends_with(stage: Stage, worker: WorkerProcess, code: str, *told: str) -> None:
    """The worker ends by itself, exit 4, with this code and these words; nothing was handled meanwhile."""
    before = stage.handled_records()
    assert worker.wait(90) == 4, worker.tail()
    stage._workers.remove(worker)  # its end was meant
    said = worker.log.read_text()
    assert code in said, said
    for words in told:
        assert words in said, said
    assert stage.handled_records() == before


def client_of(stage: Stage) -> Any:
    return admin({"bootstrap.servers": stage.broker.bootstrap})


def records(first: int, after: int) -> list[dict[str, Any]]:
    return [good(0, number) for number in range(first, after)]


def test_records_that_were_deleted_before_they_were_handled_stop_the_worker(stage_on_kafka: MakeStage) -> None:
    """Retention passed the committed position: at the start, and while the worker runs."""
    stage = stage_on_kafka(partitions=1)
    fill(stage.broker.bootstrap, stage.events, records(0, 5))
    assert handled(stage, 5).stop() == 0
    fill(stage.broker.bootstrap, stage.events, records(5, 10))
    place = TopicPartition(stage.events, 0, 7)
    client = client_of(stage)  # held: one that is let go of takes its futures along
    client.delete_records([place])[place].result(10)
    ends_with(stage, stage.worker(), "ORC-006", "the next offset to read is 5, the log holds 7 to 10", f"{stage.events}/0")
    assert stage.handled_records() == 5, "nothing was skipped in silence"


def test_offsets_that_expired_are_no_reset_because_the_journal_tells_the_position(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    fill(stage.broker.bootstrap, stage.events, records(0, 5))
    worker = handled(stage, 5)
    worker.kill()
    app = stage.topology.streams.app
    client = client_of(stage)
    stage.wait_until("the group is empty", lambda: _is_gone(client, app))
    fill(stage.broker.bootstrap, stage.events, records(5, 8))
    assert handled(stage, 8).stop() == 0
    assert_journal_is_one_chain(stage)
    assert [h["source"]["offset"] for h in stage.handlings() if h["source"]] == list(range(8))


def _is_gone(client: Any, group: str) -> bool:
    """Delete the group, as a broker does some days after its last member left; it refuses while a member is there."""
    try:
        client.delete_consumer_groups([group])[group].result(10)
    except KafkaException:
        return False
    return True


def test_a_topic_that_was_made_anew_is_told_from_the_old_one_even_when_it_is_longer(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    fill(stage.broker.bootstrap, stage.events, records(0, 5))
    assert handled(stage, 5).stop() == 0
    client = client_of(stage)
    client.delete_topics([stage.events])[stage.events].result(10)
    stage.wait_until("it is gone", lambda: stage.events not in client.list_topics(timeout=10).topics)
    stage.broker.create_topic(stage.events, 1, retention_ms="-1")
    fill(stage.broker.bootstrap, stage.events, records(100, 110))
    ends_with(stage, stage.worker(), "ORC-006", "the topic was made anew", stage.events)


def test_added_partitions_stop_the_workers(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    fill(stage.broker.bootstrap, stage.events, records(0, 5))
    worker = handled(stage, 5)
    client = client_of(stage)
    topics = [stage.events, stage.topology.streams.outcomes]
    for made in client.create_partitions([NewPartitions(topic, 2) for topic in topics]).values():
        made.result(10)
    ends_with(
        stage, worker, "ORC-005", "more than the 1 partitions of streams.yaml", "one customer's records now come in several"
    )
    ends_with(stage, stage.worker(), "ORC-005", f"{stage.events} (2)")


@pytest.fixture(scope="module")
def guarded(kafka_from_maven: None) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(settings=AUTHORIZER).start()
    yield broker
    broker.remove()


def denied(topic: str, operation: Any) -> tuple[Any, ...]:
    who = ("User:ANONYMOUS", "*", operation, AclPermissionType.DENY)
    return (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, *who)


def test_a_new_producer_without_a_right_says_so_though_the_commit_says_only_that_records_failed(
    guarded: KafkaBroker, tmp_path: Path
) -> None:
    """librdkafka fails the records of a topic of which it learns after they were given: each tells why, the commit does not."""
    stage = Stage(guarded, tmp_path, partitions=1)
    streams = stage.topology.streams
    client = client_of(stage)
    for given in client.create_acls([AclBinding(*denied(streams.transitions, AclOperation.WRITE))]).values():
        given.result(10)
    producer = producer_of(stage)
    records = [Produce(topic, 0, b"k", b"v") for topic in (streams.transitions, streams.changelog, streams.journal)]
    with pytest.raises(NotAllowed, match="TOPIC_AUTHORIZATION_FAILED") as told:
        for _ in range(3):
            assert producer.run(records, [], group_of(stage)).outcome is not Outcome.COMMITTED
    assert told.value.where == streams.transitions


@pytest.mark.long
@pytest.mark.parametrize(
    ("topic", "operation"),
    [
        pytest.param(lambda stage: stage.events, AclOperation.READ, id="reading-events"),
        pytest.param(lambda stage: stage.topology.streams.transitions, AclOperation.WRITE, id="writing-decisions"),
    ],
)
def test_a_right_that_is_taken_away_stops_the_worker_and_given_back_it_goes_on(
    guarded: KafkaBroker, tmp_path: Path, topic: Callable[[Stage], str], operation: Any
) -> None:
    stage = Stage(guarded, tmp_path, partitions=1)
    try:
        fill(guarded.bootstrap, stage.events, records(0, 5))
        worker = handled(stage, 5)
        withdrawn = denied(topic(stage), operation)
        client = client_of(stage)
        for given in client.create_acls([AclBinding(*withdrawn)]).values():
            given.result(10)
        if operation == AclOperation.WRITE:
            fill(guarded.bootstrap, stage.events, records(5, 8))
        assert worker.wait(60) == 4, worker.tail()
        assert "ORC-014" in worker.log.read_text()
        assert "nothing is lost" in worker.log.read_text()
        stage._workers.remove(worker)
        for removed in client.delete_acls([AclBindingFilter(*withdrawn)]).values():
            removed.result(10)
        if operation == AclOperation.READ:
            fill(guarded.bootstrap, stage.events, records(5, 8))
        assert handled(stage, 8).stop() == 0
        assert_journal_is_one_chain(stage)
        assert [h["source"]["offset"] for h in stage.handlings() if h["source"]] == list(range(8))
    finally:
        stage.close()

"""What the checker reads from a real Kafka: committed records only, where an open transaction begins, what a reader saw live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from orchestrator.workspace import Workspace
from tests.brokers import Broker, unique
from tests.checker import LiveReader
from tests.checker.evidence import Evidence, Topics, gather
from tests.checker.live import check_seen
from tests.checker.report import Report
from tests.checker.second import check_again

SHIPPED = Path(__file__).parents[2] / "topologies"


@pytest.fixture
def topic(kafka: Broker) -> str:
    """Of one partition; `producer` commits three records, aborts two, and leaves one in an open transaction."""
    name = unique("outputs")
    kafka.create_topic(name, 1)
    return name


@pytest.fixture
def producer(kafka: Broker, topic: str) -> Iterator[Any]:
    made: Any = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "compression.type": "lz4"})
    made.init_transactions(30)
    for values, end in (((b"1", b"2", b"3"), made.commit_transaction), ((b"x", b"y"), made.abort_transaction)):
        made.begin_transaction()
        for value in values:
            made.produce(topic, key=b"k", value=value, headers=[("h", b"v"), ("h", None)])
        made.flush(10)
        end(30)
    made.begin_transaction()
    made.produce(topic, key=b"k", value=b"open")
    made.flush(10)
    yield made
    made.abort_transaction(30)


def read(kafka: Broker, topic: str, settle_s: float = 0.0) -> Evidence:
    topics = Topics((topic,), (), topic, topic, topic, topic)
    return gather({"bootstrap.servers": kafka.bootstrap}, topics, 1, unique("group"), settle_s)


def test_only_committed_records_are_evidence_and_an_open_transaction_shows(kafka: Broker, topic: str, producer: Any) -> None:
    evidence = read(kafka, topic)
    log = evidence.of(topic, 0)
    assert [(message.offset(), message.value()) for message in log.records] == [(0, b"1"), (1, b"2"), (2, b"3")]
    assert (log.low, log.stable, log.high) == (0, 7, 8), "a marker follows each of the two that ended"
    assert evidence.group_state == "EMPTY"
    assert evidence.committed == {}
    producer.commit_transaction(30)
    log = read(kafka, topic, 10).of(topic, 0)
    assert (log.records[-1].value(), log.stable, log.high) == (b"open", 9, 9)
    producer.begin_transaction()


def test_a_live_reader_and_a_second_client_see_committed_records_only(kafka: Broker, topic: str, producer: Any) -> None:
    with LiveReader(kafka.bootstrap, [topic], 1) as reader:
        producer.commit_transaction(30)
        assert reader.wait_for((topic, 0), 4, 30)
    producer.begin_transaction()
    evidence, report = read(kafka, topic), Report()
    check_seen(reader.seen(), evidence, report)
    check_again(kafka.bootstrap, [topic], evidence, report)
    assert report.differences == []
    assert report.counts == {"records seen live": 4, "records read twice": 4}
    assert reader.trouble == []


def test_every_topic_of_the_shipped_topology_is_read() -> None:
    topology = Workspace.load(SHIPPED).topology
    streams, topics = topology.streams, Topics.of(topology)
    assert set(topics.sources) == {*(each.topic for each in streams.events), streams.outcomes, streams.operations}
    internal = {streams.transitions, streams.incidents, streams.journal, streams.changelog}
    assert set(topics.outputs) == internal | {channel.topic for channel in topology.policy.channels.values()}

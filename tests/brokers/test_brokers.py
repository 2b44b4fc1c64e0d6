"""The brokers that the tests stand on: if these do not hold, no other result on Kafka means anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests import proc
from tests.brokers import Broker, KafkaBroker, fill, read_to_end, read_to_end_otherwise, unique

BIRTH_OF_CDNOW = 852_076_800_123  # 1997-01-01, in milliseconds


def await_true(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"after {timeout_s} s still not: {what}"
        time.sleep(0.02)


def test_records_keep_time_headers_and_nulls_on_both_brokers(broker: Broker) -> None:
    topic = unique("kept")
    broker.create_topic(topic, 2, retention_ms="-1")
    headers = [("a", b"\x00\xff"), ("a", None), ("b", b"")]
    fill(
        broker.bootstrap, topic, [{"key": b"c1", "value": b"v", "partition": 1, "timestamp": BIRTH_OF_CDNOW, "headers": headers}]
    )
    fill(broker.bootstrap, topic, [{"key": b"c1", "value": None, "partition": 1, "timestamp": BIRTH_OF_CDNOW - 1}])

    rows = read_to_end(broker.bootstrap, topic)

    assert [(row.partition, row.offset, row.timestamp, row.key, row.value) for row in rows] == [
        (1, 0, BIRTH_OF_CDNOW, b"c1", b"v"),
        (1, 1, BIRTH_OF_CDNOW - 1, b"c1", None),
    ]
    assert rows[0].headers == tuple(headers)


def test_committed_transactions_are_read_on_both_brokers_and_markers_occupy_offsets(broker: Broker) -> None:
    topic = unique("committed")
    broker.create_topic(topic, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": unique("writer")})
    producer.init_transactions(10)
    for value in (b"one", b"two"):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.commit_transaction(10)

    assert [(row.offset, row.value) for row in read_to_end(broker.bootstrap, topic)] == [(0, b"one"), (2, b"two")]


def write_aborted_between_committed(broker: Broker, topic: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": unique("writer")})
    producer.init_transactions(10)
    for value, commit in ((b"good-1", True), (b"bad", False), (b"good-2", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(10)
        if commit:
            producer.commit_transaction(10)
        else:
            producer.abort_transaction(10)


def test_real_kafka_hides_aborted_records_from_both_clients(kafka: Broker) -> None:
    topic = unique("aborted")
    kafka.create_topic(topic, 1)
    write_aborted_between_committed(kafka, topic)

    rows = read_to_end(kafka.bootstrap, topic)

    assert [row.value for row in rows] == [b"good-1", b"good-2"]
    assert read_to_end_otherwise(kafka.bootstrap, topic) == rows
    assert [row.value for row in read_to_end(kafka.bootstrap, topic, isolation="read_uncommitted")] == [
        b"good-1",
        b"bad",
        b"good-2",
    ]


def test_real_kafka_keeps_offsets_of_a_transaction_with_their_metadata(kafka: Broker) -> None:
    topic, group = unique("source"), unique("group")
    kafka.create_topic(topic, 1)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "enable.auto.commit": False})
    assigned: list[TopicPartition] = []
    consumer.subscribe([topic], on_assign=lambda _, partitions: assigned.extend(partitions))
    await_true(lambda: consumer.poll(0.05) is None and bool(assigned), 20, "an assignment")
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": unique("writer")})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 7, "cycle-3")], consumer.consumer_group_metadata(), 10)
    producer.commit_transaction(10)

    committed = consumer.committed([TopicPartition(topic, 0)], 10)[0]
    consumer.close()

    assert (committed.offset, committed.metadata) == (7, "cycle-3")


def test_real_kafka_fences_the_older_producer_of_one_transactional_id(kafka: Broker) -> None:
    topic, name = unique("fenced"), unique("writer")
    kafka.create_topic(topic, 1)
    older, newer = (Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": name}) for _ in range(2))
    older.init_transactions(10)
    older.begin_transaction()
    older.produce(topic, b"of the older")
    older.flush(10)

    newer.init_transactions(10)

    with pytest.raises(KafkaException) as refused:
        older.commit_transaction(10)
    assert refused.value.args[0].fatal()
    assert read_to_end(kafka.bootstrap, topic) == []


def test_a_killed_broker_starts_again_with_its_port_and_its_data(kafka_alone: KafkaBroker) -> None:
    topic, bootstrap = unique("kept"), kafka_alone.bootstrap
    kafka_alone.create_topic(topic, 1)
    fill(bootstrap, topic, [{"value": b"before"}])
    first = kafka_alone.pid

    kafka_alone.kill()
    assert first is not None
    assert not proc.is_alive(first)
    kafka_alone.start()
    fill(bootstrap, topic, [{"value": b"after"}])

    assert kafka_alone.bootstrap == bootstrap
    assert [row.value for row in read_to_end(bootstrap, topic)] == [b"before", b"after"]


def test_a_paused_broker_answers_nobody_until_it_is_resumed(kafka_alone: KafkaBroker) -> None:
    topic = unique("paused")
    kafka_alone.create_topic(topic, 1)
    kafka_alone.pause()
    with pytest.raises(KafkaException):
        fill(kafka_alone.bootstrap, topic, [{"value": b"unheard"}], **{"message.timeout.ms": 1000})

    kafka_alone.resume()
    fill(kafka_alone.bootstrap, topic, [{"value": b"heard"}])

    assert [row.value for row in read_to_end(kafka_alone.bootstrap, topic)][-1] == b"heard"


STARTER = """
import sys, time
from tests.brokers import {name} as start
broker = {call}
print(broker.pid if hasattr(broker, "pid") else broker._broker.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(("start_embedded", "start()"), id="embedded"),
        pytest.param(("KafkaBroker", "start().start()"), id="kafka", marks=pytest.mark.kafka),
    ],
)
def test_no_broker_outlives_a_killed_parent(call: tuple[str, str], request: pytest.FixtureRequest) -> None:
    if call[0] == "KafkaBroker":
        request.getfixturevalue("kafka_from_maven")
    code = STARTER.format(name=call[0], call=call[1])
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        broker = int(parent.stdout.readline())
        assert proc.is_alive(broker)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()

    await_true(lambda: not proc.is_alive(broker), 10, "the broker is gone")

"""Reaching Kafka, and saying so when it cannot be reached."""

from __future__ import annotations

import logging
import time

import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from orchestrator import kafka
from orchestrator.errors import Unreachable, UsageError
from tests.brokers.choice import Broker
from tests.brokers.topics import fill, unique

NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}


def test_a_broker_that_is_down_is_said_at_once_and_given_up_in_time() -> None:
    said: list[tuple[float, str]] = []
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        kafka.wait_for_broker(NOWHERE, 4.0, lambda line: said.append((time.monotonic() - started, line)))
    assert 4.0 <= time.monotonic() - started < 20.0
    assert len(said) == 1
    assert said[0][0] < 4.0
    assert "127.0.0.1:1 does not answer" in said[0][1]
    assert "Connection refused" in said[0][1]
    assert "--bootstrap-server" in str(caught.value)


def test_a_broker_that_is_there_is_not_talked_about(broker: Broker) -> None:
    topic = unique("topic")
    broker.create_topic(topic, 3)
    said: list[str] = []
    found = kafka.wait_for_broker({"bootstrap.servers": broker.bootstrap}, 10.0, said.append)
    assert kafka.partition_counts(found)[topic] == 3
    assert said == []


@pytest.mark.parametrize("make", [kafka.admin, kafka.producer, kafka.consumer])
def test_a_setting_that_librdkafka_does_not_know_is_a_usage_error(make: object) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=r"No such configuration property: .fooo.") as caught:
        make({**NOWHERE, "group.id": "g", "fooo": "1"})
    assert "CONFIGURATION.md" in str(caught.value)


def test_librdkafka_writes_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unreachable):
        kafka.reach(NOWHERE, 2.5)
    assert capfd.readouterr().err == ""


def test_partitions_are_read_to_their_end(broker: Broker) -> None:
    topic = unique("topic")
    broker.create_topic(topic, 2)
    fill(broker.bootstrap, topic, [{"value": str(n).encode(), "partition": n % 2} for n in range(3000)])
    start = [TopicPartition(topic, 0, OFFSET_BEGINNING), TopicPartition(topic, 1, 1000)]
    found = list(kafka.read_partitions({"bootstrap.servers": broker.bootstrap}, start))
    assert [each.offset() for each in found if each.partition() == 0] == list(range(1500))
    assert [each.offset() for each in found if each.partition() == 1] == list(range(1000, 1500))


def test_an_empty_partition_has_an_end_too(broker: Broker) -> None:
    topic = unique("topic")
    broker.create_topic(topic, 1)
    assert list(kafka.read_partitions({"bootstrap.servers": broker.bootstrap}, [TopicPartition(topic, 0, 0)])) == []


def test_a_position_that_is_gone_is_no_silent_reset(broker: Broker) -> None:
    topic = unique("topic")
    broker.create_topic(topic, 1)
    with pytest.raises(Unreachable, match="stopped the reading"):
        list(kafka.read_partitions({"bootstrap.servers": broker.bootstrap}, [TopicPartition(topic, 0, 5)]))


def test_waiting_for_a_broker_logs_nothing_beside_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with caplog.at_level("DEBUG"), pytest.raises(Unreachable):
        kafka.wait_for_broker(NOWHERE, 1.0, said.append)

    assert len(said) == 1
    assert caplog.records == []


def test_of_failed_connections_one_line_in_a_while_is_logged_with_how_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(kafka.time, "monotonic", lambda: now[0])
    sparse = kafka._Sparse(every_s=10.0)

    def told(text: str) -> str | None:
        record = logging.LogRecord("librdkafka", logging.ERROR, "", 0, "%s", (text,), None)
        return record.getMessage() if sparse.filter(record) else None

    assert told("FAIL [c] refused") == "FAIL [c] refused"
    assert [told("FAIL [c] refused") for _ in range(3)] == [None] * 3
    assert told("SESSTMOUT [c] gone") == "SESSTMOUT [c] gone"
    now[0] += 10
    assert told("FAIL [c] refused") == "FAIL [c] refused (and 3 lines like it before)"
    assert told("FAIL [c] refused") is None

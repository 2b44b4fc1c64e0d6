"""A customer's partition: the same for Java producers, for librdkafka, and for our tools."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from orchestrator.wire.partitioning import PARTITIONER, murmur2, partition_for
from tests.brokers.choice import Broker
from tests.brokers.topics import unique

# org.apache.kafka.common.utils.UtilsTest#testMurmur2
KAFKAS_OWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KAFKAS_OWN)
def test_murmur2_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == KAFKAS_OWN[key] & 0xFFFFFFFF


def test_partitions_are_those_of_librdkafka(embedded: Broker) -> None:
    topic = unique("partitions")
    embedded.create_topic(topic, 7)
    found: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": embedded.bootstrap, "partitioner": PARTITIONER})
    keys = [f"customer-{n}".encode() for n in range(200)] + ["ünï".encode(), b"\xff\x00", b"x" * 1000]
    for key in keys:
        producer.produce(topic, b"", key, on_delivery=lambda _, message: found.update({message.key(): message.partition()}))
    assert producer.flush(30) == 0
    assert found == {key: partition_for(key, 7) for key in keys}

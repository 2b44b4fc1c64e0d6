"""Brokers to test against: a real Apache Kafka (given, from Maven, or from Docker) and the embedded one, behind one shape.

`start_kafka()` gives the best real Kafka that this machine can have; `start_embedded()` the one in memory. Both are a `Broker`.
`python -m tests.brokers` runs a real one in the foreground for people.
"""

from __future__ import annotations

from tests.brokers.choice import Broker, Embedded, start_embedded, start_kafka
from tests.brokers.download import KafkaUnavailable
from tests.brokers.kafka_process import KafkaBroker
from tests.brokers.topics import Row, create_topic, fill, read_to_end, read_to_end_otherwise, unique

__all__ = [
    "Broker",
    "Embedded",
    "KafkaBroker",
    "KafkaUnavailable",
    "Row",
    "create_topic",
    "fill",
    "read_to_end",
    "read_to_end_otherwise",
    "start_embedded",
    "start_kafka",
    "unique",
]

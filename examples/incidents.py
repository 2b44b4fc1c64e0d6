"""What was refused, and why: prints the incident topic from its beginning. The value of an incident is the original one.

python examples/incidents.py localhost:9092 journeys.incidents
"""

from __future__ import annotations

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

SHOWN = (
    "orchestrator.incident.reason",
    "__streams.errors.topic",
    "__streams.errors.partition",
    "__streams.errors.offset",
    "__streams.errors.message",
)


def main(bootstrap: str, topic: str) -> None:
    """Read every partition once, to its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "example-incidents",  # asked for by the client; nothing is committed
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    at_end = 0
    while at_end < len(partitions):
        message = consumer.poll(10)
        if message is None:
            sys.exit("Kafka does not answer")
        if message.error() is None:
            headers = dict(message.headers() or [])
            print(*((headers.get(name) or b"-").decode() for name in SHOWN), sep="  ")
        elif message.error().code() == KafkaError._PARTITION_EOF:
            at_end += 1
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What Kafka itself holds about one customer: the document in the changelog, the decisions in the log, the events behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import Unreachable
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.operate.documents import Progress
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.partitioning import partition_for

_ASK_S: Final = 10.0


class Place(Struct, frozen=True):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


def partition_of(customer: str, streams: Streams) -> int:
    """Give the partition that has a customer."""
    return partition_for(customer.encode(), streams.partitions)


def stored_document(conf: Mapping[str, Any], streams: Streams, customer: str, progress: Progress) -> bytes | None:
    """Read a customer's latest document from the changelog; None where there is none. Blocks: reads the whole partition.

    Raises Unreachable, TopicMismatch.
    """
    stored = None
    for message in _of_customer(conf, streams.changelog, streams, customer, progress):
        stored = message.value()
    return stored


def handlings_of(conf: Mapping[str, Any], streams: Streams, customer: str, progress: Progress) -> list[dict[str, Any]]:
    """Read what was decided about a customer, oldest first. Blocks: reads the whole partition. Raises as above."""
    found = []
    for message in _of_customer(conf, streams.transitions, streams, customer, progress):
        try:
            found.append(decode_handling(message.value() or b""))
        except ValueError:
            continue  # not written by this app
    return found


def _of_customer(conf: Mapping[str, Any], topic: str, streams: Streams, customer: str, progress: Progress) -> Iterator[Any]:
    """Give the records of one key, and keep no others: a partition may be larger than this machine's memory."""
    key = customer.encode()
    bounds = documents.ranges(conf, topic, [partition_of(customer, streams)])
    return (message for message in documents.read(conf, topic, bounds, progress) if message.key() == key)


def records_at(conf: Mapping[str, Any], places: Iterable[Place]) -> dict[Place, Any]:
    """Read single records; those that retention has taken are left out. Blocks; raises Unreachable."""
    found: dict[Place, Any] = {}
    client = kafka.consumer(
        {
            "group.id": "orchestrator-reader", "isolation.level": "read_committed", "enable.partition.eof": True,
            "enable.auto.commit": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 20, **conf,
        }
    )  # fmt: skip
    try:
        for place in sorted(set(places), key=lambda each: (each.topic, each.partition, each.offset)):
            client.assign([TopicPartition(place.topic, place.partition, place.offset)])
            message = client.poll(_ASK_S)
            if message is None:
                raise Unreachable("a record cannot be read in time", where=f"{place.topic}/{place.partition}")
            if message.error() is None and message.offset() == place.offset:
                found[place] = message
    except KafkaException as error:
        raise Unreachable(f"records cannot be read: {error.args[0].name()}") from None
    finally:
        client.close()
    return found

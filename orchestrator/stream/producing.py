"""A cycle's records and how they are handed to the producer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from confluent_kafka import KafkaException

from orchestrator.engine.fields import Fielded

_PARTS: Final = ("topic", "partition", "key", "value", "headers", "at")


class Produce(Fielded):
    """One record to produce. `at` is its timestamp in ms, 0 for the time of producing."""

    __slots__ = _PARTS

    FIELDS: ClassVar = _PARTS

    def __init__(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Any = None, at: int = 0
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
        self.at = at


def hand_over(
    producer: Any, records: Sequence[Produce], told: Sequence[Any], refused: Callable[[Produce, KafkaException], None]
) -> None:
    """Hand records to a confluent-kafka producer; `told` has what each one's delivery is told to.

    Where one is not taken, `refused` is told of it, and KafkaException is raised. The fold waits for Python's lock meanwhile:
    with names or a call of our own a record costs twice as much, and an empty list of headers is a tenth of it.
    """
    produce = producer.produce
    for r, on_delivery in zip(records, told, strict=True):
        while True:
            try:
                produce(r.topic, r.value, r.key, r.partition, on_delivery, None, r.at, r.headers or None)
                break
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                refused(r, error)
                raise

"""What the transport hands to the worker: runs of records of one topic partition, in offset order."""

from __future__ import annotations

from typing import Any


class Block(list[Any]):
    """Fetched records (`confluent_kafka.Message`) of one partition of one topic, none with an error.

    `at_end` tells that the reader stood at the end of the log after them, the offset `end`; a block may be that news alone, and
    empty. `epoch` is the transport's when they were fetched: after a seek or a rebalance, blocks of earlier epochs are stale.
    """

    def __init__(self, topic: str, partition: int, epoch: int) -> None:
        super().__init__()
        self.topic = topic
        self.partition = partition
        self.epoch = epoch
        self.at_end = False
        self.has_schemas = False  # those that its records name were fetched, where a registry has them
        self.end = 0

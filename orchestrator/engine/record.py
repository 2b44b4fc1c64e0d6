"""What goes into the engine: one decoded record."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from orchestrator.engine.fields import Fielded

_FIELDS: Final = (
    "type", "customer", "event_id", "time", "payload", "topic", "partition", "offset", "occurred_at", "schema_id",
)  # fmt: skip


class Record(Fielded):
    """One fact about a customer. `time` is the Kafka timestamp in ms UTC (rule T2); `event_id` is "" where none was given.

    `payload` maps field names to plain values; timestamps in it are integer ms, decimals are floats; null fields may be there.
    The reserved fields are not in it: `scope` adds them for expressions. What no expression reads may be left out: of the payload
    as well as `occurred_at`, which is 0 then.
    """

    __slots__ = _FIELDS

    FIELDS: ClassVar = _FIELDS

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a record
        self,
        type: str,
        customer: str,
        event_id: str,
        time: int,
        payload: dict[str, Any],
        topic: str = "",
        partition: int = 0,
        offset: int = 0,
        occurred_at: int = 0,
        schema_id: str = "",
    ) -> None:
        self.type = type
        self.customer = customer
        self.event_id = event_id
        self.time = time
        self.payload = payload
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.occurred_at = occurred_at
        self.schema_id = schema_id

    def of(self, customer: str) -> Record:
        """Give the same fact as one about another id of the same person."""
        return Record(
            self.type, customer, self.event_id, self.time, self.payload,
            self.topic, self.partition, self.offset, self.occurred_at, self.schema_id,
        )  # fmt: skip

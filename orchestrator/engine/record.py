"""What goes into the engine: one decoded record."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Record(Struct, gc=False):
    """One fact about a customer. `time` is the Kafka timestamp in ms UTC (rule T2); `event_id` is "" where none was given.

    `payload` maps field names to plain values; timestamps in it are integer ms, decimals are floats; null fields may be there.
    The reserved fields are not in it: `scope` adds them for expressions. What no expression reads may be left out: of the payload
    as well as `occurred_at`, which is 0 then.
    """

    type: str
    customer: str
    event_id: str
    time: int
    payload: dict[str, Any]
    topic: str = ""
    partition: int = 0
    offset: int = 0
    occurred_at: int = 0
    schema_id: str = ""

"""What the event schemas declare, as far as expressions need to know it. `wire` builds a catalog from the .avsc files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

FieldType = Literal["string", "int", "double", "bool", "timestamp", "bytes", "list", "map", "dyn"]


class EventSchema(Struct, frozen=True):
    """One event type: its payload fields by name; a field of a nested record is also there under its dotted name.

    Decimals are "double" and dates "timestamp" to an expression; enums and uuids are "string".
    The reserved fields event_id, customer_id (string) and occurred_at (timestamp) are included.
    """

    type: str
    version: str
    fields: Mapping[str, FieldType]


class Catalog(Struct, frozen=True):
    """The event types that have a schema.

    `is_open`: others exist too, with fields that nobody declares; naming one is then no mistake.
    """

    events: Mapping[str, EventSchema] = {}
    is_open: bool = False

    def get(self, event_type: str) -> EventSchema | None:
        """Give the schema of a type, None where none declares it."""
        return self.events.get(event_type)

"""The schemas of what the orchestrator itself writes: Action, Handling, Journal, CustomerExport."""

from __future__ import annotations

import json
from functools import cache
from io import BytesIO
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from msgspec import Struct

from orchestrator import defaults
from orchestrator.wire.framing import single_object
from orchestrator.wire.shape import without_logical_types


class OurSchema(Struct, frozen=True):
    """`parsed` is for fastavro, without logical types (timestamps are integer ms); `prefix` the ten bytes before the body."""

    parsed: Any
    prefix: bytes


@cache
def our_schema(name: str) -> OurSchema:
    """Give the schema of a record that the orchestrator writes, by the name of its file."""
    schema = json.loads((defaults.SCHEMAS / "journeys" / f"{name}.avsc").read_text(encoding="utf-8"))
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    return OurSchema(fastavro.parse_schema(without_logical_types(schema)), single_object(crc))


def is_ours(name: str, value: bytes) -> bool:
    """Tell whether a value begins as a record of that schema does."""
    return value.startswith(our_schema(name).prefix)


def decode_ours(name: str, value: bytes) -> dict[str, Any]:
    """Read one record of ours as plain values. Raises ValueError for anything else, and for another version of it."""
    schema = our_schema(name)
    if not value.startswith(schema.prefix):
        raise ValueError(f"not a {name} record of this version")
    body = BytesIO(value)
    body.seek(len(schema.prefix))
    try:
        found: Any = fastavro.schemaless_reader(body, schema.parsed, None)
    except (EOFError, IndexError, ValueError, TypeError) as error:
        raise ValueError(f"a damaged {name} record: {type(error).__name__}") from None
    if body.tell() != len(value):
        raise ValueError(f"a damaged {name} record: bytes after its end")
    return dict(found)

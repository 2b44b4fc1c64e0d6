"""Exports of customers on the wire: CustomerExport records, keyed by the customer."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

import fastavro
import orjson

from orchestrator.wire.ours import decode_ours, our_schema

FORMAT: Final = 1
_SCHEMA: Final = "CustomerExport"


def encode_export(exported: Mapping[str, Any]) -> bytes:
    """Give an export as single-object Avro: the fields of CustomerExport.avsc, its `document` not yet as text."""
    schema = our_schema(_SCHEMA)
    out = BytesIO()
    out.write(schema.prefix)
    text = orjson.dumps(exported["document"], option=orjson.OPT_NON_STR_KEYS).decode()
    fastavro.schemaless_writer(out, schema.parsed, {**exported, "document": text})
    return out.getvalue()


def decode_export(value: bytes) -> dict[str, Any]:
    """Read what `encode_export` gave, the document as plain values. Raises ValueError for anything else."""
    found = decode_ours(_SCHEMA, value)
    return {**found, "document": orjson.loads(found["document"])}

"""Writers' schemas as a registry gives them: checked once, when a schema is first seen, and made readable as the one known here.

A registry's schemas come from producers, so they are as hostile as any record. fastavro's own parser would recurse through them
without a limit; what is too large or nested too deep is refused before it sees them.
"""

from __future__ import annotations

import json
from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from orchestrator.wire.evolution import incompatibilities
from orchestrator.wire.schemas import EventType, SchemaSet, faults

MAX_BYTES: Final = 256 * 1024
MAX_NESTING: Final = 128  # of JSON's own brackets; a record a level takes three


class SchemaRefused(ValueError):
    """A writer's schema that nothing is decoded by; the text says why, and has no more of it than names."""


def writer_of(text: str, known: SchemaSet) -> EventType:
    """Give the event type that a writer's schema is a version of. Raises SchemaRefused.

    Only records whose full name one of the known event types has are taken: that is the list of what may come in.
    """
    try:
        return _judged(text, known)
    except SchemaRefused:
        raise
    except Exception as error:  # a schema is data: whatever fails at one is its fault, and must not end the worker
        raise SchemaRefused(f"it cannot be read by: {type(error).__name__}") from None


def _judged(text: str, known: SchemaSet) -> EventType:
    if len(text.encode()) > MAX_BYTES:
        raise SchemaRefused(f"the schema has more than {MAX_BYTES} bytes")
    if _nesting(text) > MAX_NESTING:
        raise SchemaRefused(f"the schema is nested more than {MAX_NESTING} brackets deep")
    try:
        schema: Any = fastavro.parse_schema(json.loads(text), {})
    except (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SchemaRefused(f"it is no Avro schema: {type(error).__name__}") from None
    current = _current(schema, known)
    schema = {"event_type": current.type, "event_version": current.version, **schema}
    found = faults(schema) or incompatibilities(schema, current.schema)
    if found:
        raise SchemaRefused("; ".join(found[:3]))
    event = EventType(schema)
    if event.fingerprint != current.fingerprint:
        event.read_as(current)
    return event


def _current(schema: Any, known: SchemaSet) -> EventType:
    name = schema.get("name") if isinstance(schema, dict) and schema.get("type") == "record" else None
    for event_type in known.types:
        current = known.get(event_type)
        if current is not None and current.name == name:
            return current
    raise SchemaRefused("it is of no event type that is known here")


def _nesting(text: str) -> int:
    """Give how deep JSON's brackets go, without following them."""
    depth = deepest = 0
    in_text = is_escaped = False
    for character in text:
        if in_text:
            in_text = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
        elif character == '"':
            in_text = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest

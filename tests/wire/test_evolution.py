"""Which older versions can be read as the current one; fastavro is asked as well, so that we promise what it keeps."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from orchestrator.wire import evolution

ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
SMALLER_ENUM = {"type": "enum", "name": "E", "symbols": ["a"]}
INNER = {"type": "record", "name": "I", "fields": [{"name": "n", "type": "int"}]}
GROWN_INNER = {"type": "record", "name": "I", "fields": [{"name": "n", "type": "int"}, {"name": "m", "type": "int"}]}
CENTS = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
TENTHS = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}


def incompatibilities(writer: Any, reader: Any) -> list[str]:
    return evolution.incompatibilities(fastavro.parse_schema(writer), fastavro.parse_schema(reader))


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": type_} for name, type_ in fields.items()]}


# writer's type, reader's type, a value to write
RESOLVES: list[tuple[Any, Any, Any]] = [
    ("int", "long", 1),
    ("long", "double", 1),
    ("string", ["null", "string"], "a"),
    (["null", "int"], ["null", "long"], 1),
    (["null", "string"], ["null", "int", "string"], "a"),
    (ENUM, {**SMALLER_ENUM, "default": "a"}, "b"),
    (SMALLER_ENUM, ENUM, "a"),
    (GROWN_INNER, INNER, {"n": 1, "m": 2}),
    ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, [1]),
    ({"type": "map", "values": "int"}, {"type": "map", "values": "double"}, {"a": 1}),
]

BREAKS: list[tuple[Any, Any, str]] = [
    ("long", "int", "x was long and is int"),
    ("string", "int", "x was string and is int"),
    (["null", "string"], "string", "x could be null"),
    (["null", "string"], ["null", "int"], "x was string"),
    (ENUM, SMALLER_ENUM, "x lost b"),
    (INNER, GROWN_INNER, "x.m is new and has no default"),
    ({"type": "array", "items": "string"}, {"type": "array", "items": "int"}, "x was string and is int"),
    (CENTS, TENTHS, "x changed its meaning"),
    (CENTS, "bytes", "x changed its meaning"),
    (
        {"type": "long", "logicalType": "timestamp-millis"},
        {"type": "long", "logicalType": "timestamp-micros"},
        "x changed its meaning",
    ),
]


@pytest.mark.parametrize(("old", "new", "value"), RESOLVES)
def test_what_resolves(old: Any, new: Any, value: Any) -> None:
    writer, reader = record(x=old), record(x=new)
    assert incompatibilities(writer, reader) == []
    out = io.BytesIO()
    fastavro.schemaless_writer(out, writer, {"x": value})
    assert fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader) is not None


@pytest.mark.parametrize(("old", "new", "message"), BREAKS)
def test_what_does_not(old: Any, new: Any, message: str) -> None:
    assert message in "; ".join(incompatibilities(record(x=old), record(x=new)))


def test_new_fields_need_a_default_and_old_ones_may_go() -> None:
    assert incompatibilities(record(a="int"), record(b="int")) == ["b is new and has no default"]
    grown = {"type": "record", "name": "R", "fields": [{"name": "b", "type": "int", "default": 1}]}
    assert incompatibilities(record(a="int"), grown) == []


def test_a_renamed_field_is_found_by_its_alias() -> None:
    renamed = {"type": "record", "name": "R", "fields": [{"name": "b", "aliases": ["a"], "type": "string"}]}
    assert incompatibilities(record(a="string"), renamed) == []
    assert incompatibilities(record(a="double"), renamed) == ["b was double and is string"]

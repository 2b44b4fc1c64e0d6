"""Hostile schemas: what would kill the decoder is refused before a byte is decoded (rule B1, too deep)."""

from __future__ import annotations

from typing import Any

import fastavro
import pytest

from orchestrator.wire.shape import MAX_DEPTH, MAX_FIELDS, faults, without_logical_types


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": value} for key, value in fields.items()]}


def nested(levels: int) -> Any:
    schema: Any = "int"
    for level in range(levels):
        schema = record(f"R{level}", inner=schema)
    return schema


EMPTY = record("Empty")
HOSTILE: dict[str, tuple[Any, str]] = {
    "a list of itself": (record("A", next=["null", "A"]), "recursive"),
    "itself in two steps": (record("A", b=record("B", a={"type": "array", "items": "A"})), "recursive"),
    "itself with a namespace": ({**record("A", next=["null", "a.A"]), "namespace": "a"}, "recursive"),
    "an array of nulls": (record("A", x={"type": "array", "items": "null"}), "take no bytes"),
    "an array of empty records": (record("A", x={"type": "array", "items": EMPTY}), "take no bytes"),
    "an array of a record of nothing": (
        record("A", x={"type": "array", "items": record("B", n="null", e=EMPTY)}),
        "take no bytes",
    ),
    "a field twice": ({"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}] * 2}, "x is there twice"),
    "an array of fixed of no size": (
        record("A", x={"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
        "take no bytes",
    ),
    "an array of a name": (record("A", e=EMPTY, x={"type": "array", "items": "Empty"}), "take no bytes"),
    "too deep": (nested(MAX_DEPTH + 1), f"more than {MAX_DEPTH} deep"),
    "too deep by unions and arrays": (record("A", x={"type": "array", "items": ["null", nested(MAX_DEPTH - 2)]}), "deep"),
    "too many fields": (record("A", **{f"f{n}": "int" for n in range(MAX_FIELDS + 1)}), "1001 fields"),
    "too many fields by repetition": (
        record("A", a=record("B", **{f"f{n}": "int" for n in range(400)}), b="B", c="B"),
        "fields; at most 1000",
    ),
}

HARMLESS: dict[str, Any] = {
    "a map of nulls": record("A", x={"type": "map", "values": "null"}),  # each entry has a key
    "an array of unions": record("A", x={"type": "array", "items": ["null", "int"]}),
    "an array of enums": record("A", x={"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}}),
    "a name used twice": record("A", a=record("B", n="int"), b="B", c={"type": "array", "items": "B"}),
    "just deep enough": nested(MAX_DEPTH - 1),
    "just many enough": record("A", **{f"f{n}": "int" for n in range(MAX_FIELDS)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_b1_too_deep_and_other_hostile_schemas_are_refused(name: str) -> None:
    schema, word = HOSTILE[name]
    assert word in "; ".join(faults(fastavro.parse_schema(schema)))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_costs_no_more_than_its_bytes_is_taken(name: str) -> None:
    assert faults(fastavro.parse_schema(HARMLESS[name])) == []


def test_logical_types_are_taken_out_everywhere() -> None:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    schema = record("A", a=money, b=["null", money], c={"type": "array", "items": money}, d={"type": "map", "values": money})
    assert "logicalType" not in repr(without_logical_types(schema))
    assert "logicalType" in repr(schema), "the given schema stays as it is"

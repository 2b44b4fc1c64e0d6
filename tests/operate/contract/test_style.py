"""Style of schemas: each doubt has its place, and what is written as it should be gets none."""

from __future__ import annotations

import json
from typing import Any

import fastavro
import pytest

from orchestrator.operate.contract.style import SchemaFile, review

GOOD: dict[str, Any] = {
    "type": "record",
    "name": "ShopVisited",
    "namespace": "com.example.shop",
    "doc": "Somebody came.",
    "fields": [{"name": "visit_id", "type": "string", "doc": "Which visit."}],
}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}
MOOD = {"type": "enum", "name": "Mood", "doc": "How.", "symbols": ["good", "unknown"], "default": "unknown"}


def file(schema: dict[str, Any], path: str = "x.avsc") -> SchemaFile:
    text = json.dumps(schema, indent=2)
    return SchemaFile(path, text, json.loads(text), fastavro.parse_schema(json.loads(text)))


def with_field(**field: Any) -> dict[str, Any]:
    return GOOD | {"fields": [*GOOD["fields"], {"doc": "It is there.", **field}]}


def told(schema: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the code of each doubt, and what stands at its place."""
    made = file(schema)
    lines = made.text.splitlines()
    return [(each.code, lines[each.place.line - 1][each.place.column - 1 :].rstrip(",")) for each in review([made])]


@pytest.mark.parametrize(
    "field",
    [
        {"name": "price", "type": DECIMAL},
        {"name": "paid_at", "type": ["null", TIMESTAMP], "default": None},
        {"name": "mood", "type": MOOD},
        {"name": "timeout_ms", "type": "long"},
        {"name": "ratio", "type": "double"},
        {"name": "lines", "type": {"type": "array", "items": ["string", "null"]}},
        {"name": "format", "type": "string"},
        {"name": "discount_code", "type": "string"},
    ],
)
def test_what_is_as_it_should_be_raises_no_doubt(field: dict[str, Any]) -> None:
    assert told(with_field(**field)) == []


@pytest.mark.parametrize(
    ("field", "code", "there"),
    [
        ({"name": "Visit-Id".replace("-", "_"), "type": "string"}, "ORC-202", '"Visit_Id"'),
        ({"name": "shop", "type": "string", "doc": " "}, "ORC-203", '"shop"'),
        ({"name": "shop", "type": ["string", "null"], "default": "x"}, "ORC-204", "["),
        ({"name": "shop", "type": ["null", "string"]}, "ORC-204", "["),
        ({"name": "mood", "type": {k: v for k, v in MOOD.items() if k != "default"}}, "ORC-205", "["),
        ({"name": "mood", "type": MOOD | {"doc": ""}}, "ORC-203", '"Mood"'),
        ({"name": "mood", "type": MOOD | {"name": "mood_kind"}}, "ORC-201", '"mood_kind"'),
        ({"name": "total_price", "type": "double"}, "ORC-206", '"double"'),
        ({"name": "amount", "type": ["null", "float"], "default": None}, "ORC-206", "["),
        ({"name": "paid_at", "type": "long"}, "ORC-207", '"long"'),
        ({"name": "birth_date", "type": "string"}, "ORC-207", '"string"'),
        ({"name": "timeout", "type": "long"}, "ORC-208", '"timeout"'),
        ({"name": "delay_s", "type": "double"}, "ORC-208", '"double"'),
        (
            {
                "name": "inner",
                "type": {"type": "record", "name": "Inner", "doc": "In.", "fields": [{"name": "n", "type": "int"}]},
            },
            "ORC-203",
            '"n"',
        ),
    ],
)
def test_each_doubt_stands_where_it_arises(field: dict[str, Any], code: str, there: str) -> None:
    assert told(with_field(**field)) == [(code, there)]


def test_names_of_records_and_namespaces() -> None:
    assert told(GOOD | {"name": "shop_visited"}) == [("ORC-201", '"shop_visited"')]
    assert told(GOOD | {"namespace": "Com.Example"}) == [("ORC-201", '"Com.Example"')]
    assert told({k: v for k, v in GOOD.items() if k != "namespace"}) == [("ORC-201", '"ShopVisited"')]
    assert told(GOOD | {"name": "com.example.ShopVisited", "namespace": ""}) == []


def test_camel_case_is_as_good_but_not_both() -> None:
    camel = file(with_field(name="shopName", type="string") | {"name": "Other"}, "camel.avsc")
    third = file(GOOD | {"fields": [{"name": "shopName", "type": "string", "doc": "Which."}]}, "third.avsc")
    assert list(review([third])) == []
    assert [(each.place.path, each.code) for each in review([camel, file(GOOD)])] == [("camel.avsc", "ORC-202")]
    assert {each.place.path for each in review([third, third, third, file(GOOD)])} == {"x.avsc"}, "the rarer one is told"
    reserved = file(GOOD | {"fields": [{"name": "event_id", "type": "string", "doc": "Which."}]})
    assert list(review([third, reserved])) == [], "the engine's own fields are no choice of the author's"

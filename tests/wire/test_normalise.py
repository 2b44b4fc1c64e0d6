"""JSON values to Avro values: what is taken, what is refused, and that nothing is rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.wire.normalise import epoch_ms, normaliser
from orchestrator.wire.values import conversion

MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
FIXED_MONEY = {"type": "fixed", "name": "Money", "size": 8, "logicalType": "decimal", "precision": 10, "scale": 2}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}
TEXTS = {"type": "array", "items": "string"}
NUMBERS = {"type": "map", "values": "double"}
ANYTHING = ["null", "boolean", "long", "double", "string", TEXTS, NUMBERS]

TAKEN: list[tuple[Any, Any, Any]] = [
    ("int", 5, 5),
    ("int", -(1 << 31), -(1 << 31)),
    ("long", (1 << 63) - 1, (1 << 63) - 1),
    ("double", 5, 5.0),
    ("float", 0.1, 0.10000000149011612),
    ("boolean", False, False),
    ("bytes", "aGk=", b"hi"),
    (MILLIS, "1970-01-01T00:00:01Z", 1000),
    (MILLIS, "1970-01-01T01:00:00.5+01:00", 500),
    (MILLIS, "1969-12-31T23:59:59.999Z", -1),
    (MILLIS, 12, 12),
    ({"type": "long", "logicalType": "timestamp-micros"}, "1970-01-01T00:00:01Z", 1_000_000),
    ({"type": "int", "logicalType": "date"}, "1970-01-02", 1),
    ({"type": "fixed", "name": "F", "size": 2}, "aGk=", b"hi"),
    (COLOUR, "blue", "blue"),
    (["null", MONEY], None, None),
    (ANYTHING, True, True),
    (ANYTHING, 1, 1),
    (ANYTHING, 1.0, 1.0),
    (ANYTHING, ["a"], ["a"]),
    (ANYTHING, {"a": 1}, {"a": 1.0}),
]

REFUSED: list[tuple[Any, Any, str]] = [
    ("int", 1 << 31, "expected an integer, got one that does not fit 32 bits"),
    ("int", 1.0, "expected an integer, got a number"),
    ("int", True, "expected an integer, got a boolean"),
    ("long", 1 << 63, "does not fit 64 bits"),
    ("double", "1", "expected a number, got text"),
    ("double", True, "expected a number, got a boolean"),
    ("float", 1e300, "does not fit"),
    ("boolean", 1, "expected true or false, got an integer"),
    ("string", 1, "expected text, got an integer"),
    ("string", None, "expected text, got null"),
    ("bytes", "not base64", "expected base64 text, got other text"),
    ("bytes", 3, "expected base64 text, got an integer"),
    (MILLIS, "2026-01-05T00:00:00", "expected ISO 8601 text with a zone"),
    (MILLIS, "yesterday", "expected ISO 8601 text with a zone"),
    (MILLIS, 1.5, "expected ISO 8601 text with a zone"),
    (MILLIS, True, "expected ISO 8601 text with a zone"),
    ({"type": "int", "logicalType": "date"}, "2026-02-30", "expected a date"),
    ({"type": "fixed", "name": "F", "size": 3}, "aGk=", "expected 3 bytes, got 2"),
    (COLOUR, "green", "expected one of red, blue, got another word"),
    (COLOUR, 1, "expected one of red, blue, got an integer"),
    (MONEY, 0.005, "expected a decimal with at most 2 places, got one with more"),
    (MONEY, 1e8, "expected at most 10 digits, got more"),
    (MONEY, "NaN", "expected a decimal"),
    (MONEY, float("inf"), "expected a decimal"),
    (MONEY, None, "expected a decimal with at most 2 places, got null"),
    (MONEY, True, "expected a decimal with at most 2 places, got a boolean"),
    ({"type": "array", "items": "int"}, [1, "2"], "x[1]: expected an integer, got text"),
    ({"type": "array", "items": "int"}, {}, "expected a list, got a mapping"),
    ({"type": "map", "values": "int"}, {"a": None}, "x.a: expected an integer, got null"),
    ({"type": "map", "values": "int"}, [], "expected a mapping, got a list"),
    (ANYTHING, [1], "expected one of null, boolean, long, double, string, array, map, got a list"),
]


def normalise(schema: Any, value: Any) -> tuple[Any, list[str]]:
    faults: list[str] = []
    return normaliser(schema, {})(value, "x", faults), faults


@pytest.mark.parametrize(("schema", "value", "expected"), TAKEN)
def test_what_fits_is_taken(schema: Any, value: Any, expected: Any) -> None:
    found, faults = normalise(schema, value)
    assert not faults
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("schema", "value", "message"), REFUSED)
def test_what_does_not_fit_is_refused_without_its_value(schema: Any, value: Any, message: str) -> None:
    _, faults = normalise(schema, value)
    assert len(faults) == 1
    assert faults[0].startswith("x")
    assert message in faults[0]


@given(st.integers(-(10**10) + 1, 10**10 - 1), st.sampled_from([MONEY, FIXED_MONEY]))
def test_money_comes_back_as_the_number_that_was_written(cents: int, schema: Any) -> None:
    back = conversion(schema, {})
    assert back is not None
    exact = Decimal(cents).scaleb(-2)
    for written in (float(exact), str(exact), exact):
        raw, faults = normalise(schema, written)
        assert not faults
        assert int.from_bytes(raw, "big", signed=True) == cents
        assert back(raw) == float(exact)


@pytest.mark.parametrize("value", ["2026-01-05T00:00:00Z", "2026-01-05T11:00:00+11:00", 1_767_571_200_000])
def test_an_instant_has_one_meaning(value: Any) -> None:
    assert epoch_ms(value) == 1_767_571_200_000


@pytest.mark.parametrize("value", [None, True, 1.0, "", "2026-01-05", "2026-01-05T00:00:00", 1 << 63])
def test_what_is_no_instant(value: Any) -> None:
    assert epoch_ms(value) is None

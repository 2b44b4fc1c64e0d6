"""The decoder that steps over what nobody reads gives the values of fastavro, and accepts nothing that fastavro refuses."""

from __future__ import annotations

import random
from io import BytesIO
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.record import Record
from orchestrator.names import Reason
from orchestrator.wire import shape
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.skimming import skimmer
from tests.wire.messages import NOW, SCHEMAS, STREAMS, event, kafka_message

HEAD = [
    {"name": "event_id", "type": "string"},
    {"name": "customer_id", "type": "string"},
    {"name": "occurred_at", "type": "long"},
]
FIELDS = st.sets(st.sampled_from([*(f"f{n}" for n in range(5)), "occurred_at"]))
PRIMITIVES = st.sampled_from(["string", "bytes", "int", "long", "float", "double", "boolean"])


@st.composite
def types(draw: st.DrawFn, depth: int = 3) -> Any:
    """An Avro type, named ones under names that nobody else has."""
    kinds = ["primitive", "primitive", "primitive", "enum", "fixed", "optional"]
    kind = draw(st.sampled_from([*kinds, "array", "map", "record"] if depth else kinds))
    name = f"N{draw(st.uuids()).hex}"
    if kind == "primitive":
        return draw(PRIMITIVES)
    if kind == "enum":
        return {"type": "enum", "name": name, "symbols": ["A", "B", "C"]}
    if kind == "fixed":
        return {"type": "fixed", "name": name, "size": draw(st.integers(1, 20))}
    if kind == "optional":
        return ["null", *draw(st.lists(PRIMITIVES, min_size=1, max_size=3, unique=True))]
    if kind == "record":
        each = draw(st.lists(types(depth - 1), min_size=1, max_size=3))
        return {"type": "record", "name": name, "fields": [{"name": f"g{n}", "type": one} for n, one in enumerate(each)]}
    return {"type": kind, "items" if kind == "array" else "values": draw(types(depth - 1))}


@st.composite
def schemas(draw: st.DrawFn) -> Any:
    fields = HEAD + [{"name": f"f{number}", "type": one} for number, one in enumerate(draw(st.lists(types(), max_size=5)))]
    draw(st.randoms(use_true_random=False)).shuffle(fields)
    schema = {"type": "record", "name": "Event", "fields": fields}
    return fastavro.parse_schema(schema)


def encoded(schema: Any, seed: int) -> bytes:
    random.seed(seed)
    out = BytesIO(b"")
    out.write(b"frame")
    fastavro.schemaless_writer(out, schema, generate_one(schema))
    return out.getvalue()


def skim(schema: Any, wanted: set[str], value: bytes) -> dict[str, Any] | None:
    """What is read of it, None where it is refused."""
    try:
        *head, payload, end = skimmer(schema["fields"], shape.names_in(schema), wanted)(value, 5)
    except Exception:
        return None
    found = {**dict(zip(("event_id", "customer_id", "occurred_at"), head, strict=True)), **payload}
    if "occurred_at" not in wanted:
        assert found.pop("occurred_at") == 0
    return found if end == len(value) else None


def whole(schema: Any, value: bytes) -> dict[str, Any] | str:
    """What fastavro makes of it, or the name of its error."""
    body = BytesIO(value)
    body.seek(5)
    try:
        found: Any = fastavro.schemaless_reader(body, schema, None)
    except Exception as error:
        return type(error).__name__
    return found if body.tell() == len(value) else "trailing"


@settings(max_examples=300, deadline=None)
@given(schemas(), st.integers(0, 1 << 30), FIELDS)
def test_it_reads_what_fastavro_reads(schema: Any, seed: int, wanted: set[str]) -> None:
    value = encoded(schema, seed)
    everything = whole(schema, value)
    assert isinstance(everything, dict)
    asked = {*wanted, "event_id", "customer_id"}
    assert skim(schema, wanted, value) == {name: each for name, each in everything.items() if name in asked}


@settings(max_examples=500, deadline=None)
@given(schemas(), st.integers(0, 1 << 30), FIELDS, st.data())
def test_b1_it_takes_no_spoiled_bytes_that_fastavro_refuses(
    schema: Any, seed: int, wanted: set[str], data: st.DataObject
) -> None:
    value = bytearray(encoded(schema, seed))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(5, len(value) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    spoiled = bytes(value[: len(value) - cut])
    found = skim(schema, wanted, spoiled)
    if found is not None:
        everything = whole(schema, spoiled)
        if isinstance(everything, str):
            assert everything == "UnicodeDecodeError", "only text that nobody reads may be no text"
        else:
            assert str(found) == str({name: everything[name] for name in found}), "as text: a NaN is not equal to itself"


@pytest.mark.parametrize(
    "tail",
    [
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\x00" * 20,  # an array of 2^62 items
        b"\x01\x02",  # a block with its size
        b"\x80" * 100_000,  # a number that does not end
        b"\x04\x02",  # two items, of which one is there
    ],
)
@pytest.mark.parametrize("wanted", [set(), {"f0"}])
def test_b1_hostile_counts_end_at_once(tail: bytes, wanted: set[str]) -> None:
    for items in ("double", "string", {"type": "map", "values": "double"}):
        schema = fastavro.parse_schema(
            {"type": "record", "name": "E", "fields": [*HEAD, {"name": "f0", "type": {"type": "array", "items": items}}]}
        )
        assert skim(schema, wanted, b"frame\x02a\x02b\x02" + tail) is None


def gate(*wanted: str) -> Gate:
    return Gate(SCHEMAS, STREAMS, lambda _: True, reads=lambda _: frozenset(wanted))


def admitted_time(*wanted: str) -> int:
    found = gate(*wanted).admit(kafka_message(event("purchase.made", {"quantity": 2, "price": 11.77})), NOW)
    assert isinstance(found, Record)
    return found.occurred_at


def test_a_record_has_the_fields_that_are_read_and_no_others() -> None:
    message = kafka_message(event("purchase.made", {"quantity": 2, "price": 11.77}))
    for wanted, payload in (((), {}), (("price",), {"price": 11.77})):
        found = gate(*wanted).admit(message, NOW)
        assert isinstance(found, Record)
        assert (found.payload, found.event_id, found.occurred_at) == (payload, "e1", 0)
    assert admitted_time("occurred_at") == admitted_time("quantity", "price") == NOW - 5000, "wanted, or read with the whole"


def test_text_that_nobody_reads_need_not_be_text() -> None:
    good = event("signup.created", {"plan": "pro", "email": "a@b.example"})
    bad = good.replace(b"a@b", b"a\xffb")
    assert isinstance(gate("plan").admit(kafka_message(bad), NOW), Record)
    refused = gate("email").admit(kafka_message(bad), NOW)
    assert isinstance(refused, Refusal)
    assert refused.reason == Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda value: value[:-1], Reason.TRUNCATED),
        (lambda value: value + b"x", Reason.TRAILING_BYTES),
        (lambda value: value.replace(b"\x04c1", b"\x04c2"), Reason.KEY_MISMATCH),
    ],
)
def test_b1_what_is_wrong_is_told_as_if_everything_were_read(spoil: Any, reason: str) -> None:
    found = gate().admit(kafka_message(spoil(event("purchase.made", {"quantity": 2, "price": 11.77}))), NOW)
    assert isinstance(found, Refusal)
    assert found.reason == reason

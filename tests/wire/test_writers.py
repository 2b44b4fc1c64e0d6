"""Writers' schemas from a registry: hostile ones are refused before anything is decoded by them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from orchestrator.operate.contract.subjects import schema_text
from orchestrator.wire.writers import SchemaRefused, writer_of
from tests.wire.messages import SCHEMAS
from tests.wire.writers_fuzz import run


def purchase(**changes: Any) -> str:
    event = SCHEMAS.get("purchase.made")
    assert event is not None
    schema = json.loads(schema_text(event))
    schema["fields"] += changes.pop("more", [])
    return json.dumps(schema | changes)


def test_b1_a_newer_version_is_read_as_the_known_one() -> None:
    found = writer_of(purchase(more=[{"name": "shop", "type": "string"}], event_version="9.0"), SCHEMAS)
    assert (found.type, found.version) == ("purchase.made", "9.0")
    assert found.reader is not None


def test_b1_the_known_one_is_read_as_it_is_also_where_the_registry_dropped_our_attributes() -> None:
    plain = json.loads(purchase())
    del plain["event_type"], plain["event_version"]
    found = writer_of(json.dumps(plain), SCHEMAS)
    assert (found.type, found.reader) == ("purchase.made", None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("x" * 300_000, "bytes", id="large"),
        pytest.param('{"type":' * 5_000 + '"int"' + "}" * 5_000, "nested", id="nested JSON"),
        pytest.param("[" * 200 + "]" * 200, "nested", id="nested lists"),
        pytest.param('"\\"[[[', "no Avro schema", id="unfinished text"),
        pytest.param("{", "no Avro schema", id="no JSON"),
        pytest.param("17", "no Avro schema", id="a number"),
        pytest.param('"string"', "no event type", id="no record"),
        pytest.param(purchase(name="Stranger"), "no event type", id="a stranger"),
        pytest.param(
            purchase(more=[{"name": "m", "type": ["null", "journeys.events.PurchaseMade"]}]), "recursive", id="recursive"
        ),
        pytest.param(purchase(more=[{"name": "m", "type": {"type": "array", "items": "null"}}]), "no bytes", id="weightless"),
        pytest.param(purchase(more=[{"name": f"f{n}", "type": "int"} for n in range(1_001)]), "fields", id="many fields"),
        pytest.param(purchase(fields=[]), "missing", id="without the reserved fields"),
        pytest.param(purchase(fields=json.loads(purchase())["fields"][:-1]), "price is new", id="unreadable"),
    ],
)
def test_b1_what_nobody_should_decode_by_is_refused(text: str, why: str) -> None:
    with pytest.raises(SchemaRefused, match=why):
        writer_of(text, SCHEMAS)


@pytest.mark.parametrize("field", [{"known": 5}, {"known": {"a": []}}, {"type": "string", "spread": True, "known": []}])
def test_b1_attributes_of_ours_in_a_strangers_schema_may_be_anything(field: dict[str, Any]) -> None:
    with pytest.raises(SchemaRefused):
        writer_of(purchase(more=[{"name": "m", "type": "string"} | field]), SCHEMAS)


def test_b1_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(SchemaRefused):
        writer_of(purchase(doc="@").replace("@", "\ud800"), SCHEMAS)


def test_b1_spoiled_schemas_and_bytes_never_raise() -> None:
    found = run(seed=random.randrange(2**40), seconds=10, most=1_500)
    assert found["schemas refused"]
    assert found["schemas taken"]
    assert found["refusals"]


@pytest.mark.parametrize("sizes", [{"precision": 10**6, "scale": 10**6}, {"precision": 10**9}])
def test_b1_a_decimal_of_a_million_digits_is_refused_before_its_bounds_are_reckoned(sizes: dict[str, int]) -> None:
    kind = {"type": "bytes", "logicalType": "decimal", **sizes}
    with pytest.raises(SchemaRefused, match="decimal"):
        writer_of(purchase(more=[{"name": "m", "type": kind}]), SCHEMAS)

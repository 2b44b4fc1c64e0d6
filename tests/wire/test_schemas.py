"""The event schemas: the shipped ones, a user's own, and everything that a schema may not be."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from orchestrator import defaults
from orchestrator.errors import InvalidTopology, UsageError
from orchestrator.names import ACTION_OUTCOME, EVENT_NAMESPACE, RECORD_NAMESPACE, RESERVED_EVENT_TYPES
from orchestrator.wire.schemas import BadEvent, EventType, load_catalog, load_schemas
from tests.wire.messages import SCHEMAS, event

SHIPPED = sorted((defaults.SCHEMAS / "events").rglob("*.avsc"))
OURS = sorted((defaults.SCHEMAS / "journeys").glob("*.avsc"))
STRING = {"type": "string"}
HEAD: list[dict[str, Any]] = [
    {"name": "event_id", "type": "string"},
    {"name": "customer_id", "type": "string"},
    {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
]


def record(*fields: dict[str, Any], event_type: str = "seat.booked", version: str = "1.0", **more: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "SeatBooked",
        "namespace": EVENT_NAMESPACE,
        "event_type": event_type,
        "event_version": version,
        "fields": HEAD + list(fields),
        **more,
    }


def folder(tmp_path: Path, **schemas: Any) -> Path:
    """Write schemas (`history__x` into history/) and give the folder."""
    for name, schema in schemas.items():
        path = tmp_path / (name.replace("__", "/").replace("_", ".") + ".avsc")
        path.parent.mkdir(exist_ok=True)
        path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return tmp_path


def problems(directory: Path) -> str:
    with pytest.raises(InvalidTopology) as caught:
        load_schemas(directory)
    return str(caught.value)


def one(tmp_path: Path, *fields: dict[str, Any]) -> EventType:
    found = load_schemas(folder(tmp_path, seat_booked=record(*fields))).get("seat.booked")
    assert found is not None
    return found


def test_every_reserved_type_has_a_schema() -> None:
    assert SCHEMAS.types >= RESERVED_EVENT_TYPES


def test_all_that_is_documented_is_every_field_of_every_record_and_every_record() -> None:
    for path in SHIPPED + OURS:
        for where, thing in documented_things(json.loads(path.read_text()), path.stem):
            assert thing.get("doc"), f"{where} says nothing about itself"


def documented_things(schema: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        return [found for branch in schema for found in documented_things(branch, where)]
    if not isinstance(schema, dict):
        return []
    found = [(where, schema)] if schema.get("type") in ("record", "enum") else []
    for field in schema.get("fields", ()):
        found += [(f"{where}.{field['name']}", field), *documented_things(field["type"], f"{where}.{field['name']}")]
    return found + [each for key in ("items", "values") for each in documented_things(schema.get(key), where)]


def test_optional_fields_are_null_by_default_and_names_are_ours() -> None:
    for path in SHIPPED + OURS:
        schema = json.loads(path.read_text())
        assert schema["namespace"] == (EVENT_NAMESPACE if path in SHIPPED else RECORD_NAMESPACE)
        for field in schema["fields"]:
            assert field["name"] == field["name"].lower(), path
            if isinstance(field["type"], list):
                assert field["type"][0] == "null", f"{path}: {field['name']}"
                assert field["default"] is None, f"{path}: {field['name']}"


def test_money_is_decimal_and_times_are_timestamps() -> None:
    catalog = load_catalog()
    for name in ("payment.failed", "payment.succeeded"):
        schema = catalog.get(name)
        assert schema is not None
        assert schema.version == "1.2"
        assert schema.fields["amount"] == "double"
        assert {"currency", "reason", "attempt", "event_id", "customer_id", "occurred_at"} <= schema.fields.keys()
    consent = catalog.get("consent.changed")
    assert consent is not None
    assert (consent.fields["time"], consent.fields["status"]) == ("timestamp", "string")
    profile = catalog.get("profile.updated")
    assert profile is not None
    assert profile.fields["segments"] == "list"
    assert "fields" not in profile.fields


def test_another_avro_library_reads_our_events_with_the_shipped_file() -> None:
    """Producers and consumers use the .avsc as it stands, logical types included."""
    schema = json.loads((defaults.SCHEMAS / "events" / "payment.failed.avsc").read_text())
    value = event("payment.failed", {"amount": 12.34, "currency": "AUD", "attempt": 2})
    body = io.BytesIO(value[10:])
    found: Any = fastavro.schemaless_reader(body, schema, None)
    assert body.read() == b""
    assert found["amount"] == Decimal("12.34")
    assert (found["customer_id"], found["attempt"], found["reason"]) == ("c1", 2, None)


def test_the_fingerprint_is_the_one_of_the_avro_specification() -> None:
    """Java's SchemaNormalization gives these for the same canonical forms."""
    from fastavro.schema import fingerprint

    assert bytes.fromhex(fingerprint('"null"', "CRC-64-AVRO"))[::-1].hex() == "63dd24e7cc258f8a"
    assert bytes.fromhex(fingerprint('"string"', "CRC-64-AVRO"))[::-1].hex() == "8f014872634503c7"


def test_the_frame_is_the_fingerprint_in_little_endian() -> None:
    schema = SCHEMAS.get("auth.login")
    assert schema is not None
    assert event("auth.login")[:10] == b"\xc3\x01" + bytes.fromhex(schema.schema_id)


def test_users_add_a_type_by_adding_a_file(tmp_path: Path) -> None:
    found = load_schemas(folder(tmp_path, seat_booked=record({"name": "row", "type": "int"})))
    assert found.types == RESERVED_EVENT_TYPES | {"seat.booked"}, "reserved types come with the package"
    booked = found.get("seat.booked")
    assert booked is not None
    assert booked.plain({"row": 7}) == {"row": 7}


def test_an_events_folder_inside_is_taken(tmp_path: Path) -> None:
    folder(tmp_path, events__seat_booked=record())
    assert "seat.booked" in load_schemas(tmp_path).types


def test_a_users_own_reserved_type_stands(tmp_path: Path) -> None:
    own = record({"name": "ticket", "type": "string"}, event_type=ACTION_OUTCOME)
    outcome = load_schemas(folder(tmp_path, action_outcome=own)).get(ACTION_OUTCOME)
    assert outcome is not None
    assert "ticket" in outcome.fields


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such schema directory"):
        load_schemas(tmp_path / "nowhere")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    said = problems(folder(tmp_path, a="{", b=record(event_type="other.name"), c={"type": "record", "name": "X", "fields": []}))
    assert "a.avsc: not JSON: line 1, column 2" in said
    assert "b.avsc: the file of event type 'other.name' must be named other.name.avsc" in said
    assert 'c.avsc: the record lacks the attribute "event_type"' in said
    assert "c.avsc: the field customer_id is missing" in said


REFUSED: dict[str, tuple[Any, str]] = {
    "no record": ({"type": "enum", "name": "E", "symbols": ["A"]}, "an event is a record"),
    "not Avro": (record({"name": "x", "type": "strnig"}), "not an Avro schema"),
    "a field twice": (record({"name": "x", "type": "int"}, {"name": "x", "type": "int"}), "x is there twice"),
    "customer_id of a wrong type": (
        {**record(), "fields": [HEAD[0], {"name": "customer_id", "type": "long"}, HEAD[2]]},
        "the field customer_id must be a string",
    ),
    "occurred_at without its meaning": (
        {**record(), "fields": [*HEAD[:2], {"name": "occurred_at", "type": "long"}]},
        "the field occurred_at must be a timestamp-millis",
    ),
    "event_id that may be null": (
        {**record(), "fields": [{"name": "event_id", "type": ["null", "string"]}, *HEAD[1:]]},
        "the field event_id must be a string",
    ),
    "recursion": (record({"name": "next", "type": ["null", f"{EVENT_NAMESPACE}.SeatBooked"]}), "recursive schemas are refused"),
    "items without bytes": (record({"name": "x", "type": {"type": "array", "items": "null"}}), "items take no bytes"),
    "two decimals in a union": (
        record({"name": "x", "type": ["long", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}]}),
        "may stand beside null only",
    ),
    "spread without a map": (record({"name": "x", "type": "string", "spread": True}), "marked spread and is no map"),
    "an unknown known type": (
        record({"name": "x", "type": {"type": "map", "values": "string"}, "known": {"a": "txet"}}),
        "unknown type 'txet'",
    ),
    "a default of a wrong type": (record({"name": "x", "type": "int", "default": "1"}), "not an Avro schema"),
    "a default that no default of the type fits": (
        record({"name": "x", "type": {"type": "fixed", "name": "F", "size": 2}, "default": 5}),
        "not an Avro schema",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_schema_may_not_be(name: str, tmp_path: Path) -> None:
    schema, message = REFUSED[name]
    assert message in problems(folder(tmp_path, seat_booked=schema))


def test_history_needs_a_current_version(tmp_path: Path) -> None:
    said = problems(folder(tmp_path, history__old=record()))
    assert "'seat.booked' has no current version" in said


def test_two_versions_that_nobody_could_tell_apart_are_refused(tmp_path: Path) -> None:
    """Documentation and attributes are not in the fingerprint."""
    said = problems(folder(tmp_path, seat_booked=record(version="2.0"), history__old=record(doc="other")))
    assert "same fingerprint as version 2.0" in said


def test_a_version_that_does_not_resolve_is_refused_when_it_is_read(tmp_path: Path) -> None:
    said = problems(
        folder(
            tmp_path,
            seat_booked=record({"name": "row", "type": "int"}, version="2.0"),
            history__a=record(version="1.0"),
            history__b=record({"name": "row", "type": "string"}, version="1.1"),
        )
    )
    assert "a.avsc: row is new and has no default" in said
    assert "b.avsc: row was string and is int" in said


def test_an_older_version_with_a_renamed_and_a_promoted_field_is_read(tmp_path: Path) -> None:
    found = load_schemas(
        folder(
            tmp_path,
            seat_booked=record({"name": "line", "aliases": ["row"], "type": "long"}, version="2.0"),
            history__old=record({"name": "row", "type": "int"}, {"name": "gone", "type": "string"}),
        )
    )
    old = next(each for each in found.versions() if (each.type, each.version) == ("seat.booked", "1.0"))
    value = old.encode("c1", "e1", 0, {"row": 7, "gone": "x"})
    assert old.decode(io.BytesIO(value[10:])) == ("e1", "c1", 0, {"line": 7})


def test_nested_values_are_plain(tmp_path: Path) -> None:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 3}
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    fields = [{"name": "price", "type": ["null", money]}, {"name": "until", "type": micros}]
    seat = {"type": "record", "name": "Seat", "fields": fields}
    schema = one(
        tmp_path,
        {"name": "seats", "type": {"type": "array", "items": seat}},
        {"name": "best", "type": ["null", "Seat"], "default": None},
        {"name": "by_name", "type": {"type": "map", "values": "Seat"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    )
    given = {"price": 1.125, "until": "2026-01-05T00:00:00.001Z"}
    payload = {"seats": [given, {"price": None, "until": 0}], "best": given, "by_name": {"a": given}, "day": "2026-01-05"}
    plain = {"price": 1.125, "until": 1_767_571_200_001}
    expected = {
        "seats": [plain, {"price": None, "until": 0}],
        "best": plain,
        "by_name": {"a": plain},
        "day": 1_767_571_200_000,
    }
    assert schema.plain(payload) == expected
    assert schema.decode(io.BytesIO(schema.encode("c1", "e1", 0, payload)[10:]))[3] == expected
    assert schema.fields["best.price"] == "double"
    assert schema.fields["day"] == "timestamp"
    assert schema.fields["seats"] == "list"


def test_defaults_are_written_as_avro_writes_them(tmp_path: Path) -> None:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}
    day = {"type": "int", "logicalType": "date"}
    schema = one(
        tmp_path,
        {"name": "fee", "type": money, "default": "\u0004\u0099"},
        {"name": "tip", "type": [money, "null"], "default": "\u0000"},
        {"name": "day", "type": day, "default": 1},
    )
    assert schema.plain({}) == {"fee": 11.77, "tip": 0.0, "day": 86_400_000}


def test_what_simulate_sees_is_what_comes_through_kafka() -> None:
    samples: dict[str, dict[str, Any]] = {
        "signup.created": {"plan": "pro"},
        "payment.failed": {"amount": "0.10", "currency": "AUD"},
        "purchase.made": {"quantity": 1, "price": 11.77},
        "consent.changed": {"channel": "*", "purpose": "p", "status": "granted", "expiry": "2027-01-01T00:00:00Z"},
        "profile.updated": {"email": "a", "old": None, "n": 1, "f": 0.5, "b": False, "l": ["x"], "m": {"a": 1}},
        "action.outcome": {"action_id": "a", "status": "delivered", "data": {"id": "x", "n": 3}},
    }
    for name, payload in samples.items():
        schema = SCHEMAS.get(name)
        assert schema is not None
        through_kafka = schema.decode(io.BytesIO(event(name, payload)[10:]))[3]
        assert schema.plain(payload) == through_kafka, name


def test_bad_values_are_told_all_at_once_and_without_the_values() -> None:
    schema = SCHEMAS.get("payment.failed")
    assert schema is not None
    with pytest.raises(BadEvent) as caught:
        schema.encode("c1", "e1", 0, {"amount": "secret", "curency": "SECRET", "attempt": "one"})
    assert caught.value.faults == [
        "curency: no such field; did you mean 'currency'?",
        "amount: expected a decimal with at most 2 places, got text",
        "currency: missing, and it has no default",
        "attempt: expected an integer, got text",
    ]
    assert "secret" not in str(caught.value).lower()

"""What an incident's headers say, whatever the record's own say, and a look into its record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Message

from orchestrator.names import Header, Reason
from orchestrator.operate.incidents.finding import Found
from orchestrator.operate.incidents.incident import Incident, Selection, marked, read_incident
from orchestrator.operate.incidents.peeking import peek
from orchestrator.operate.incidents.redrive import Choice, plan
from orchestrator.wire.acts import IncidentAct, encode_act, read_acts
from orchestrator.wire.gate import Refusal
from orchestrator.wire.incidents import incident_from_refusal
from tests.wire.messages import NOW, SCHEMAS, kafka_message

OWN: list[tuple[str, bytes | None]] = [
    ("x-source", b"shop"),
    (Header.INCIDENT_ID, b"mine"),
    (Header.ERROR_TOPIC, b"elsewhere"),
    ("empty", None),
]


def incident(value: bytes | None = b"{}", headers: Any = None, reason: str = Reason.NOT_AVRO, offset: int = 42) -> Incident:
    refused = Message(
        topic="customer.events", partition=3, offset=offset, key=b"c1", value=value, headers=headers, timestamp=(1, NOW - 1000)
    )
    key, original, all_headers = incident_from_refusal(refused, Refusal(reason, "why", "ab"), "app", "1.0", 1_000)
    reported = Message(topic="incidents", partition=1, offset=7, key=key, value=original, headers=all_headers, timestamp=(1, NOW))
    found = read_incident(reported)
    assert found is not None
    return found


def test_b1_b3_what_the_record_says_of_itself_is_not_believed_and_comes_back_untouched() -> None:
    found = incident(b"\x00x", OWN)
    assert (found.id, found.source, found.partition, found.offset) == ("customer.events-3-42", "customer.events", 3, 42)
    assert (found.key, found.value, found.headers) == (b"c1", b"\x00x", OWN)
    assert (found.time, found.reported, found.position, found.schema) == (NOW - 1000, NOW, "incidents/1/7", "ab")


def test_b3_a_cut_record_says_so_and_its_headers_are_still_its_own() -> None:
    found = incident(b"x" * 2_000, OWN)
    assert (found.truncated, len(found.value or b""), found.headers) == ("value", 1_000, OWN)


def test_b3_a_record_that_was_redriven_names_its_incident_once() -> None:
    first = marked(OWN, "a-0-1", 1)
    again = incident(headers=first)
    assert (again.redrive_of, again.attempt) == ("a-0-1", 1)
    assert marked(again.headers, again.id, 2) == [*OWN, (Header.REDRIVE_OF, again.id.encode()), (Header.REDRIVE_ATTEMPT, b"2")]


def test_what_is_no_incident_of_ours_is_none() -> None:
    assert read_incident(kafka_message(b"x", key=None)) is None


@pytest.mark.parametrize(
    ("selection", "is_meant"),
    [
        (Selection(), True),
        (Selection(ids=("customer.events-3-42",)), True),
        (Selection(ids=("customer.events-3-43",)), False),
        (Selection(reasons=("truncated", "not_avro")), True),
        (Selection(reasons=("truncated",)), False),
        (Selection(sources=("customer.events",), schemas=("ab",)), True),
        (Selection(sources=("other",)), False),
        (Selection(journeys=("winback",)), False),
        (Selection(since=NOW - 1000, until=NOW), True),
        (Selection(since=NOW - 999), False),
        (Selection(until=NOW - 1000), False),
    ],
)
def test_a_selection_means_what_fits_all_that_it_says(selection: Selection, is_meant: bool) -> None:
    assert (incident() in selection) is is_meant


def act(incident_id: str, kind: Any = "redriven", attempt: int = 1, app: str = "app") -> IncidentAct:
    return IncidentAct(app, kind, incident_id, "not_avro", "customer.events", 3, 42, attempt, NOW, "ada", "mended")


def test_acts_are_read_as_written_and_only_this_apps() -> None:
    acts = [act("a"), act("b", app="other"), act("a", "discarded", 0)]
    values = [encode_act(each)[1] for each in acts]
    assert read_acts([None, b"junk", *values], "app") == {"a": acts[2]}


def test_b3_the_plan_is_in_the_order_of_the_records_and_leaves_out_what_was_dealt_with() -> None:
    found = [Found(incident(offset=44)), Found(incident(offset=42), act("x")), Found(incident(offset=43))]
    assert [(each.incident.offset, each.attempt, each.refused) for each in plan(found, Choice(), {})] == [
        (43, 1, ""),
        (44, 1, ""),
    ]


def test_b3_a_record_is_redriven_so_many_times_at_most_by_what_the_audit_says_not_the_record() -> None:
    again = incident(headers=marked([], "first", 99))
    assert plan([Found(again)], Choice(), {})[0].attempt == 1, "nobody redrove it: it only says so"
    known = {"first": act("first", attempt=2)}
    assert plan([Found(again)], Choice(), known)[0].refused == ""
    assert "redriven 2 times" in plan([Found(again)], Choice(max_attempts=2), known)[0].refused


def test_a_look_into_a_record_tells_what_it_is_and_no_value_unless_asked() -> None:
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    value = schema.encode("c1", "e1", NOW, {"quantity": 2, "price": 9.5})
    whole = peek(incident(value + b"!", OWN[:1]), SCHEMAS)
    assert (whole["event"], whole["fields"]["quantity"], whole["key"], whole["headers"]) == (
        "purchase.made", "***", "***", {"x-source": "***"},
    )  # fmt: skip
    assert whole["damage"] == "1 bytes follow the record's end"
    cut = peek(incident(value[:-1]), SCHEMAS, reveal=True)
    assert (cut["fields"]["quantity"], cut["key"]) == (2, "c1")
    assert "price" not in cut["fields"]
    assert "price" in cut["damage"]
    assert json.dumps(peek(incident(value), SCHEMAS, reveal=True)["fields"]["price"]) == "9.5", "decimals are numbers, not bytes"


@pytest.mark.parametrize(
    ("value", "likeness"),
    [
        (b'{"a": 1}', "JSON: the producer writes JSON where Avro is expected"),
        (b"hello", "text"),
        (b"\xff\xfe", "bytes of no known form"),
        (b"\x00\x00\x00\x00\x07x", "Avro of the schema with id 7, which nobody here knows"),
    ],
)
def test_a_look_into_bytes_that_are_no_event_says_what_they_look_like(value: bytes, likeness: str) -> None:
    shown = peek(incident(value), SCHEMAS)
    assert shown["looks_like"] == likeness
    assert "begins" not in shown
    assert peek(incident(value), SCHEMAS, reveal=True)["begins"] == value.hex(" ")


def test_a_record_without_a_value_has_none() -> None:
    assert peek(incident(None), SCHEMAS)["bytes"] is None

"""OpenLineage events: the shape that the specification asks for; topics read and written; fields that become others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.operate.lineage.openlineage import job_events
from orchestrator.operate.lineage.uses import uses
from orchestrator.workspace import Workspace
from tests.house.tree import ROOT
from tests.operate.lineage.test_uses import SECOND

AT = datetime(2026, 1, 5, 9, 0, 0, 7000, tzinfo=UTC)
BROKERS = "kafka-1:9092, kafka-2:9092"
CLUSTER = "kafka://kafka-1:9092"
POLICY = """
purposes: {care: {consent: not_required}}
channels:
  email: {topic: t.email}
  sms: {topic: t.sms}
  desk: {topic: t.desk, kind: action}
"""
STREAMS = """
app: shop
partitions: 4
events:
  - {topic: money, schemas: [payment.failed, purchase.made]}
  - {topic: people, schemas: [csat.submitted, auth.login]}
outcomes: t.outcomes
"""
FIRST = """
journey: first
version: 1
purpose: care
entry: {on: payment.failed}
context: {amount: event.amount}
start: only
states:
  only:
    steps:
      - {id: copy, set: {journey.copied: journey.amount}}
      - {id: told, send: {channel: preferred, template: told, data: {sum: 'journey.copied * 2.0', fixed: '"x"'}}}
      - {id: next, start: {journey: second, data: {sum: journey.copied}}}
      - {id: done, end: {outcome: told}}
"""
SILENT = """
journey: silent
version: 1
purpose: care
entry: {on: auth.login}
start: only
states: {only: {steps: [{id: done, end: {outcome: seen}}]}}
"""

# As the specification says, 2-0-2 and the facets of 1-2-0; what it leaves open is open here too.
FACET = {
    "type": "object",
    "required": ["_producer", "_schemaURL"],
    "properties": {
        "_producer": {"type": "string", "pattern": "^[a-z]+:"},
        "_schemaURL": {"type": "string", "pattern": "^https://"},
    },
}
COLUMN = {
    "type": "object",
    "required": ["namespace", "name", "field"],
    "properties": {each: {"type": "string", "minLength": 1} for each in ("namespace", "name", "field")},
}
SCHEMA = {
    "required": ["fields"],
    "properties": {
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {each: {"type": "string"} for each in ("name", "type", "description")},
            },
        }
    },
}
COLUMNS = {
    "required": ["fields"],
    "properties": {
        "fields": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["inputFields"],
                "properties": {"inputFields": {"type": "array", "minItems": 1, "items": COLUMN}},
            },
        }
    },
}
NAMED = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "facets": {
            "type": "object",
            "additionalProperties": FACET,
            "properties": {"schema": SCHEMA, "columnLineage": COLUMNS},
        },
    },
}
JOB_EVENT = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "job", "inputs", "outputs"],
    "not": {"required": ["run"]},
    "properties": {
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"},
        "producer": {"type": "string", "pattern": "^[a-z]+:"},
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"},
        "job": NAMED,
        "inputs": {"type": "array", "items": NAMED},
        "outputs": {"type": "array", "items": NAMED},
    },
}


def told(topologies: Path) -> list[dict[str, Any]]:
    workspace = Workspace.load(topologies, ROOT / "schemas/avro")
    found = uses(workspace.topology, workspace.catalog)
    return job_events(found, workspace.topology, workspace.catalog, BROKERS, AT)


@pytest.fixture
def by_name(tmp_path: Path) -> dict[str, dict[str, Any]]:
    (tmp_path / "journeys").mkdir()
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "streams.yaml").write_text(STREAMS)
    for name, text in {"first": FIRST, "second": SECOND, "silent": SILENT}.items():
        (tmp_path / "journeys" / f"{name}.yaml").write_text(text)
    return {event["job"]["name"]: event for event in told(tmp_path)}


def names(datasets: list[dict[str, Any]]) -> list[str]:
    assert {each["namespace"] for each in datasets} <= {CLUSTER}
    return [each["name"] for each in datasets]


def columns(event: dict[str, Any]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Give, by topic and field of an action, the topics and fields of events that it is made of."""
    return {
        (output["name"], name): [(each["name"], each["field"]) for each in made["inputFields"]]
        for output in event["outputs"]
        for name, made in output["facets"].get("columnLineage", {"fields": {}})["fields"].items()
    }


def fields(dataset: dict[str, Any]) -> list[str]:
    return [each["name"] for each in dataset["facets"]["schema"]["fields"]]


def test_every_event_has_the_shape_of_the_specification(by_name: dict[str, dict[str, Any]]) -> None:
    shipped = told(ROOT / "topologies")
    assert {"payment-recovery", "winback"} <= {event["job"]["name"] for event in shipped}
    for event in (*by_name.values(), *shipped):
        jsonschema.validate(event, JOB_EVENT)
    without = {name: value for name, value in shipped[0].items() if name != "producer"}
    with pytest.raises(jsonschema.ValidationError, match="producer"):
        jsonschema.validate(without, JOB_EVENT)


def test_the_same_topology_is_told_alike(by_name: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    again = told(tmp_path)
    assert again == [by_name[name] for name in sorted(by_name)]
    assert {event["eventTime"] for event in again} == {"2026-01-05T09:00:00.007+00:00"}


def test_topics_are_those_that_carry_the_events_and_the_actions(by_name: dict[str, dict[str, Any]]) -> None:
    jobs = {name: (names(event["inputs"]), names(event["outputs"])) for name, event in by_name.items()}
    assert jobs == {
        "first": (["money"], ["t.email", "t.sms"]),
        "second": (["money", "people", "t.outcomes"], ["t.desk", "t.email"]),  # the first starts it, with a sum of its own
        "silent": (["people"], []),
    }
    assert {event["job"]["namespace"] for event in by_name.values()} == {"shop"}


def test_fields_are_followed_from_the_event_to_the_data_of_the_action(by_name: dict[str, dict[str, Any]]) -> None:
    amount = [("money", "payment.failed.amount")]
    assert columns(by_name["first"]) == {("t.email", "data.sum"): amount, ("t.sms", "data.sum"): amount}
    assert columns(by_name["second"]) == {
        ("t.desk", "data.sum"): amount,
        ("t.email", "data.number"): [("t.outcomes", "action.outcome.data")],  # what is in the map is declared nowhere
    }


def test_a_topic_has_one_schema_whichever_journey_tells_it(by_name: dict[str, dict[str, Any]]) -> None:
    found: dict[str, list[list[str]]] = {}
    for event in by_name.values():
        for each in (*event["inputs"], *event["outputs"]):
            found.setdefault(each["name"], []).append(fields(each))
    assert all(each == schemas[0] for schemas in found.values() for each in schemas)
    assert {"payment.failed.amount", "purchase.made.event_id"} <= set(found["money"][0])
    assert [name for name in found["t.email"][0] if "." in name] == ["data.number", "data.sum"]
    assert {"action_id", "expires_at"} <= set(found["t.email"][0])


def test_fields_that_columns_name_are_in_the_schemas(by_name: dict[str, dict[str, Any]]) -> None:
    datasets = [each for event in by_name.values() for each in (*event["inputs"], *event["outputs"])]
    known = {(each["name"], name) for each in datasets for name in fields(each)}
    for event in by_name.values():
        for made, read in columns(event).items():
            assert {made, *read} <= known

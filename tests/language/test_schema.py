"""The JSON Schemas stay what the readers read, with the readers' defaults."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct, field

from orchestrator import cli
from orchestrator.engine.verbs import TABLE
from orchestrator.language.composer import compose
from orchestrator.language.durations import parse_duration
from orchestrator.language.experiments import read_experiments
from orchestrator.language.journeys import read_journey
from orchestrator.language.policy import read_policy
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.schema import VERBS, journey_schema
from orchestrator.language.schema_shared import SCHEMAS
from orchestrator.language.streams import read_streams
from orchestrator.operate.scenarios.values import plain
from tests.house.tree import ROOT

JOURNEYS = sorted(path for path in (ROOT / "topologies" / "journeys").glob("*.yaml") if ".scenario" not in path.name)
# A journey that has every mapping of the language at least once.
EVERYTHING = """
journey: all
version: 2
purpose: p
entry: {on: a, reentry: {after: 1d}}
exit: [{on: a, send: {channel: email, template: t}}]
goals: [{id: g, on: a, within: 1d}]
inherits: [{version: 1, step: s1, policy: move_to, to: s4}]
start: s
states:
  s:
    on: [{event: a, go: t}]
    steps:
      - {id: s1, send: {channel: email, template: t}}
      - {id: s2, call: {action: x, retry: [{on: ["*"], max_attempts: 2}]}}
      - {id: s3, hold_until: [{on: a, go: t}], timeout: 1d, on_repeat: {restart: 1}}
      - {id: s4, delay: 1d}
      - {id: s5, delay: {until: now}}
      - {id: s6, delay: {at: "09:00"}}
      - {id: s7, split: [{when: true, go: t}, {else: continue}]}
      - {id: s8, randomize: {experiment: e, branches: [{arm: a, weight: 50}, {arm: b, weight: 50}]}}
      - {id: s9, set: {journey.x: 1}}
      - {id: s10, start: {journey: other}}
      - {id: s11, alert: {message: m}}
      - {id: s12, go: t}
      - {id: s13, end: {outcome: o}}
  t: {final: true}
"""


def objects(schema: Any) -> Iterator[frozenset[str]]:
    """The property names of every object of a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield frozenset(schema["properties"])
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


# A policy, streams and experiments with every mapping at least once.
POLICY = """
channels: {email: {topic: t, quiet_hours: {from: "21:00", to: "08:00"}, rate: {limit: 1, per: 1s}}}
purposes: {p: {consent: required}}
consent: {unknown: deny}
caps: [{id: c, limit: 1, per: 1d}]
suppress: [{id: s, on: a, purposes: [p], for: 1d}]
exclusive: [{id: e, journeys: [a, b]}]
dedupe: {events: {window: 24h}, addresses: {channels: [email], window: 1d}}
holdout: {percent: 5, salt: s}
limits: {branches: 5}
"""
STREAMS = "events: [{topic: t, schemas: [a]}]\n"
EXPERIMENTS = "- {experiment: e, minimum: {duration: 1d}}\n"
FILES: dict[str, tuple[str, Callable[[Node, Problems], object]]] = {
    "journey": (EVERYTHING, lambda node, problems: read_journey(node, problems, TABLE)),
    "policy": (POLICY, read_policy),
    "streams": (STREAMS, read_streams),
    "experiments": (EXPERIMENTS, read_experiments),
}
GIVEN_NAMES = {frozenset(names) for names in (("s", "t"), ("journey.x",), ("email",), ("p",))}  # names that authors give
GETTERS = ("text", "name", "flag", "integer", "number", "choice", "duration")


class Asked(Struct):
    """What the readers asked of the mappings of one file: names, and the default that each was asked with."""

    names: set[frozenset[str]] = field(default_factory=set)
    defaults: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(params=FILES)
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Asked]:
    """One file read, and what was asked."""
    found = Asked()
    by_mapping: dict[int, tuple[Fields, dict[str, Any]]] = {}
    close = Fields.close

    def note_close(fields: Fields) -> None:
        if frozenset(fields._known) not in GIVEN_NAMES:
            found.names.add(frozenset(fields._known))
            found.defaults.append(by_mapping.get(id(fields), (fields, {}))[1])
        close(fields)

    def noting(getter: Any) -> Any:
        signature = inspect.signature(getter)

        def note(fields: Fields, key: str, *arguments: Any, **named: Any) -> Any:
            bound = signature.bind(fields, key, *arguments, **named)
            if not bound.arguments.get("required"):
                by_mapping.setdefault(id(fields), (fields, {}))[1][key] = bound.arguments.get("default")
            return getter(fields, key, *arguments, **named)

        return note

    monkeypatch.setattr(Fields, "close", note_close)
    for name in GETTERS:
        monkeypatch.setattr(Fields, name, noting(getattr(Fields, name)))
    text, read = FILES[request.param]
    problems = Problems()
    node = compose(f"{request.param}.yaml", text.encode(), problems)
    assert node is not None
    read(node, problems)
    assert [str(problem) for problem in problems if "not run it yet" not in problem.message] == []
    return request.param, found


def test_every_setting_that_is_read_is_in_the_schema_and_no_other(asked: tuple[str, Asked]) -> None:
    file, found = asked
    declared = set(objects({name: value for name, value in SCHEMAS[file]().items() if name != "$defs"}))
    # A reader may ask for a part of what is declared, as `delay` does for `at` and `until`, but for nothing beyond it.
    assert [sorted(each) for each in found.names if not any(each <= other for other in declared)] == []
    read = {other: frozenset().union(*(each for each in found.names if each <= other)) for other in declared}
    assert [sorted(other - each) for other, each in read.items() if other != each] == []


def test_verbs_have_in_the_schema_what_stands_beside_them() -> None:
    assert set(VERBS) == set(TABLE)
    assert {verb: frozenset(beside) for verb, (_, beside) in VERBS.items()} == {name: verb.beside for name, verb in TABLE.items()}


def mappings(schema: Any) -> Iterator[dict[str, Any]]:
    """The properties of every object of a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema["properties"]
        for value in schema.values():
            yield from mappings(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from mappings(value)


def test_the_schema_states_the_defaults_that_the_readers_use(asked: tuple[str, Asked]) -> None:
    file, found = asked
    wrong: list[str] = []
    checked = 0
    for properties in mappings(SCHEMAS[file]()):
        for defaults in found.defaults:
            if not defaults.keys() <= properties.keys() or not defaults:
                continue
            for name, default in defaults.items():
                said = properties[name].get("default")
                if said is not None and properties[name].get("$ref") == "#/$defs/duration":
                    said = parse_duration(said)
                checked += 1
                # A reader's empty text, 0 or None stands for "not written".
                if (said or None) != (default or None) and name not in {"timezone", "consent", "unknown"}:
                    wrong.append(f"{name}: the schema says {said!r}, the reader takes {default!r}")
    assert wrong == []
    assert checked


def validator(file: str = "journey") -> Draft202012Validator:
    schema = SCHEMAS[file]()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def as_json(text: str) -> Any:
    problems = Problems()
    node = compose("x.yaml", text.encode(), problems)
    assert node is not None, list(problems)
    return plain(node)


@pytest.mark.parametrize("path", JOURNEYS, ids=lambda path: path.name)
def test_the_shipped_journeys_fit(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(as_json(path.read_text()))] == []


@pytest.mark.parametrize("file", FILES)
def test_a_file_with_everything_fits(file: str) -> None:
    assert [error.message for error in validator(file).iter_errors(as_json(FILES[file][0]))] == []


@pytest.mark.parametrize("name", ["policy", "streams", "experiments"])
def test_the_shipped_shared_files_fit(name: str) -> None:
    path = ROOT / "topologies" / f"{name}.yaml"
    if path.exists():
        assert [error.message for error in validator(name).iter_errors(as_json(path.read_text()))] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("version: 1", "version: one"),
        ("purpose: p", "purpos: p"),
        ("timeout: 1d,", ""),
        ("timeout: 1d,", "timeout: 1,"),
        ('{at: "09:00"}', '{at: "09:00", until: now}'),
        ("reentry: {after: 1d}", "reentry: sometimes"),
        ("weight: 50}, {", "weight: 500}, {"),
        ("go: t}\n      - {id: s13", "go: t, end: {}}\n      - {id: s13"),
    ],
)
def test_what_is_wrong_does_not_fit(right: str, wrong: str) -> None:
    assert right in EVERYTHING
    assert list(validator().iter_errors(as_json(EVERYTHING.replace(right, wrong, 1))))


def test_the_schema_is_the_same_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == journey_schema()
    for name, schema in SCHEMAS.items():
        assert cli.run(["schema", name]) == 0
        assert json.loads(capsys.readouterr().out) == schema()

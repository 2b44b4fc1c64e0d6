"""The JSON Schema of journeys stays what the readers read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator import cli
from orchestrator.engine.verbs import TABLE
from orchestrator.language.composer import compose
from orchestrator.language.journeys import read_journey
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields
from orchestrator.language.schema import VERBS, journey_schema
from orchestrator.operate.scenarios.values import plain
from tests.house.tree import ROOT

JOURNEYS = sorted(path for path in (ROOT / "topologies" / "journeys").glob("*.yaml") if ".scenario" not in path.name)
# A journey that has every mapping of the language at least once.
EVERYTHING = """
journey: all
version: 1
purpose: p
entry: {on: a, reentry: {after: 1d}}
exit: [{on: a, send: {channel: email, template: t}}]
goals: [{id: g, on: a, within: 1d}]
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


def test_every_setting_that_is_read_is_in_the_schema_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[frozenset[str]] = set()
    close = Fields.close

    def note(fields: Fields) -> None:
        asked.add(frozenset(fields._known))
        close(fields)

    monkeypatch.setattr(Fields, "close", note)
    problems = Problems()
    node = compose("all.yaml", EVERYTHING.encode(), problems)
    assert node is not None
    read_journey(node, problems, TABLE)

    assert [str(problem) for problem in problems if "not run it yet" not in problem.message] == []
    asked -= {frozenset({"s", "t"}), frozenset({"journey.x"})}  # names that authors give
    declared = set(objects(journey_schema()))
    # A reader may ask for a part of what is declared, as `delay` does for `at` and `until`, but for nothing beyond it.
    assert [sorted(each) for each in asked if not any(each <= other for other in declared)] == []
    read = {other: frozenset().union(*(each for each in asked if each <= other)) for other in declared}
    assert [sorted(other - each) for other, each in read.items() if other != each] == []
    assert set(VERBS) == set(TABLE)
    assert {verb: frozenset(beside) for verb, (_, beside) in VERBS.items()} == {name: verb.beside for name, verb in TABLE.items()}


def validator() -> Draft202012Validator:
    schema = journey_schema()
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


def test_a_journey_with_everything_fits() -> None:
    assert [error.message for error in validator().iter_errors(as_json(EVERYTHING))] == []


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

"""The questions of a reviewer: each asked where it is due, and nowhere else."""

from __future__ import annotations

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.checklist import review
from orchestrator.language.composer import compose
from orchestrator.language.journeys import read_journey
from orchestrator.language.model import Topology
from orchestrator.language.problems import Problems

EXIT = "exit: [{on: account.closed}]"
SOUND = """
journey: j
version: 1
purpose: p
urgency: low
entry: {on: began}
exit: [{on: account.closed}]
start: s
states:
  s:
    steps:
      - {id: mail, send: {channel: email, template: t}}
      - {id: answer, hold_until: [{on: done, go: over}], timeout: 1d}
      - {id: case, call: {action: open-case, on_error: over}}
      - {id: stop, end: {}}
  over: {final: true}
"""


def doubts(text: str, *, is_tested: bool = True) -> list[tuple[str, int]]:
    """The code and line of each warning."""
    problems = Problems()
    node = compose("j.yaml", text.encode(), problems)
    assert node is not None
    journey = read_journey(node, problems, TABLE).journey
    assert not problems.has_errors, list(problems)
    review(Topology((journey,)), frozenset({"j"} if is_tested else ()), problems)
    assert {problem.severity for problem in problems} <= {"warning"}
    return [(problem.code, problem.place.line) for problem in problems]


def test_a_sound_journey_raises_no_doubt() -> None:
    assert doubts(SOUND) == []


def test_a_journey_that_no_scenario_names() -> None:
    assert doubts(SOUND, is_tested=False) == [(codes.NO_SCENARIO, 2)]


@pytest.mark.parametrize(
    ("right", "doubtful", "found"),
    [
        ("exit: [{on: account.closed}]", "", (codes.NO_EXIT, 2)),
        ("{id: mail, send: {channel: email, template: t}}", "{id: mail, delay: 1d}", None),
        (", on_error: over", "", (codes.NO_ON_ERROR, 14)),
        (", on_error: over", ", await: false", None),
        ("template: t}", "template: t, urgent: true}", (codes.NOT_URGENT, 12)),
    ],
)
def test_each_doubt_is_told_where_it_stands(right: str, doubtful: str, found: tuple[str, int] | None) -> None:
    assert right in SOUND
    assert doubts(SOUND.replace(right, doubtful, 1)) == ([] if found is None else [found])


def test_urgent_messages_belong_to_urgent_journeys() -> None:
    urgent = SOUND.replace("template: t}", "template: t, urgent: true}")
    assert doubts(urgent.replace("urgency: low", "urgency: high")) == []


def test_a_state_that_waits_and_tells_nobody() -> None:
    silent = SOUND.replace("send: {channel: email, template: t}", "delay: 1d").replace(
        "call: {action: open-case, on_error: over}", "delay: 1d"
    )
    assert doubts(silent) == [(codes.SILENT_WAIT, 13)]

"""The picture of a journey: well-formed, everything in it once, every text in its room, nothing that a browser would run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.language.composer import compose
from orchestrator.language.journeys import read_journey
from orchestrator.language.model import Journey
from orchestrator.language.problems import Problems
from orchestrator.operate.diagram.svg import svg
from tests.house.tree import ROOT, name_of

SVG = "{http://www.w3.org/2000/svg}"
SHIPPED = [
    pytest.param(path, id=name_of(path))
    for path in sorted((ROOT / "topologies" / "journeys").glob("*.yaml"))
    if not path.stem.endswith(".scenario")
]
AROUND = """
journey: round
version: 3
purpose: p
title: A <script>alert(1)</script> & "more"
entry: {on: [a.b, c]}
exit: [{on: closed, outcome: gone}]
start: first
states:
  first:
    on: [{event: paid, go: second}, {event: again, go: first}]
    steps:
      - {id: wait, hold_until: [{on: x, go: second}, {on: y, go: first}], timeout: 1d, on_timeout: second}
  second:
    rest: true
    on: [{event: back, go: first}]
  never: {final: true, outcome: done}
"""


def journey_of(text: str) -> Journey:
    problems = Problems()
    node = compose("j.yaml", text.encode(), problems)
    assert node is not None
    journey = read_journey(node, problems, TABLE).journey
    assert not problems.has_errors
    return journey


def texts(picture: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]


@pytest.mark.parametrize("path", SHIPPED)
def test_a_shipped_journey_has_every_state_and_step_once(path: Path) -> None:
    journey = journey_of(path.read_text(encoding="utf-8"))
    told = texts(svg(journey))
    steps = [f"{step.verb} {step.id}" for step in journey.steps]

    assert [name for name in journey.states if told.count(name) != 1] == []
    assert [step for step in steps if told.count(step) != 1] == []
    assert told[0] == journey.title


def test_ways_between_two_states_share_a_line_and_ways_to_oneself_stand_in_the_box() -> None:
    journey = journey_of(AROUND.replace("  never: {final: true, outcome: done}\n", ""))
    told = texts(svg(journey))

    assert told[0] == 'A <script>alert(1)</script> & "more"'
    assert told[-1] == "ends at once on closed (gone)"
    assert [told.count(each) for each in ("a.b", "c", "paid", "wait", "back")] == [1, 1, 1, 1, 1]
    assert {"again on again", "again on wait", "rests"} <= {each.strip() for each in told}


def test_it_holds_nothing_that_runs_or_loads() -> None:
    root = ElementTree.fromstring(svg(journey_of(AROUND.replace("  never: {final: true, outcome: done}\n", ""))))

    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg",
        "style",
        "rect",
        "text",
        "tspan",
        "g",
        "path",
        "circle",
    }
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on") or "href" in name]


def test_everything_lies_within_the_picture() -> None:
    root = ElementTree.fromstring(svg(journey_of((ROOT / "topologies" / "journeys" / "onboarding.yaml").read_text())))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    group = root.find(f"{SVG}g")
    assert group is not None
    left, top = (float(each) for each in group.get("transform", "")[len("translate(") : -1].split())
    for box in group.iter(f"{SVG}rect"):
        x, y = float(box.get("x", 0)) + left, float(box.get("y", 0)) + top
        assert 0 <= x <= x + float(box.get("width", 0)) <= width
        assert 0 <= y <= y + float(box.get("height", 0)) <= height


@pytest.mark.parametrize("letters", ["m" * 64, "i" * 64])
def test_a_box_is_as_wide_as_its_longest_text(letters: str) -> None:
    root = ElementTree.fromstring(
        svg(journey_of(AROUND.replace("  never: {final: true, outcome: done}\n", "").replace("first", letters)))
    )
    widest = max(float(box.get("width", 0)) for box in root.findall(f"{SVG}g/{SVG}rect"))

    assert widest > 64 * 14 * (0.9 if letters[0] == "m" else 0.3)

"""Every scenario of the repository holds: one for each rule that works here, and those beside the shipped journeys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.operate.scenarios.batch import Runner, find
from tests.house.tree import ROOT, name_of

FOLDERS = (ROOT / "tests" / "scenarios", ROOT / "topologies")
FILES = [pytest.param(path, id=name_of(path)) for path in find(FOLDERS)]
OF_RULES = [pytest.param(path, id=path.name) for path in find([FOLDERS[0]])]
RUNNER = Runner()


@pytest.mark.parametrize("path", FILES)
def test_the_scenario_holds(path: Path) -> None:
    result = RUNNER.run(path)

    assert result is not None
    assert result.status == "passed", "\n".join([*result.problems, *(line for each in result.failures for line in each.lines)])


@pytest.mark.parametrize("path", OF_RULES)
def test_a_scenario_of_a_rule_names_it_in_its_file_and_in_its_first_line(path: Path) -> None:
    rule = path.name.split("_")[0].upper()

    assert re.fullmatch(r"[A-Z][0-9]+", rule)
    assert path.read_text(encoding="utf-8").startswith((f"scenario: {rule} ", f'scenario: "{rule} '))


def test_every_shipped_journey_has_a_scenario_beside_it() -> None:
    journeys = [path.stem for path in (FOLDERS[1] / "journeys").glob("*.yaml") if not path.stem.endswith(".scenario")]
    named = [path.name for path in find([FOLDERS[1]])]

    assert [journey for journey in journeys if not any(name.startswith(journey) for name in named)] == []

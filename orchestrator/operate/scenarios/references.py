"""Names in a scenario that its topology must have: journeys, states and steps that could otherwise never be seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator.language import codes
from orchestrator.language.model import Journey, Place, Topology
from orchestrator.language.problems import Problems
from orchestrator.operate.scenarios.scenario import Expected, GivenOutcome, Scenario

EXIT: Final = "exit:"


def check_references(scenario: Scenario, topology: Topology, problems: Problems) -> None:
    """Report every name that the topology does not have."""
    journeys = {journey.id: journey for journey in topology.journeys}
    steps = {step.id for journey in topology.journeys for state in journey.states.values() for step in state.steps}
    for given in scenario.given:
        if isinstance(given, GivenOutcome):
            _check(given.of, steps, "step", codes.UNKNOWN_STEP, given.of_place, problems)
    expect = scenario.expect
    _check_expected((*(expect.actions or ()), *(expect.cancels or ()), *expect.decisions), journeys, steps, problems)
    for each in expect.states:
        if _check(each.journey, journeys, "journey", codes.UNKNOWN_JOURNEY, each.place, problems) and each.state is not None:
            _check(each.state, journeys[each.journey].states, "state", codes.UNKNOWN_STATE, each.place, problems)


def _check_expected(listed: Iterable[Expected], journeys: dict[str, Journey], steps: set[str], problems: Problems) -> None:
    for each in listed:
        step, journey = each.fields.get("step"), each.fields.get("journey")
        if isinstance(journey, str):
            _check(journey, journeys, "journey", codes.UNKNOWN_JOURNEY, each.place, problems)
        if isinstance(step, str):
            _check(step, steps, "step", codes.UNKNOWN_STEP, each.place, problems)


def _check(name: str, known: Iterable[str], what: str, code: str, place: Place, problems: Problems) -> bool:
    known = list(known)
    if name in known or (what == "step" and name.startswith(EXIT)):
        return True
    problems.error(place, code, f"no journey of this scenario has the {what} {name!r}", word=name, known=known)
    return False


def experiments(topology: Topology) -> dict[tuple[str, str], str]:
    """Give the experiment of each step that has one, by journey and step."""
    return {
        (journey.id, step.id): step.settings.experiment
        for journey in topology.journeys
        for state in journey.states.values()
        for step in state.steps
        if step.verb == "randomize"
    }

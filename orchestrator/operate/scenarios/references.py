"""Names in a scenario that its topology must have: journeys, states and steps that could otherwise never be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from orchestrator.language import codes
from orchestrator.language.model import Journey, Place, Step
from orchestrator.language.problems import Problems
from orchestrator.operate.scenarios.scenario import Expected, GivenOutcome, GivenPause, GivenRedrive, Scenario

EXIT: Final = "exit:"


def check_references(scenario: Scenario, journeys: Sequence[Journey], problems: Problems) -> None:
    """Report every name that no version of a journey has."""
    steps = {step.id for journey in journeys for step in journey.steps}
    states: dict[str, dict[str, None]] = {}
    for journey in journeys:
        states.setdefault(journey.id, {}).update(dict.fromkeys(journey.states))
    paused: set[str] = set()
    for given in scenario.given:
        if isinstance(given, GivenPause):
            _check_pause(given, states, paused, problems)
        elif isinstance(given, GivenOutcome):
            _check(given.of, steps, "step", codes.UNKNOWN_STEP, given.of_place, problems)
        elif isinstance(given, GivenRedrive):
            _check(given.step, steps, "step", codes.UNKNOWN_STEP, given.step_place, problems)
            if given.journey:
                _check(given.journey, states, "journey", codes.UNKNOWN_JOURNEY, given.place, problems)
    expect = scenario.expect
    listed = (*(expect.actions or ()), *(expect.cancels or ()), *expect.decisions, *(expect.incidents or ()))
    _check_expected(listed, states, steps, problems)
    for each in expect.states:
        if _check(each.journey, states, "journey", codes.UNKNOWN_JOURNEY, each.place, problems) and each.state is not None:
            _check(each.state, states[each.journey], "state", codes.UNKNOWN_STATE, each.place, problems)
    _check_shares(scenario, journeys, problems)


def _check_pause(given: GivenPause, journeys: Iterable[str], paused: set[str], problems: Problems) -> None:
    """Report a pause of nothing, and one that changes nothing: its author meant another journey, or another order."""
    if not _check(given.journey, journeys, "journey", codes.UNKNOWN_JOURNEY, given.journey_place, problems):
        return
    if (given.journey in paused) != given.is_resume:
        how = "is not paused by an entry before this" if given.is_resume else "is paused by an entry before this already"
        problems.error(given.journey_place, codes.CONFLICT, f"`{given.word}` changes nothing: {given.journey!r} {how}")
    paused ^= {given.journey}


def _check_shares(scenario: Scenario, journeys: Sequence[Journey], problems: Problems) -> None:
    arms: dict[str, dict[str, None]] = {}
    for step in _randomized(journeys):
        arms.setdefault(step.settings.experiment, {}).update(dict.fromkeys(arm.name for arm in step.settings.arms))
    for share in scenario.expect.shares:
        if _check(share.experiment, arms, "experiment", codes.BAD_CHOICE, share.place, problems):
            _check(share.arm, arms[share.experiment], "arm", codes.BAD_CHOICE, share.place, problems)


def _check_expected(listed: Iterable[Expected], journeys: Iterable[str], steps: set[str], problems: Problems) -> None:
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
    whose = "this scenario has no" if what == "journey" else "no journey of this scenario has the"
    problems.error(place, code, f"{whose} {what} {name!r}", word=name, known=known)
    return False


def experiments(journeys: Iterable[Journey]) -> dict[tuple[str, str], str]:
    """Give the experiment of each step that has one, by journey and step."""
    return {(journey.id, step.id): step.settings.experiment for journey in journeys for step in _randomized((journey,))}


def _randomized(journeys: Iterable[Journey]) -> Iterator[Step]:
    for journey in journeys:
        yield from (step for step in journey.steps if step.verb == "randomize")

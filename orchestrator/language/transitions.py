"""What leads from one state of a journey to another, as diagrams show it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.language.model import Journey, State
from orchestrator.language.verb import VerbTable


class Transition(Struct, frozen=True):
    """A way out of a state. `target` "" for an end that is no state; `label` is an event type, a step or an outcome."""

    source: str
    target: str
    label: str


def transitions(journey: Journey, verbs: VerbTable) -> list[Transition]:
    """Give every way once, in the order in which it is written."""
    return list(dict.fromkeys(way for state in journey.states.values() for way in _ways(state, verbs)))


def exits(journey: Journey) -> str:
    """Give what ends the journey at once, on one line; "" for nothing."""
    told = [f"{' or '.join(rule.on)}{f' ({rule.outcome})' if rule.outcome else ''}" for rule in journey.exits]
    return f"ends at once on {', '.join(told)}" if told else ""


def _ways(state: State, verbs: VerbTable) -> Iterator[Transition]:
    for handler in state.handlers:
        yield Transition(state.name, handler.go, handler.event)
    for step in state.steps:
        for target in verbs[step.verb].targets(step):
            yield Transition(state.name, target.state, step.id)
        if step.verb == "end":
            yield Transition(state.name, "", step.settings.outcome or step.id)
    if state.final:
        yield Transition(state.name, "", state.outcome)

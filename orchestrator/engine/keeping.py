"""What journeys and policy need to have kept of past events: for look-backs (rule W2) and for `count_within` (rule G2)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from orchestrator.engine.verbs import TABLE
from orchestrator.language.counts import counted
from orchestrator.language.model import Expr, Journey, Milliseconds, Policy, Step, expressions_in
from orchestrator.language.verb import SINCE_ENTRY


class Keep(Struct, frozen=True):
    """What is kept of one event type: times for `count_ms`, whole events for `span_ms` and while these journeys are active."""

    count_ms: Milliseconds = 0
    span_ms: Milliseconds = 0
    journeys: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether whole events are kept, not only when they were."""
        return self.span_ms > 0 or bool(self.journeys)


def keeps(journeys: Iterable[Journey], policy: Policy) -> dict[str, Keep]:
    """Give what to keep, by event type. `journeys` are all versions that have instances."""
    found: dict[str, Keep] = {}
    for journey in journeys:
        for event_type, span_ms in _spans(journey):
            known = found.get(event_type, Keep())
            if span_ms == SINCE_ENTRY:
                found[event_type] = Keep(known.count_ms, known.span_ms, known.journeys | {journey.id})
            else:
                found[event_type] = Keep(known.count_ms, max(known.span_ms, span_ms), known.journeys)
        _add_counts(found, expressions_in(journey))
    _add_counts(found, expressions_in(policy))
    return found


def _spans(journey: Journey) -> list[tuple[str, Milliseconds]]:
    steps: list[Step] = [step for state in journey.states.values() for step in state.steps]
    return [(back.event_type, back.span_ms) for step in steps for back in TABLE[step.verb].looks_back(step)]


def _add_counts(found: dict[str, Keep], expressions: Iterable[Expr]) -> None:
    for expr in expressions:
        for event_type, span_ms in counted(expr.source):
            known = found.get(event_type, Keep())
            found[event_type] = Keep(max(known.count_ms, span_ms), known.span_ms, known.journeys)

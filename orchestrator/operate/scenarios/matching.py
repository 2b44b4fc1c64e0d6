"""Whether what was seen has the fields that were expected: subset by subset, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.engine.handling import Action, Decision
from orchestrator.engine.outputs import Incident
from orchestrator.operate.scenarios.playing import Moment
from orchestrator.operate.scenarios.scenario import Span


class Fact(Struct, frozen=True, eq=False):
    """An action, decision or incident that was seen, flat, under the names that a scenario uses. Compared by identity."""

    moment: Moment
    source: Action | Decision | Incident
    fields: Mapping[str, Any]

    @property
    def customer(self) -> str:
        """Whose it is."""
        return self.moment.customer

    @property
    def at(self) -> int:
        """When it happened, ms UTC."""
        at: int = self.fields["at"]
        return at


def action_fact(moment: Moment, action: Action) -> Fact:
    """Give an action; `at` is when it was made."""
    fields = action.fields()
    return Fact(moment, action, {"at": fields.pop("created_at"), **fields})


def decision_fact(moment: Moment, decision: Decision) -> Fact:
    """Give a decision with what it has from its handling."""
    handling = moment.handling
    head = {"at": handling.at, "customer": handling.customer, "event": handling.event, "event_id": handling.event_id}
    return Fact(moment, decision, head | decision.fields())


def incident_fact(moment: Moment, incident: Incident) -> Fact:
    """Give an incident with its customer and time."""
    head = {"at": moment.at, "customer": moment.customer}
    return Fact(moment, incident, head | {name: getattr(incident, name) for name in incident.__struct_fields__})


def differing(expected: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Give the names whose values differ, in the order in which they were expected."""
    return [name for name, value in expected.items() if not _is_like(value, seen.get(name))]


def _is_like(expected: Any, seen: Any) -> bool:
    if isinstance(expected, Span):
        return isinstance(seen, int) and expected.first <= seen <= expected.last
    if isinstance(seen, Struct):
        seen = msgspec.to_builtins(seen)
    if isinstance(expected, Mapping):
        return isinstance(seen, Mapping) and all(_is_like(value, seen.get(name)) for name, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(seen, list | tuple)
            and len(expected) == len(seen)
            and all(_is_like(one, other) for one, other in zip(expected, seen, strict=True))
        )
    if isinstance(expected, bool) or isinstance(seen, bool):
        return expected is seen
    # Details of a decision are text; a number in a scenario means the same.
    return bool(expected == seen) or (isinstance(expected, int) and isinstance(seen, str) and str(expected) == seen)

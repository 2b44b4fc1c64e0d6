"""What a customer waits for: from the document for now, from the decision log for an earlier instant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.engine.portrait import instant
from orchestrator.engine.verbs import TABLE
from orchestrator.language.model import Journey, Topology
from orchestrator.names import Kind

_OVER: Final = frozenset({Kind.ENDED, Kind.EXITED, Kind.EXPIRED, Kind.MERGED, Kind.ERASED})
_BEGAN: Final = frozenset({Kind.HOLD_STARTED, Kind.DELAY_STARTED})


class Wait(Struct, frozen=True):
    """Where an instance stands. `events` move it, those of `exits` end it; `until` is text, "" where time does not move it.

    `stands_since` is from when its clock stands in a pause of its journey, as text, "" while it runs.
    """

    journey: str
    version: int
    state: str
    step: str = ""
    verb: str = ""
    events: tuple[str, ...] = ()
    until: str = ""
    exits: tuple[str, ...] = ()
    parked: str = ""
    is_held_out: bool = False
    stands_since: str = ""

    @property
    def change(self) -> str:
        """What would have to happen for the instance to go on."""
        if self.parked:
            return "correct what made it fail, then redrive it; an exit ends it"
        time = [f"the time to be {self.until}"] if self.until else []
        if self.stands_since:
            time = [f"{self.journey} to be resumed and the rest of the time: its clock stands since {self.stands_since}"]
        what = [*self.events, *time]
        return " or ".join(what) if what else "nothing but an exit"


def waits_now(document: Mapping[str, Any] | None, topology: Topology, journey: str = "") -> list[Wait]:
    """Give where the instances of a document stand, which is as `portrait` gives it."""
    found = []
    for each in (document or {}).get("instances", ()):
        if journey in ("", each["journey"]):
            found.append(_wait(each, topology))
    return found


def waits_at(handlings: Iterable[Mapping[str, Any]], topology: Topology, at: int, journey: str = "") -> list[Wait]:
    """Give where instances stood at an instant (ms UTC), as the decisions up to then tell."""
    standing: dict[str, dict[str, Any]] = {}
    for handling in handlings:
        if handling["at"] > at:
            break
        for decision in handling["decisions"]:
            _follow(standing, decision)
    return [_wait(each, topology) for each in standing.values() if journey in ("", each["journey"])]


def _follow(standing: dict[str, dict[str, Any]], decision: Mapping[str, Any]) -> None:
    instance, kind = decision["instance"], decision["kind"]
    if not instance:
        return
    if kind in _OVER:
        standing.pop(instance, None)
    elif kind == Kind.ENTERED:
        standing[instance] = {"journey": decision["journey"], "version": decision["version"], "state": decision["state"] or ""}
    elif instance in standing:
        now = standing[instance]
        if kind == Kind.TAKEN_OVER:
            now |= {"version": decision["version"], "step": "", "due": ""}
        elif kind == Kind.STATE_ENTERED:
            now |= {"state": decision["state"] or "", "step": "", "due": ""}
        elif kind in _BEGAN:
            deadline = (decision["detail"] or {}).get("deadline")
            now |= {"step": decision["step"] or "", "due": instant(int(deadline)) if deadline else ""}
        elif kind in (Kind.HOLD_RESOLVED, Kind.DELAY_ENDED):
            now |= {"step": "", "due": ""}


def _wait(instance: Mapping[str, Any], topology: Topology) -> Wait:
    name, version = instance["journey"], instance["version"]
    state, step = instance.get("state") or "", instance.get("step") or ""
    known = next((each for each in (*topology.journeys, *topology.earlier) if (each.id, each.version) == (name, version)), None)
    verb, events, exits = _heard(known, state, step) if known is not None else ("", (), ())
    return Wait(
        name, version, state, step, verb, events, instance.get("due") or "", exits,
        instance.get("parked") or "", bool(instance.get("held_out")),
        instance.get("clock_stands_since") or "",
    )  # fmt: skip


def _heard(journey: Journey, state: str, step: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Give the verb of a step, the event types that move an instance there, and those that end it."""
    at_step = next((each for each in journey.steps if each.id == step), None)
    events = {handler.event for handler in journey.states[state].handlers} if state in journey.states else set()
    if at_step is not None:
        events |= TABLE[at_step.verb].listens(at_step)
    exits = {event for each in journey.exits for event in each.on}
    return at_step.verb if at_step is not None else "", tuple(sorted(events)), tuple(sorted(exits))

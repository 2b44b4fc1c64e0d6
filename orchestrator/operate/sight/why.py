"""Why something happened to a customer, or did not: each entry and send that was decided, and what the customer waits for now.

The decision log says what and by which rule; the journey's file has the expression; the record that was handled has the values of
`event` that it saw. What it saw of `profile` and `journey` is in no log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.portrait import MASK, instant
from orchestrator.language.model import Journey, Topology
from orchestrator.language.references import references
from orchestrator.names import Kind
from orchestrator.operate.runbook import REFUSALS, SUPPRESSIONS
from orchestrator.operate.sight.changes import entry_change, send_change
from orchestrator.operate.sight.customer_log import Place

# What is told of: entries, sends, and how it ended. The steps between are in the decision log.
TOLD: Final = frozenset(
    {
        Kind.ENTERED, Kind.ENTRY_REFUSED, Kind.HOLD_RESOLVED, Kind.ACTION_EMITTED, Kind.ACTION_SUPPRESSED, Kind.ACTION_HELD,
        Kind.ACTION_RELEASED, Kind.ACTION_CANCELLED, Kind.OUTCOME_RECEIVED, Kind.CALL_FAILED, Kind.RETRY_SCHEDULED,
        Kind.CONDITION_ERROR, Kind.TAKEN_OVER, Kind.EXITED, Kind.ENDED, Kind.EXPIRED, Kind.MERGED, Kind.ERASED,
    }
)  # fmt: skip
HELD: Final = {
    "quiet_hours": "It is a quiet hour of the channel where the customer lives.",
    "cap": "The customer has had as many messages as a cap of policy.yaml allows.",
    "rate": "The channel's `rate` is used up; sends go in their order.",
    "paused": "The journey is paused.",
}
_ENTRY_KINDS: Final = frozenset({Kind.ENTERED, Kind.ENTRY_REFUSED})
_ASKED: Final = frozenset({"condition", ""})  # reasons of an entry's decision that come after its condition was asked
VALUES_OF: Final = 20  # of so many decisions, the newest, the handled record is looked up


class Told(Struct, frozen=True):
    """One decision as it is told; `values` are those of `event` that the expression reads."""

    at: str
    kind: str
    journey: str = ""
    version: int = 0
    step: str = ""
    channel: str = ""
    reason: str = ""
    outcome: str = ""
    event: str = ""
    meaning: str = ""
    expression: str = ""
    values: dict[str, Any] = {}
    note: str = ""
    change: str = ""


class Question(Struct, frozen=True):
    """What is asked: of one journey or of all, up to an instant in ms UTC, at most so many decisions."""

    journey: str = ""
    until: int = 1 << 62
    last: int = 30
    reveal: bool = False


def chosen(handlings: Iterable[Mapping[str, Any]], question: Question) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Give the (handling, decision) pairs to tell of, oldest first."""
    pairs = [
        (handling, decision)
        for handling in handlings
        if handling["at"] <= question.until
        for decision in handling["decisions"]
        if decision["kind"] in TOLD and question.journey in ("", decision["journey"])
    ]
    return pairs[-question.last :] if question.last else []


def places(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], topology: Topology) -> list[Place]:
    """Give where the records stand whose values the decisions saw."""
    found = [place_of(handling) for handling, decision in pairs if expression_of(decision, topology)]
    return [place for place in found if place is not None][-VALUES_OF:]


def place_of(handling: Mapping[str, Any]) -> Place | None:
    """Give where a handling's record stands, None for timers."""
    source = handling["source"]
    return None if source is None else Place(source["topic"], source["partition"], source["offset"])


def expression_of(decision: Mapping[str, Any], topology: Topology) -> str:
    """Give the expression that a decision went by, "" where none is known."""
    detail = decision["detail"] or {}
    if detail.get("expression"):
        return str(detail["expression"])
    journey = journey_of(decision, topology)
    if journey is None or journey.entry.when is None or decision["kind"] not in _ENTRY_KINDS:
        return ""
    # An instance that another journey started asked no condition, and stands with no reason either; it is rare and harmless.
    return journey.entry.when.source if (decision["reason"] or "") in _ASKED else ""


def journey_of(decision: Mapping[str, Any], topology: Topology) -> Journey | None:
    """Give the version of the journey that a decision is about, as it is written here."""
    known = (*topology.journeys, *topology.earlier)
    return next((each for each in known if (each.id, each.version) == (decision["journey"], decision["version"])), None)


def told(
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    topology: Topology,
    payloads: Mapping[Place, Mapping[str, Any]],
    question: Question,
) -> list[Told]:
    """Tell of the decisions; `payloads` are the handled records' by their place."""
    latest = {decision["journey"]: index for index, (_, decision) in enumerate(pairs)}
    found = []
    for index, (handling, decision) in enumerate(pairs):
        one = _told(handling, decision, topology, payloads, question)
        # What would have to change is asked of now, so of the last word about a journey, and of what was refused.
        is_asked = decision["kind"] in (Kind.ENTRY_REFUSED, Kind.ACTION_SUPPRESSED) or latest[decision["journey"]] == index
        found.append(one if is_asked else replace(one, change=""))
    return found


def _told(
    handling: Mapping[str, Any],
    decision: Mapping[str, Any],
    topology: Topology,
    payloads: Mapping[Place, Mapping[str, Any]],
    question: Question,
) -> Told:
    words = {name: decision[name] or "" for name in ("journey", "step", "channel", "reason", "outcome")}
    kind, detail = decision["kind"], decision["detail"] or {}
    expression = expression_of(decision, topology)
    values, note = _values(expression, handling, payloads, reveal=question.reveal)
    journey = journey_of(decision, topology)
    if kind == Kind.ENTRY_REFUSED:
        meaning, change = REFUSALS.get(words["reason"], ""), entry_change(words["reason"], journey, handling["at"])
    elif kind == Kind.ACTION_SUPPRESSED:
        meaning = SUPPRESSIONS.get(words["reason"], "")
        change = send_change(words["reason"], words["channel"], detail, topology)
    else:
        meaning, change = HELD.get(words["reason"], "") if kind == Kind.ACTION_HELD else "", ""
        note = note or _until(detail)
    return Told(
        at=instant(handling["at"]) or "", kind=kind, version=decision["version"], event=handling["event"] or "",
        meaning=meaning, expression=expression, values=values, note=note, change=change, **words,
    )  # fmt: skip


def _until(detail: Mapping[str, str]) -> str:
    return f"until {instant(int(detail['deadline']))}" if "deadline" in detail else ""


def _values(
    expression: str, handling: Mapping[str, Any], payloads: Mapping[Place, Mapping[str, Any]], *, reveal: bool
) -> tuple[dict[str, Any], str]:
    """Give the values of `event` that an expression reads, and what is to be said where they are not known."""
    paths = {path.parts for path in references(expression).paths if path.root == "event" and path.parts} if expression else set()
    if not paths:
        return {}, ""
    place = place_of(handling)
    if place is None:
        return {}, ""
    payload = payloads.get(place)
    if payload is None:
        return {}, "the event is no longer in its topic, or further back than is looked up"
    found = {".".join(("event", *parts)): _at(payload, parts) for parts in sorted(paths)}
    return {name: value if reveal or value is None else MASK for name, value in found.items()}, ""


def _at(payload: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        payload = payload.get(part) if isinstance(payload, Mapping) else None
    return payload

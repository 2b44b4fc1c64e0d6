"""Entry: which instances a record starts, and why others are refused (rules E1-E5, I1; rulings A10, A31-A40, A106)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from orchestrator.engine import goals, identity, memory
from orchestrator.engine.document import Instance, Marker
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import HASH_BYTES, event_hash
from orchestrator.engine.outputs import Incident
from orchestrator.engine.values import key_text, marker_name, storable
from orchestrator.engine.walk import Walk
from orchestrator.language.expressions import UNKNOWN
from orchestrator.names import Kind, Reason

if TYPE_CHECKING:
    from orchestrator.engine.program import JourneyProgram
    from orchestrator.engine.turn import Turn

USES: Final = 64  # entry event ids remembered for a journey and key; the oldest is forgotten first


def consider(turn: Turn, journey: JourneyProgram) -> None:
    """Start an instance of `journey` for the record at hand, or log the first reason why not (ruling A31)."""
    record = turn.record
    if record is None:
        return
    max_age = journey.entry.max_age_ms
    if max_age is not None and turn.clock - record.time > max_age:
        refuse(turn, journey, "too_old")
        return
    if journey.when is not None and not _condition_holds(turn, journey):
        refuse(turn, journey, "condition")
        return
    key = ""
    if journey.key is not None:
        key = _key(turn, journey)
        if not key:
            return
    if not _is_refused(turn, journey, key):
        position = "" if record.event_id else f"{record.topic}-{record.partition}-{record.offset}"
        admit(turn, journey, key, Origin(record.event_id, position, turn.hashed))


def _key(turn: Turn, journey: JourneyProgram) -> str:
    """Give the record's key; without one, "" and an incident (rule E4)."""
    key = turn.key_of(journey)
    if not key:
        message = "the event has no value for the journey's key" if key == "" else "the journey's key is not text or a number"
        turn.handling.incidents.append(Incident(Reason.KEY_MISSING, message, journey.id, journey.version))
    return key or ""


def refuse(turn: Turn, journey: JourneyProgram, reason: str, key: str = "") -> None:
    """Log that a record did not start an instance."""
    turn.handling.decisions.append(
        Decision(Kind.ENTRY_REFUSED, journey=journey.id, version=journey.version, key=key, reason=reason)
    )


def start_asked(turn: Turn) -> None:
    """Start the journeys that steps asked for, in that order, or log why not (ruling A100).

    All that rule E1 asks is asked, but for type and condition. What a started journey starts follows; validate has refused
    circles.
    """
    while turn.starts:
        start = turn.starts.pop(0)
        journey = turn.program.live.get(start.journey)
        if journey is None:
            continue
        turn.at_work = None
        max_age = journey.entry.max_age_ms
        if max_age is not None and turn.clock - turn.now > max_age:
            refuse(turn, journey, "too_old")
            continue
        key = ""
        if journey.key is not None:
            key = key_text(journey.key.evaluate(turn.scope(start.context, start.context))) or ""
            if not key:
                message = "`data` of the step that starts the journey gives no value for its key"
                turn.handling.incidents.append(Incident(Reason.KEY_MISSING, message, journey.id, journey.version))
                continue
        if not _is_refused(turn, journey, key):
            admit(turn, journey, key, Origin(start.action_id, "", event_hash(start.action_id), start.context))


def _is_refused(turn: Turn, journey: JourneyProgram, key: str) -> bool:
    for reason, stands_against in journey.refusals:
        if stands_against(turn, journey, key):
            refuse(turn, journey, reason, key)
            return True
    return False


class Origin:
    """What started an instance. `position` stands for the event id of a record without one; `context` is that of a `start`."""

    __slots__ = ("context", "event_id", "hashed", "position")

    def __init__(self, event_id: str, position: str, hashed: bytes, context: dict[str, Any] | None = None) -> None:
        self.event_id = event_id
        self.position = position
        self.hashed = hashed
        self.context = context


def admit(turn: Turn, journey: JourneyProgram, key: str, origin: Origin) -> None:
    """Start an instance."""
    name = marker_name(journey.id, key)
    marker = turn.document.markers.get(name)
    if marker is None:
        marker = turn.document.markers[name] = Marker()
    use = _note_use(marker, origin.hashed) if origin.event_id else 1
    raw = identity.instance_id(journey.id, turn.customer, key, origin.event_id or origin.position, use)
    instance = Instance(raw, journey.id, journey.version, key, turn.now)
    if turn.document.memory is not None:
        instance.since = memory.mark(turn)
    if journey.goals:
        goals.watch(turn, journey, instance)
    marker.entered = turn.now
    if journey.lifetime_ms is not None:
        instance.expires = turn.now + journey.lifetime_ms
    if turn.document.instances:
        insort(turn.document.instances, instance, key=_age)
    else:
        turn.document.instances.append(instance)
    turn.at_work = instance
    walk = Walk(turn, instance, journey)
    walk.log(Kind.ENTERED)
    if origin.context is not None:
        walk.write_context(origin.context)
    elif journey.context:
        found = walk.values(journey.context, "")
        walk.write_context({name: storable(value) for name, value in found.items()})
    walk.go(journey.start)


def _age(instance: Instance) -> tuple[int, bytes]:
    return instance.started, instance.id


def _note_use(marker: Marker, hashed: bytes) -> int:
    """Remember that an event id entered; give the how-manyth time it is, from 1 (ruling A10)."""
    known = marker.entered_by
    earlier = sum(known[at : at + HASH_BYTES] == hashed for at in range(0, len(known), HASH_BYTES)) if hashed in known else 0
    marker.entered_by = known + hashed if len(known) < USES * HASH_BYTES else known[HASH_BYTES:] + hashed
    return earlier + 1


def _condition_holds(turn: Turn, journey: JourneyProgram) -> bool:
    if journey.when is None:
        return True
    value = turn.evaluate(journey.when)
    if value is UNKNOWN or not isinstance(value, bool):
        detail = {"expression": journey.when.source}
        turn.handling.decisions.append(Decision(Kind.CONDITION_ERROR, journey=journey.id, version=journey.version, detail=detail))
        return False
    return value


def _lacks_consent(turn: Turn, journey: JourneyProgram, key: str) -> bool:
    """Rule C2: some channel of the journey must be allowed for its purpose."""
    judge, consents = turn.program.consent.judge, turn.document.consents
    return all(judge(consents, channel, journey.purpose, turn.now) is None for channel in journey.entry_channels)


def _is_active(turn: Turn, journey: JourneyProgram, key: str) -> bool:
    for instance in turn.document.instances:  # noqa: SIM110 - any() over a generator costs three times as much on the hot path
        if instance.journey == journey.id and instance.key == key:
            return True
    return False


def _may_not_reenter(turn: Turn, journey: JourneyProgram, key: str) -> bool:
    """Rule E2; `since: exit` counts from every end (ruling A34)."""
    rule = journey.entry.reentry
    marker = turn.document.markers.get(marker_name(journey.id, key))
    if marker is None:
        return False
    since = marker.entered if rule.since == "entry" else marker.ended
    return rule.kind == "never" or turn.now < since + rule.after_ms


def _is_full(turn: Turn, journey: JourneyProgram, key: str) -> bool:
    return len(turn.document.instances) >= turn.program.limits.instances_per_customer


def _excludes(turn: Turn, journey: JourneyProgram, key: str) -> bool:
    """Rule Q2: refuse next to an active instance of another journey of a group; `preempt` ends those of lower priority.

    Equal priority refuses (ruling A41), and nothing is ended unless everything in the way can be.
    """
    in_the_way: dict[bytes, tuple[Instance, JourneyProgram]] = {}
    for group in journey.exclusive:
        for instance in turn.document.instances:
            if instance.journey == journey.id or instance.journey not in group.journeys:
                continue
            other = turn.program.journeys.get((instance.journey, instance.version))
            if group.on_conflict == "refuse" or other is None or other.priority >= journey.priority:
                return True
            in_the_way[instance.id] = (instance, other)
    for instance, other in in_the_way.values():
        turn.at_work = instance
        Walk(turn, instance, other).end(Kind.EXITED, reason="preempted")
    return False


Refusal = tuple[str, Callable[["Turn", "JourneyProgram", str], bool]]


def refusals(journey: JourneyProgram) -> tuple[Refusal, ...]:
    """Give what can keep a record from entering a journey, in the order in which it is logged (ruling A31).

    too_old and condition come before these; `exclusive` is last, because it makes room where it can. What a journey never asks is
    left out.
    """
    asked: tuple[tuple[bool, Refusal], ...] = (
        (bool(journey.entry_channels), ("consent", _lacks_consent)),
        (True, ("already_active", _is_active)),
        (journey.entry.reentry.kind != "always", ("reentry", _may_not_reenter)),
        (True, ("limit", _is_full)),
        (bool(journey.exclusive), ("exclusive", _excludes)),
    )
    return tuple(refusal for is_asked, refusal in asked if is_asked)

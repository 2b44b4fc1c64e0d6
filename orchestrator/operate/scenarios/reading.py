"""From the bytes of a scenario file to a Scenario; everything that is wrong at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.language import codes
from orchestrator.language.composer import compose
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, described
from orchestrator.operate.scenarios.expecting import read_expectations
from orchestrator.operate.scenarios.scenario import (
    Expectations,
    Given,
    GivenEvent,
    GivenOutcome,
    GivenPause,
    GivenPublish,
    GivenRaw,
    GivenRedrive,
    Scenario,
)
from orchestrator.operate.scenarios.values import plain, read_time
from orchestrator.wire.normalise import epoch_ms

STATUSES: Final = ("succeeded", "failed", "delivered", "bounced", "cancelled")
MOST_CUSTOMERS: Final = 100_000


def read_scenario(path: str, content: bytes, problems: Problems) -> Scenario | None:
    """Read one file; None where anything in it is wrong."""
    root = compose(path, content, problems)
    if root is None:
        return None
    fields = Fields(root, problems, "the scenario")
    name = fields.text("scenario", required=True)
    start = _instant(fields.node("start", required=True), problems) or 0
    given = tuple(each for node in fields.items("given") if (each := _given(node, problems, start)) is not None)
    expect_node = fields.node("expect", required=True)
    expect = Expectations(root.place) if expect_node is None else read_expectations(expect_node, problems, start)
    scenario = Scenario(
        name=name,
        path=path,
        place=fields.at("scenario"),
        start=start,
        until=_until(fields, start, given),
        given=given,
        expect=expect,
        topologies=fields.text("topologies"),
        topologies_place=fields.at("topologies"),
        journeys=_journeys(fields),
        policy=fields.node("policy"),
    )
    if not fields.has("topologies") and not fields.has("journeys"):
        message = "the scenario needs `topologies`, a folder relative to this file, or inline `journeys`"
        problems.error(root.place, codes.MISSING_KEY, message)
    fields.close()
    return None if problems.has_errors else scenario


def _instant(node: Node | None, problems: Problems) -> int | None:
    if node is None:
        return None
    found = epoch_ms(node.text) if isinstance(node.value, str) else None
    if found is None:
        message = f"`start` is an instant with a zone, such as 2026-01-05T00:00:00Z, not {node.text or described(node)}"
        problems.error(node.place, codes.WRONG_TYPE, message)
    return found


def _until(fields: Fields, start: int, given: tuple[Given, ...]) -> int:
    """Give the end of the run; without one, the newest given time (ruling A22)."""
    last = max((each.at for each in given), default=start)
    node = fields.node("until")
    if node is None:
        return last
    until = read_time(node, fields.problems, start)
    for each in given:
        if until is not None and each.at > until:
            message = f"this is later than `until` on line {node.place.line}, so it would never happen"
            fields.problems.error(each.place, codes.CONFLICT, message)
    return last if until is None else until


def _journeys(fields: Fields) -> tuple[Node, ...]:
    for node in (found := fields.items("journeys")):
        if not isinstance(node.value, dict):
            message = "an inline journey is a whole journey, {journey: ..., version: 1, ...}"
            fields.problems.error(node.place, codes.WRONG_TYPE, message)
    return tuple(found)


def _given(node: Node, problems: Problems, start: int) -> Given | None:
    fields = Fields(node, problems, "the given entry")
    fields.allow(*MARKS)
    if not isinstance(node.value, dict):
        return None
    marks = [mark for mark in MARKS if fields.has(mark)]
    if len(marks) != 1:
        message = f"a given entry has one of {', '.join(MARKS)}; this one has {' and '.join(marks) or 'none'}"
        place = fields.key_at(marks[1]) if marks else node.place
        unknown = next((key for key in fields if key not in {"at", "customer", "customers", "id", "data"}), "")
        problems.error(place, codes.MISSING_KEY if not marks else codes.CONFLICT, message, word=unknown, known=MARKS)
        return None
    at_node = fields.node("at", required=True)
    at = None if at_node is None else read_time(at_node, problems, start)
    found = MARKS[marks[0]](fields, at or 0)
    fields.close()
    return found if at is not None else None


def _event(fields: Fields, at: int) -> GivenEvent:
    customers = _customers(fields)
    return GivenEvent(
        place=fields.place,
        at=at,
        customers=customers,
        event=fields.event_type("event", required=True),
        id=fields.text("id"),
        data=_payload(fields),
        data_place=fields.at("data"),
        event_place=fields.at("event"),
        is_pattern=fields.has("customers"),
    )


def _customers(fields: Fields) -> tuple[str, ...]:
    pattern = fields.fields("customers", "`customers`")
    if pattern is None:
        return (fields.text("customer", required=True),)
    if fields.has("customer"):
        fields.problems.error(fields.key_at("customer"), codes.CONFLICT, "`customer` and `customers` exclude each other")
        fields.allow("customer")
    prefix = pattern.text("prefix", required=True)
    count = pattern.integer("count", 0, low=1, high=MOST_CUSTOMERS, required=True)
    pattern.close()
    return tuple(f"{prefix}{n}" for n in range(count))


def _payload(fields: Fields) -> dict[str, Any]:
    node = fields.node("data")
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        message = f"`data` must be a mapping of the event's fields, not {described(node)}"
        fields.problems.error(node.place, codes.WRONG_TYPE, message)
        return {}
    return {name: plain(value) for name, value in node.value.items()}


def _outcome(fields: Fields, at: int) -> GivenOutcome:
    return GivenOutcome(
        place=fields.place,
        at=at,
        status=fields.choice("outcome", STATUSES, required=True),
        of=fields.text("of", required=True),
        of_place=fields.at("of"),
        customer=fields.text("customer"),
        key=fields.text("key"),
        code=fields.text("code"),
        data=_payload(fields),
    )


def _raw(fields: Fields, at: int) -> GivenRaw | None:
    raw = fields.fields("raw", "`raw`", required=True)
    if raw is None:
        return None
    topic, key, node = raw.text("topic", required=True), raw.text("key"), raw.node("value_hex", required=True)
    raw.close()
    try:
        value = b"" if node is None else bytes.fromhex(node.text)
    except ValueError:
        value = b""
        fields.problems.error(raw.at("value_hex"), codes.WRONG_TYPE, "`value_hex` is pairs of hexadecimal digits, such as c301ff")
    return GivenRaw(fields.place, at, topic, key, value)


def _publish(fields: Fields, at: int) -> GivenPublish:
    return GivenPublish(fields.place, at, fields.text("publish", required=True), fields.at("publish"))


def _redrive(fields: Fields, at: int) -> GivenRedrive | None:
    redrive = fields.fields("redrive", "`redrive`", required=True)
    if redrive is None:
        return None
    found = GivenRedrive(
        place=fields.place,
        at=at,
        customer=redrive.text("customer", required=True),
        step=redrive.text("step", required=True),
        step_place=redrive.at("step"),
        journey=redrive.text("journey"),
    )
    redrive.close()
    return found


def _pause(fields: Fields, at: int) -> GivenPause:
    journey, is_frozen = fields.text("pause", required=True), fields.choice("timers", ("run", "freeze"), "run") == "freeze"
    return GivenPause(fields.place, at, journey, fields.at("pause"), is_frozen=is_frozen)


def _resume(fields: Fields, at: int) -> GivenPause:
    return GivenPause(fields.place, at, fields.text("resume", required=True), fields.at("resume"), is_resume=True)


MARKS: Final[Mapping[str, Callable[[Fields, int], Given | None]]] = {
    "event": _event,
    "outcome": _outcome,
    "raw": _raw,
    "publish": _publish,
    "redrive": _redrive,
    "pause": _pause,
    "resume": _resume,
}

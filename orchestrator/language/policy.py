"""policy.yaml: what all journeys share (language.md 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar, cast

from orchestrator.language import codes
from orchestrator.language.durations import UNIT_MS
from orchestrator.language.model import (
    AddressDedupe,
    Cap,
    Channel,
    ConsentPolicy,
    EventDedupe,
    Exclusive,
    Holdout,
    Limits,
    Policy,
    Purpose,
    QuietHours,
    Rate,
    Suppress,
)
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, check_word
from orchestrator.language.topics import read_topic
from orchestrator.language.zones import check_zone

T = TypeVar("T")
Verdict = Literal["deny", "allow"]
VERDICTS = ("deny", "allow")
CALENDAR_WINDOWS_MS = (UNIT_MS["d"], UNIT_MS["w"])  # ruling A63

_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def read_policy(node: Node, problems: Problems) -> Policy:
    """Read the file. What is wrong is a problem; the rest is there to be checked."""
    fields = Fields(node, problems, "the policy")
    dedupe_events, dedupe_addresses = _dedupe(fields)
    policy = Policy(
        timezone=_timezone(fields),
        channels=_named(fields, "channels", "channel", _channel),
        purposes=_named(fields, "purposes", "purpose", _purpose),
        consent=_consent(fields),
        caps=tuple(_cap(each) for each in _listed(fields, "caps", "the cap")),
        suppress=tuple(_suppress(each) for each in _listed(fields, "suppress", "the suppression rule")),
        exclusive=tuple(_exclusive(each) for each in _listed(fields, "exclusive", "the exclusive group")),
        dedupe_events=dedupe_events,
        dedupe_addresses=dedupe_addresses,
        holdout=_holdout(fields),
        limits=_limits(fields),
    )
    fields.close()
    return policy


def _timezone(fields: Fields) -> str:
    zone = fields.text("timezone")
    if zone:
        check_zone(zone, fields.at("timezone"), fields.problems)
    return zone or "UTC"


def _named(fields: Fields, key: str, what: str, read: Callable[[str, Fields], T]) -> dict[str, T]:
    """Read a mapping of name to settings."""
    section = fields.fields(key, f"`{key}`")
    found: dict[str, T] = {}
    if section is None:
        return found
    for name in section:
        node = section.node(name)
        if node is not None and check_word(name, section.key_at(name), fields.problems, f"a {what}'s name"):
            each = Fields(node, fields.problems, f"{what} {name!r}")
            found[name] = read(name, each)
            each.close()
    return found


def _listed(fields: Fields, key: str, what: str) -> Iterator[Fields]:
    """Give each mapping of a list to read, and close it afterwards."""
    for node in fields.items(key):
        each = Fields(node, fields.problems, what)
        yield each
        each.close()


def _channel(name: str, fields: Fields) -> Channel:
    return Channel(
        name=name,
        topic=read_topic(fields, "topic"),
        place=fields.place,
        kind=cast('Literal["message", "action"]', fields.choice("kind", ("message", "action"), "message")),
        quiet_hours=_quiet_hours(fields),
        rate=_rate(fields),
        address=fields.expression("address"),
    )


def _quiet_hours(fields: Fields) -> QuietHours | None:
    quiet = fields.fields("quiet_hours", "`quiet_hours`")
    if quiet is None:
        return None
    start, end = _time_of_day(quiet, "from"), _time_of_day(quiet, "to")
    quiet.close()
    if start is None or end is None:
        return None
    if start == end:
        fields.problems.error(quiet.place, codes.CONFLICT, "quiet hours that begin and end at the same time: drop them")
        return None
    return QuietHours(start, end)


def _time_of_day(fields: Fields, key: str) -> int | None:
    text = fields.text(key, required=True)
    found = _TIME_OF_DAY.fullmatch(text)
    if found:
        return int(found[1]) * 60 + int(found[2])
    if text:
        message = f'`{key}` must be a time of day from "00:00" to "23:59", not {text!r}'
        fields.problems.error(fields.at(key), codes.OUT_OF_RANGE, message)
    return None


def _rate(fields: Fields) -> Rate | None:
    rate = fields.fields("rate", "`rate`")
    if rate is None:
        return None
    read = Rate(rate.integer("limit", 1, low=1, required=True), rate.duration("per", 1_000, required=True) or 1_000)
    rate.close()
    return read


def _purpose(name: str, fields: Fields) -> Purpose:
    return Purpose(
        name=name,
        place=fields.place,
        consent=cast('Literal["required", "not_required"]', fields.choice("consent", ("required", "not_required"), "required")),
        basis=fields.text("basis"),
        unknown=_verdict(fields),
    )


def _verdict(fields: Fields) -> Verdict | None:
    return cast("Verdict | None", fields.choice("unknown", VERDICTS) or None)


def _consent(fields: Fields) -> ConsentPolicy:
    consent = fields.fields("consent", "`consent`")
    if consent is None:
        return ConsentPolicy()
    read = ConsentPolicy(_verdict(consent) or "deny", consent.duration("expires"))
    consent.close()
    return read


def _cap(fields: Fields) -> Cap:
    over = cast('Literal["skip", "hold"]', fields.choice("over", ("skip", "hold"), "skip"))
    cap = Cap(
        id=fields.name("id", required=True),
        limit=fields.integer("limit", 1, low=0, required=True),
        per_ms=fields.duration("per", UNIT_MS["d"], required=True) or UNIT_MS["d"],
        window=cast('Literal["rolling", "calendar"]', fields.choice("window", ("rolling", "calendar"), "rolling")),
        place=fields.place,
        channels=fields.names("channels"),
        purposes=fields.names("purposes"),
        over=over,
        max_hold_ms=fields.duration("max_hold", 0, required=over == "hold") or 0,
    )
    if cap.window == "calendar" and cap.per_ms not in CALENDAR_WINDOWS_MS:
        message = "a calendar window is `1d` or `1w`: write one of them, or `window: rolling`"
        fields.problems.error(fields.at("per"), codes.OUT_OF_RANGE, message)
    if over == "skip" and fields.has("max_hold"):
        fields.problems.error(fields.key_at("max_hold"), codes.CONFLICT, "`max_hold` needs `over: hold`")
    return cap


def _suppress(fields: Fields) -> Suppress:
    on_places = fields.event_places("on", required=True)
    return Suppress(
        id=fields.name("id", required=True),
        on=tuple(on_places),
        purposes=fields.names("purposes", required=True),
        for_ms=fields.duration("for", 0, required=True) or 0,
        place=fields.at("on"),
        when=fields.expression("when"),
        on_places=on_places,
    )


def _exclusive(fields: Fields) -> Exclusive:
    return Exclusive(
        id=fields.name("id", required=True),
        journeys=fields.names("journeys", required=True),
        on_conflict=cast('Literal["refuse", "preempt"]', fields.choice("on_conflict", ("refuse", "preempt"), "refuse")),
        place=fields.place,
    )


def _dedupe(fields: Fields) -> tuple[EventDedupe, AddressDedupe | None]:
    by_event, by_address = EventDedupe(), None
    dedupe = fields.fields("dedupe", "`dedupe`")
    if dedupe is None:
        return by_event, by_address
    events = dedupe.fields("events", "`dedupe.events`")
    if events is not None:
        window_ms = events.duration("window", by_event.window_ms) or by_event.window_ms
        by_event = EventDedupe(window_ms, events.integer("max", by_event.max, low=1, high=65_536))
        events.close()
    addresses = dedupe.fields("addresses", "`dedupe.addresses`")
    if addresses is not None:
        channels = addresses.names("channels", required=True)
        by_address = AddressDedupe(channels, addresses.duration("window", 0, required=True) or 0, addresses.at("channels"))
        addresses.close()
    dedupe.close()
    return by_event, by_address


def _holdout(fields: Fields) -> Holdout | None:
    holdout = fields.fields("holdout", "`holdout`")
    if holdout is None:
        return None
    read = Holdout(
        percent=holdout.number("percent", 0.0, low=0, high=100, required=True) or 0.0,
        salt=holdout.text("salt", required=True),
        purposes=holdout.names("purposes"),
    )
    holdout.close()
    return read


def _limits(fields: Fields) -> Limits:
    limits = fields.fields("limits", "`limits`")
    default = Limits()
    if limits is None:
        return default
    read = Limits(
        branches=limits.integer("branches", default.branches, low=1, high=100),
        steps=limits.integer("steps", default.steps, low=1, high=1_000),
        states=limits.integer("states", default.states, low=1, high=1_000),
        instances_per_customer=limits.integer("instances_per_customer", default.instances_per_customer, low=1, high=10_000),
        context_bytes=limits.integer("context_bytes", default.context_bytes, low=64, high=1_000_000),
        wait_ms=limits.duration("wait", default.wait_ms) or default.wait_ms,
    )
    limits.close()
    return read

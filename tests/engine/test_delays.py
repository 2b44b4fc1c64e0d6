"""Delays: until a moment, at a local time, spread over a span (rules D1-D6; rulings A04, A72-A75, A104)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest

from orchestrator.engine import local_time
from orchestrator.names import Count
from tests.engine.world import AGAIN, POLICY, START, World, journey_of, offset_ms

THEN = "- {id: hello, send: {channel: email, template: hello}}\n- {id: stop, end: {outcome: done}}"


def world(step: str, policy: str = POLICY) -> World:
    journey = journey_of(f"- {step}\n{THEN}", entry=AGAIN, more="owner: team\ncontext: {due: event.due}")
    return World(journey, policy=policy)


def ms(text: str) -> int:
    """An instant written with its offset, in ms UTC."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def moment(at: str) -> datetime:
    return datetime(2026, 1, 5, tzinfo=UTC) + timedelta(milliseconds=offset_ms(at))


UNTIL = "{id: d, delay: {until: event.due, past: PAST}}"


@pytest.mark.parametrize("past", ["continue", "exit"])
def test_a_delay_until_a_moment_ends_then(past: str) -> None:
    it = world(UNTIL.replace("PAST", past))
    it.event("began", "0s", due=moment("2d"))
    it.until("5d")
    assert it.sent() == [("hello", offset_ms("2d"))]
    assert [decision.kind for decision in it.decisions("delay_started", "delay_ended")] == ["delay_started", "delay_ended"]


@pytest.mark.parametrize(("at", "past"), [("-1ms", True), ("0s", False)])
def test_d4_a72_a73_a_target_that_is_over_follows_past_and_one_that_is_now_does_not(at: str, past: bool) -> None:
    it = world(UNTIL.replace("PAST", "exit"))
    it.event("began", "0s", due=moment(at))
    assert [(decision.kind, decision.reason) for decision in it.decisions("exited", "ended")] == [
        ("exited", "past") if past else ("ended", "")
    ]
    assert it.decisions("delay_started") == []  # d5: a delay of 0 takes no timer
    on = world(UNTIL.replace("PAST", "continue"))
    on.event("began", "0s", due=moment(at))
    assert on.sent() == [("hello", 0)]


@pytest.mark.parametrize("payload", [{}, {"due": "tomorrow"}, {"due": 5}])
def test_a73_a_target_that_is_no_moment_is_a_condition_error_and_then_past(payload: dict[str, object]) -> None:
    it = world(UNTIL.replace("PAST", "exit"))
    it.event("began", "0s", **payload)
    assert [decision.reason for decision in it.decisions("exited")] == ["past"]
    assert "d" in [decision.step for decision in it.decisions("condition_error")]


def test_a75_a_target_beyond_the_longest_wait_is_cut_to_it_and_says_so() -> None:
    it = world(UNTIL.replace("PAST", "continue"), POLICY + "limits: {wait: 30d}\n")
    it.event("began", "0s", due=moment("31d"))
    (started,) = it.decisions("delay_started")
    assert (started.reason, started.detail) == (
        "limit",
        {"deadline": str(START + offset_ms("30d")), "asked": str(START + offset_ms("31d"))},
    )
    it.until("40d")
    assert it.sent() == [("hello", offset_ms("30d"))]


AT = '{id: d, delay: {at: "TIME", DAYS timezone: profile.timezone}}'


def arrivals(time: str, arrive: str, zone: str | None, days: str = "", policy: str = POLICY) -> tuple[int, World]:
    """When a delay at a local time ends, having begun at `arrive` (an instant with its offset)."""
    it = world(AT.replace("TIME", time).replace("DAYS", f"days: [{days}]," if days else ""), policy)
    begin = ms(arrive) - START
    if zone is not None:
        it.event("profile.updated", begin - 1, timezone=zone)
    it.event("began", begin)
    (started,) = it.decisions("delay_started")
    return int((started.detail or {})["deadline"]), it


@pytest.mark.parametrize(
    ("zone", "time", "arrive", "end"),
    [
        # Before, at and after the time of day: strictly after arrival.
        ("Australia/Sydney", "09:00", "2026-06-01T08:59:59.999+10:00", "2026-06-01T09:00:00+10:00"),
        ("Australia/Sydney", "09:00", "2026-06-01T09:00:00+10:00", "2026-06-02T09:00:00+10:00"),
        # A time that does not exist is the first instant after the gap.
        ("Australia/Sydney", "02:30", "2026-10-03T12:00:00+10:00", "2026-10-04T03:00:00+11:00"),
        ("Europe/London", "01:30", "2026-03-28T12:00:00+00:00", "2026-03-29T02:00:00+01:00"),
        ("America/New_York", "02:30", "2026-03-07T12:00:00-05:00", "2026-03-08T03:00:00-04:00"),
        ("Australia/Lord_Howe", "02:15", "2026-10-03T12:00:00+10:30", "2026-10-04T02:30:00+11:00"),  # half an hour only
        # A time that occurs twice is the first; after it, the next day's.
        ("Australia/Sydney", "02:30", "2026-04-04T12:00:00+11:00", "2026-04-05T02:30:00+11:00"),
        ("Australia/Sydney", "02:30", "2026-04-05T02:30:00+11:00", "2026-04-06T02:30:00+10:00"),
        ("Europe/London", "01:30", "2026-10-24T12:00:00+01:00", "2026-10-25T01:30:00+01:00"),
        ("America/New_York", "01:30", "2026-10-31T12:00:00-04:00", "2026-11-01T01:30:00-04:00"),
        ("America/New_York", "01:30", "2026-11-01T01:15:00-05:00", "2026-11-02T01:30:00-05:00"),  # the second 01:30 is none
        ("Australia/Lord_Howe", "01:45", "2026-04-04T12:00:00+11:00", "2026-04-05T01:45:00+11:00"),
        # The edges of a day with a change, leap days, year ends.
        ("Europe/London", "02:00", "2026-03-28T12:00:00+00:00", "2026-03-29T02:00:00+01:00"),
        ("Australia/Sydney", "09:00", "2028-02-28T10:00:00+11:00", "2028-02-29T09:00:00+11:00"),
        ("America/New_York", "09:00", "2026-02-28T10:00:00-05:00", "2026-03-01T09:00:00-05:00"),
        ("America/Santiago", "00:00", "2026-09-05T12:00:00-04:00", "2026-09-06T01:00:00-03:00"),  # a day without midnight
        ("Pacific/Auckland", "00:00", "2026-12-31T12:00:00+13:00", "2027-01-01T00:00:00+13:00"),
    ],
)
def test_d1_d2_at_is_the_next_occurrence_of_a_local_time(zone: str, time: str, arrive: str, end: str) -> None:
    # arrive ------ | end: clocks show `time`, or have just jumped over it
    assert arrivals(time, arrive, zone)[0] == ms(end)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("2026-10-03T12:00+10:00", "2026-10-04T13:00+11:00"),  # Sydney loses an hour: a day later clocks show one more
        ("2026-04-04T12:00+11:00", "2026-04-05T11:00+10:00"),
        ("2026-03-28T12:00+00:00", "2026-03-29T13:00+01:00"),  # London
        ("2026-11-01T00:30-04:00", "2026-11-01T23:30-05:00"),  # New York
        ("2026-10-03T12:00+10:30", "2026-10-04T12:30+11:00"),  # Lord Howe, half an hour
        ("2028-02-28T12:00+00:00", "2028-02-29T12:00+00:00"),
        ("2026-12-31T23:59:59.999+00:00", "2027-01-01T23:59:59.999+00:00"),
    ],
)
def test_d1_a_day_is_86400_seconds_whatever_the_clocks_do(begins: str, ends: str) -> None:
    it = world("{id: d, delay: 1d}")
    it.event("began", ms(begins) - START)
    it.until(ms(ends) - START)
    # began ------ 86,400,000 ms ------ goes on
    assert it.sent() == [("hello", ms(ends) - START)]


def test_a74_days_are_local_weekdays() -> None:
    # Friday 2026-01-09, 22:00 UTC is Saturday morning in Sydney: the next Monday or Friday is Monday the 12th.
    assert arrivals("09:00", "2026-01-09T22:00:00+00:00", "Australia/Sydney", "mon, fri")[0] == ms("2026-01-12T09:00:00+11:00")
    # In New York it is Friday 17:00, past nine: Monday as well, hours later.
    assert arrivals("09:00", "2026-01-09T22:00:00+00:00", "America/New_York", "mon, fri")[0] == ms("2026-01-12T09:00:00-05:00")


def test_d3_a04_an_unknown_zone_of_a_profile_falls_back_to_the_policys_and_is_counted() -> None:
    policy = POLICY + "timezone: America/New_York\n"
    end, it = arrivals("09:00", "2026-01-09T00:00:00+00:00", "Mars/Olympus", policy=policy)
    assert end == ms("2026-01-09T09:00:00-05:00")
    assert it.count(Count.UNKNOWN_ZONES) == 1


def test_d3_a_zone_that_is_absent_falls_back_uncounted_and_without_a_policys_to_utc() -> None:
    end, it = arrivals("09:00", "2026-01-09T00:00:00+00:00", None)
    assert end == ms("2026-01-09T09:00:00+00:00")
    assert it.count(Count.UNKNOWN_ZONES) == 0
    assert it.decisions("condition_error") == [decision for decision in it.decisions("condition_error") if decision.step == ""]


@pytest.mark.parametrize("zone", ["Australia/Sydney", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
def test_d2_every_minute_of_every_day_is_found_and_in_order(zone: str) -> None:
    """Against the definition, on days of a change: the first instant whose local time is at or past the one asked for."""
    tz = ZoneInfo(zone)
    changes = [day for day in _days(2011, 2026) if _offset(day, tz) != _offset(day + timedelta(days=1), tz)]
    assert changes
    for midnight in changes[-6:]:
        day = midnight.date()
        found = [local_time.instant(day, minute, tz) for minute in range(0, local_time.MINUTES_A_DAY, 15)]
        for minute, instant in zip(range(0, local_time.MINUTES_A_DAY, 15), found, strict=True):
            asked = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute)
            assert _local(instant, tz) >= asked
            assert _local(instant - 1, tz) < asked or _local(instant, tz) == asked


def _days(first: int, last: int) -> list[datetime]:
    start = datetime(first, 1, 1, tzinfo=UTC)
    return [start + timedelta(days=n) for n in range((datetime(last, 12, 31, tzinfo=UTC) - start).days)]


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.replace(tzinfo=zone).utcoffset()


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(zone).replace(tzinfo=None)


def offset_of(customer: str, span: str) -> int:
    return int(sha256(f"{customer}\x1fj\x1fd".encode()).hexdigest(), 16) % offset_ms(span)


@pytest.mark.parametrize(
    ("step", "target"),
    [
        ("{id: d, delay: 1d, smooth_over: 2h}", "1d"),
        ("{id: d, delay: 0s, smooth_over: 2h}", "0s"),
        ("{id: d, delay: {until: event.due}, smooth_over: 2h}", "3d"),
        ('{id: d, delay: {at: "09:00"}, smooth_over: 2h}', "9h"),
    ],
)
def test_d6_a104_smoothing_adds_the_customers_own_offset_to_the_target(step: str, target: str) -> None:
    it = world(step)
    for customer in ("anna", "ben"):
        it.event("began", "0s", customer=customer, due=moment("3d"))
    it.until("5d")
    sent = {action.customer: action.created_at - START for action in it.actions}
    assert sent == {customer: offset_ms(target) + offset_of(customer, "2h") for customer in ("anna", "ben")}
    assert sent["anna"] != sent["ben"]


def test_d6_the_offsets_fill_the_span() -> None:
    it = world("{id: d, delay: 1d, smooth_over: 1h}")
    for n in range(200):
        it.event("began", "0s", customer=f"c{n}")
    it.until("2d")
    offsets = [action.created_at - START - offset_ms("1d") for action in it.actions]
    assert len(offsets) == 200
    assert min(offsets) < offset_ms("5m")
    assert offset_ms("55m") < max(offsets) < offset_ms("1h")


def test_d5_a_smoothed_delay_is_over_where_the_moment_is_past() -> None:
    it = world("{id: d, delay: {until: event.due, past: exit}, smooth_over: 2h}")
    it.event("began", "0s", due=moment("-1m"))
    assert [decision.reason for decision in it.decisions("exited")] == ["past"]

"""Quiet hours (Q1, A12, A13, A60, A62, A64-A66) and what becomes of sends held for them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.engine import timers
from orchestrator.engine.document import NEVER
from orchestrator.engine.storing import earliest
from tests.engine.sending import emitted, mail, policy, told
from tests.engine.world import AGAIN, START, World, journey_of, offset_ms

QUIET = 'channels: {email: {topic: t, quiet_hours: {from: "21:00", to: "08:00"}}, sms: {topic: t}}'
NOON = 'channels: {email: {topic: t, quiet_hours: {from: "12:00", to: "13:30"}}, sms: {topic: t}}'

HELLO = "- {id: mail, send: {channel: email, template: hello}}"
ASK = "- {id: ask, send: {channel: sms, template: x, purpose: promotion, on_suppressed: exit}}"


def world(*journeys: str, channels: str = QUIET, more: str = "") -> World:
    return World(*(journeys or (mail(),)), policy=policy(more, channels=channels))


@pytest.mark.parametrize(
    ("channels", "at", "leaves"),
    [
        (QUIET, "21h-1ms", "21h-1ms"),
        (QUIET, "21h", "32h"),
        (QUIET, "31h", "32h"),
        (QUIET, "32h-1ms", "32h"),
        (QUIET, "32h", "32h"),
        (NOON, "12h-1ms", "12h-1ms"),
        (NOON, "12h", "13h+30m"),
        (NOON, "13h+30m", "13h+30m"),
    ],
)
def test_q1_quiet_hours_are_from_up_to_and_not_including_to(channels: str, at: str, leaves: str) -> None:
    # ---- 21:00 [ quiet ) 08:00 ---- and inside one day 12:00 [ quiet ) 13:30
    w = world(channels=channels)
    w.event("began", at)
    w.until("3d")
    held = at != leaves
    assert emitted(w) == [("j", offset_ms(leaves))]
    assert [(a.created_at, a.expires_at) for a in w.actions] == [
        (START + offset_ms(leaves), START + offset_ms(at) + offset_ms("1d"))
    ]
    assert told(w, "action_held", "action_released") == (
        [("held", "quiet_hours", offset_ms(at)), ("released", "quiet_hours", offset_ms(leaves))] if held else []
    )


def test_a12_the_instance_goes_on_while_its_send_is_held_and_a13_its_regular_end_leaves_it() -> None:
    w = world()
    w.event("began", "22h")
    assert [d.outcome for d in w.decisions("ended")] == ["through"]
    assert w.document().instances == []
    w.until("3d")
    assert emitted(w) == [("j", offset_ms("32h"))]
    assert w.document().contact.held == []  # type: ignore[union-attr]
    assert earliest(w.document()) == NEVER


def test_a66_only_urgent_passes_and_urgency_does_not() -> None:
    hurried = mail("high").replace("version: 1", "version: 1\n        urgency: high")
    w = world(hurried, mail("urgent", more=", urgent: true"))
    w.event("began", "22h")
    assert [(a.template, a.urgent, a.urgency) for a in w.actions] == [("urgent", True, "medium")]
    w.until("2d")
    assert [(a.template, a.urgent, a.urgency) for a in w.actions][1:] == [("high", False, "high")]


def test_quiet_hours_are_of_one_channel() -> None:
    w = world(mail("text", channel="sms"))
    w.event("began", "22h")
    assert emitted(w) == [("text", offset_ms("22h"))]


def test_q1_the_profiles_zone_counts_then_the_policys() -> None:
    # 11:00 UTC is 22:00 in Sydney (UTC+11), where quiet hours end at 21:00 UTC
    w = world(more="timezone: Australia/Sydney")
    w.event("began", "11h")
    w.until("20h")
    assert emitted(w) == []
    w.until("21h")
    assert emitted(w) == [("j", offset_ms("21h"))]
    w.event("profile.updated", "1d", timezone="UTC")
    w.event("began", "1d+11h")
    assert emitted(w)[1:] == [("j", offset_ms("1d+11h"))]


def test_q1_held_sends_keep_the_customers_order_whatever_their_priority() -> None:
    w = world(mail("low", on="a", priority=1), mail("high", on="b", priority=99), mail("mid", on="c"))
    for event_type, at in (("a", "22h"), ("b", "23h"), ("c", "31h")):
        w.event(event_type, at)
    w.until("2d")
    assert emitted(w) == [("low", offset_ms("32h")), ("high", offset_ms("32h")), ("mid", offset_ms("32h"))]


def test_q1_t3_a_send_at_the_very_end_queues_behind_what_is_held() -> None:
    # held at 22h; at 32h exactly the record is handled before the timer, and yet its send goes second
    w = world(mail("first", on="a"), mail("second", on="b"))
    w.event("a", "22h")
    w.event("b", "32h")
    w.until("2d")
    assert emitted(w) == [("first", offset_ms("32h")), ("second", offset_ms("32h"))]


@pytest.mark.parametrize(("expires", "leaves"), [("10h+1ms", True), ("10h", False), ("9h", False)])
def test_a65_released_only_before_its_expiry_which_is_logged_when_it_comes(expires: str, leaves: bool) -> None:
    # decided 22h ----- 32h end of quiet: expires after, at, before
    ms = expires.replace("10h+1ms", "PT36001S")  # durations have no milliseconds: a second more
    w = world(mail(more=f", expires: {ms}"))
    w.event("began", "22h")
    w.until("3d")
    assert bool(emitted(w)) is leaves
    if not leaves:
        assert told(w)[-1] == ("suppressed", "quiet_hours_expired", offset_ms("22h") + offset_ms(expires))


def test_k1_a60_a_held_send_has_its_slot_from_the_decision_and_its_window_runs_from_its_leaving() -> None:
    # decided 22h, leaves 32h: its daily slot is taken from 22h and free at 56h
    w = world(mail(), mail("text", on="text", channel="sms"), more="caps: [{id: daily, limit: 1, per: 1d}]")
    w.event("began", "22h")
    for at in ("23h", "55h", "56h-1ms", "56h"):
        w.event("text", at)
    assert emitted(w) == [("j", offset_ms("32h")), ("text", offset_ms("56h"))]
    assert [action.created_at - START for action in w.actions] == [offset_ms("32h"), offset_ms("56h")]


def test_k1_a_slot_of_a_held_send_that_expires_is_given_back() -> None:
    w = world(mail(more=", expires: 1h"), mail("text", on="text", channel="sms"), more="caps: [{id: c, limit: 1, per: 1d}]")
    w.event("began", "22h")
    w.event("text", "23h")
    w.event("text", "23h+1ms")
    assert emitted(w) == [("text", offset_ms("23h+1ms"))]


def test_k4_a_held_send_that_is_cancelled_gives_its_slot_to_what_waits_for_the_cap() -> None:
    # j held for quiet hours from 22h with the slot; text waits for the cap from 23h; at 24h consent for j goes, and text leaves
    caps = "caps: [{id: daily, limit: 1, per: 1d, over: hold, max_hold: 3d}]"
    w = world(mail(purpose="promotion"), mail("text", on="text", channel="sms", more=", expires: 3d"), more=caps)
    w.consent("granted", "0s")
    w.event("began", "22h")
    w.event("text", "23h")
    w.consent("withdrawn", "24h")
    w.until("24h")
    assert emitted(w) == [("text", offset_ms("24h"))]


def test_k4_q1_a_send_released_by_its_cap_into_quiet_hours_waits_for_their_end() -> None:
    # sent at 22h-1d; wanted at 20h, held for the cap until 22h, then for quiet hours until 32h
    caps = "caps: [{id: daily, limit: 1, per: 1d, over: hold, max_hold: 3d}]"
    w = world(mail(), mail("loud", on="loud", more=", urgent: true"), more=caps)
    w.event("loud", "-2h")
    w.event("began", "20h")
    w.until("3d")
    assert [(kind, reason, at) for kind, reason, at in told(w) if kind == "held"] == [
        ("held", "cap", offset_ms("20h")),
        ("held", "quiet_hours", offset_ms("22h")),
    ]
    assert emitted(w)[1:] == [("j", offset_ms("32h"))]


def test_a62_an_exits_last_send_is_held_and_counted_too() -> None:
    journey = journey_of(HELLO, more="exit: [{on: left, send: {channel: email, template: bye}}]", state="rest: true")
    w = world(journey, more="caps: [{id: c, limit: 2, per: 1d}]")
    w.event("began", "22h")
    w.event("left", "23h")
    assert told(w) == [
        ("held", "quiet_hours", offset_ms("22h")),
        ("cancelled", "exited", offset_ms("23h")),
        ("held", "quiet_hours", offset_ms("23h")),
    ]
    w.until("2d")
    assert emitted(w) == [("bye", offset_ms("32h"))]  # ruling A13: the exit's own last send stays


def test_a13_an_instance_that_on_suppressed_ends_takes_its_held_sends_with_it() -> None:
    steps = f"{HELLO}\n- {{id: wait, delay: 1h}}\n{ASK}"
    w = world(journey_of(steps, entry=AGAIN, state="rest: true"))
    w.event("began", "22h")
    w.until("3d")
    assert [(kind, reason) for kind, reason, _ in told(w)] == [
        ("held", "quiet_hours"), ("suppressed", "consent"), ("cancelled", "suppressed"),
    ]  # fmt: skip
    assert emitted(w) == []


def test_a13_a_send_of_the_same_handling_does_not_begin_to_wait_for_an_instance_that_has_exited() -> None:
    w = world(journey_of(f"{HELLO}\n{ASK}", entry=AGAIN, state="rest: true"))
    w.event("began", "22h")
    assert [(kind, reason) for kind, reason, _ in told(w)] == [("suppressed", "consent"), ("cancelled", "exited")]
    assert w.document().contact is None


def test_a59_at_release_consent_and_suppression_are_judged_again() -> None:
    rule = "suppress: [{id: negative, on: csat.submitted, purposes: [promotion], for: 72h}]\nconsent: {expires: 730d}"
    for event_type, payload, reason in (
        ("csat.submitted", {}, "suppression"),
        ("profile.updated", {"x": 1}, ""),
    ):
        w = world(mail(purpose="promotion"), more=rule)
        w.consent("granted", "0s")
        w.event("began", "22h")
        w.event(event_type, "23h", **payload)
        w.until("2d")
        assert told(w)[-1] == (("suppressed" if reason else "emitted"), reason, offset_ms("32h"))


def test_a59_consent_that_expires_while_the_send_is_held_suppresses_it() -> None:
    w = world(mail(purpose="promotion"))
    w.consent("granted", "0s", expiry=START + offset_ms("32h"))
    w.event("began", "22h")
    w.until("2d")
    assert told(w)[-1] == ("suppressed", "consent", offset_ms("32h"))


def test_a_customer_who_moves_while_a_send_is_held_is_not_woken() -> None:
    # held at 22:00 UTC until 08:00 UTC; they fly to New York, where that is 03:00: it goes at 08:00 there, 13:00 UTC
    w = world()
    w.event("began", "22h")
    w.event("profile.updated", "30h", timezone="America/New_York")
    w.until("36h")
    assert emitted(w) == []
    w.until("37h")
    assert emitted(w) == [("j", offset_ms("37h"))]


DAYLIGHT = [
    # zone, local time of the send, local date and time of leaving; quiet 21:00 to 02:30 in the night that changes
    ("Australia/Sydney", "2026-10-03T22:00", "2026-10-04T03:00"),  # 02:30 does not exist: the first instant after the gap
    ("Australia/Sydney", "2026-04-04T22:00", "2026-04-05T02:30"),  # 02:30 comes twice: the first
    ("Europe/London", "2026-03-28T22:00", "2026-03-29T02:30"),
    ("Europe/London", "2026-10-24T22:00", "2026-10-25T02:30"),
    ("America/New_York", "2026-03-07T22:00", "2026-03-08T03:00"),
    ("America/New_York", "2026-10-31T22:00", "2026-11-01T02:30"),
    ("Australia/Lord_Howe", "2026-10-03T22:00", "2026-10-04T02:30"),  # half an hour: 02:00 becomes 02:30
    ("Australia/Lord_Howe", "2026-04-04T22:00", "2026-04-05T02:30"),
]


@pytest.mark.parametrize(("zone", "at", "leaves"), DAYLIGHT)
def test_a64_d2_quiet_hours_end_at_the_first_occurrence_of_to(zone: str, at: str, leaves: str) -> None:
    def offset(local: str) -> int:
        return int(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000) - START

    w = world(channels='channels: {email: {topic: t, quiet_hours: {from: "21:00", to: "02:30"}}}', more=f"timezone: {zone}")
    w.event("began", offset(at))
    w.until(offset(leaves) - 1)
    assert emitted(w) == []
    w.until(offset(leaves))
    assert emitted(w) == [("j", offset(leaves))]


NIGHTS = [
    # zone, quiet hours, when a send is wanted, when it leaves
    ("Australia/Sydney", "02:30-05:00", "2026-10-04T01:59:59.999+10:00", "2026-10-04T01:59:59.999+10:00"),
    ("Australia/Sydney", "02:30-05:00", "2026-10-04T03:00+11:00", "2026-10-04T05:00+11:00"),  # no 02:30: they begin at 03:00
    ("Australia/Sydney", "02:10-02:50", "2026-10-04T03:00+11:00", "2026-10-04T03:00+11:00"),  # the gap swallows them
    ("Australia/Sydney", "02:30-05:00", "2026-04-05T02:15+11:00", "2026-04-05T02:15+11:00"),
    ("Australia/Sydney", "02:30-05:00", "2026-04-05T02:15+10:00", "2026-04-05T05:00+10:00"),  # after the first 02:30
    ("Europe/London", "01:30-06:00", "2026-03-29T02:00+01:00", "2026-03-29T06:00+01:00"),
    ("Europe/London", "01:30-06:00", "2026-10-25T01:15+00:00", "2026-10-25T06:00+00:00"),
    ("America/New_York", "02:30-06:00", "2026-03-08T03:00-04:00", "2026-03-08T06:00-04:00"),
    ("America/New_York", "01:30-06:00", "2026-11-01T01:15-05:00", "2026-11-01T06:00-05:00"),
    ("Australia/Lord_Howe", "02:15-05:00", "2026-10-04T02:30+11:00", "2026-10-04T05:00+11:00"),
    ("Australia/Lord_Howe", "01:45-05:00", "2026-04-05T01:40+10:30", "2026-04-05T05:00+10:30"),
    ("America/New_York", "21:00-08:00", "2028-02-28T22:00-05:00", "2028-02-29T08:00-05:00"),
    ("America/New_York", "21:00-08:00", "2028-02-29T22:00-05:00", "2028-03-01T08:00-05:00"),
    ("Pacific/Auckland", "21:00-08:00", "2026-12-31T22:00+13:00", "2027-01-01T08:00+13:00"),
]


@pytest.mark.parametrize(("zone", "hours", "at", "leaves"), NIGHTS)
def test_q1_a64_d2_quiet_hours_begin_and_end_by_the_clocks_of_their_night(zone: str, hours: str, at: str, leaves: str) -> None:
    def offset(moment: str) -> int:
        return round(datetime.fromisoformat(moment).timestamp() * 1000) - START

    begins, ends = hours.split("-")
    quiet = f'channels: {{email: {{topic: t, quiet_hours: {{from: "{begins}", to: "{ends}"}}}}}}'
    w = world(channels=quiet, more=f"timezone: {zone}")
    w.event("began", offset(at))
    w.until(offset(leaves) + offset_ms("1d"))
    # wanted at `at` ....quiet.... | leaves at the first instant that is not
    assert emitted(w) == [("j", offset(leaves))]


def test_a64_on_the_doubled_hour_it_is_quiet_only_the_first_time_round() -> None:
    # Sydney, 2026-04-05: 02:00-03:00 comes twice; quiet 21:00 to 02:30 has ended at the first 02:30
    w = world(
        channels='channels: {email: {topic: t, quiet_hours: {from: "21:00", to: "02:30"}}}', more="timezone: Australia/Sydney"
    )
    second = datetime.fromisoformat("2026-04-05T02:15").replace(tzinfo=ZoneInfo("Australia/Sydney"), fold=1)
    at = int(second.timestamp() * 1000) - START
    w.event("began", at)
    assert emitted(w) == [("j", at)]


def test_a101_a_late_record_of_quiet_hours_that_are_over_goes_at_once() -> None:
    w = world()
    w.event("other", "33h", customer="c2")
    w.event("began", "33h", customer="c2")
    w.event("began", "31h")
    assert [(h.customer, h.at - START) for h in w.handlings if h.actions] == [("c2", offset_ms("33h")), ("c1", offset_ms("32h"))]


def test_t6_held_sends_survive_the_store_and_leave_from_it() -> None:
    w = world()
    w.event("began", "22h")
    stored = w.customer().stored
    w.customer().document = None
    assert w.customer().stored is stored
    w.until("2d")
    assert emitted(w) == [("j", offset_ms("32h"))]


@pytest.mark.interpreted
def test_a5_a_release_that_fails_is_an_incident_and_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    w = world()
    w.event("began", "22h")
    monkeypatch.setattr(timers.held, "release", lambda turn: 1 / 0)
    w.until("2d")
    assert [incident.reason for incident in w.incidents] == ["handler_error"]
    assert earliest(w.document()) == NEVER
    assert len(w.document().contact.held) == 1  # type: ignore[union-attr]

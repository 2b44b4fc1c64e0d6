"""Frequency caps (K1-K4, A57, A60-A63, A94) and arbitration (K2, A06, A07)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.engine.engine import NEVER
from orchestrator.engine.storing import earliest
from tests.engine.sending import CHANNELS, emitted, mail, policy, told
from tests.engine.world import AGAIN, START, World, journey_of, offset_ms

DAILY = "caps: [{id: daily, limit: 1, per: 1d}]"
HOLDING = "caps: [{id: daily, limit: 1, per: 1d, over: hold, max_hold: 3d}]"


def world(*journeys: str, caps: str = DAILY, more: str = "") -> World:
    return World(*(journeys or (mail(),)), policy=policy(caps, more))


def sent_at(w: World, *ats: str) -> list[bool]:
    """Whether an event at each time leads to a send at once."""
    found = []
    for at in ats:
        before = len(w.actions)
        w.event("began", at)
        found.append(len(w.actions) > before)
    return found


def test_k3_rolling_a_send_at_t_frees_at_exactly_t_plus_window() -> None:
    # sent 1h |------ 1d ------| 1h+1d: free
    w = world()
    assert sent_at(w, "1h", "2h", "1h+1d-1ms", "1h+1d") == [True, False, False, True]
    assert [(d.reason, d.detail) for d in w.decisions("action_suppressed")] == [("cap", {"cap": "daily"})] * 2


def test_k1_a_suppressed_send_takes_no_slot() -> None:
    w = world()
    assert sent_at(w, "0s", "23h", "1d", "1d+23h", "2d") == [True, False, True, False, True]


def test_k3_a_late_record_counts_what_left_after_its_time() -> None:
    # sent at 30h; records of 10h and 5h arrive after it: what left later counts, since a late send may be held and leave later
    w = world()
    assert sent_at(w, "30h", "10h", "5h") == [True, False, False]


@pytest.mark.parametrize(
    ("zone", "before", "at"),
    [
        ("Australia/Sydney", "13h-1ms", "13h"),  # UTC+11 in January: midnight is 13:00 UTC
        ("America/New_York", "5h-1ms", "5h"),
        ("UTC", "24h-1ms", "24h"),
    ],
)
def test_k3_calendar_frees_at_the_customers_local_midnight(zone: str, before: str, at: str) -> None:
    w = world(caps="caps: [{id: today, limit: 1, per: 1d, window: calendar}]")
    w.event("profile.updated", "0s", timezone=zone)
    assert sent_at(w, "1h", before, at) == [True, False, True]


def test_k3_d3_a_zone_that_does_not_exist_falls_back_to_the_policys_and_is_counted() -> None:
    w = world(caps="caps: [{id: today, limit: 1, per: 1d, window: calendar}]", more="timezone: Australia/Sydney")
    w.event("profile.updated", "0s", timezone="Mars/Olympus")
    assert sent_at(w, "1h", "13h-1ms", "13h") == [True, False, True]
    assert w.count("unknown_zones") >= 3


def test_a63_a_calendar_week_begins_on_monday_and_follows_the_zone_of_the_decision() -> None:
    # START is Monday 00:00 UTC; in New York it is still Sunday until 05:00 UTC
    w = world(caps="caps: [{id: week, limit: 1, per: 1w, window: calendar}]")
    w.event("profile.updated", "0s", timezone="America/New_York")
    assert sent_at(w, "4h", "5h", "7d+5h-1ms", "7d+5h") == [True, True, False, True]
    w.event("profile.updated", "7d+6h", timezone="UTC")  # a week that began at 7d by UTC: the send at 7d+5h counts in it
    assert sent_at(w, "8d", "14d-1ms", "14d") == [False, False, True]


CALENDARS = [
    # zone, first day of the window, window, its length in hours as the clocks make it
    ("Australia/Sydney", "2026-10-04", "1d", 23),
    ("Australia/Sydney", "2026-04-05", "1d", 25),
    ("Europe/London", "2026-03-29", "1d", 23),
    ("Europe/London", "2026-10-25", "1d", 25),
    ("America/New_York", "2026-03-08", "1d", 23),
    ("America/New_York", "2026-11-01", "1d", 25),
    ("Australia/Lord_Howe", "2026-10-04", "1d", 23.5),
    ("Australia/Lord_Howe", "2026-04-05", "1d", 24.5),
    ("America/Santiago", "2026-09-06", "1d", 23),  # there is no midnight: the day begins at 01:00
    ("Europe/London", "2028-02-29", "1d", 24),
    ("Europe/London", "2026-12-31", "1d", 24),
    ("Europe/London", "2026-03-23", "1w", 167),
    ("Australia/Lord_Howe", "2026-03-30", "1w", 168.5),
    ("America/New_York", "2026-12-28", "1w", 168),  # an ISO week of two years
    ("America/New_York", "2028-02-28", "1w", 168),  # with a leap day
]


@pytest.mark.parametrize(("zone", "day", "window", "hours"), CALENDARS)
def test_k3_d2_a63_a_calendar_window_is_as_long_as_the_clocks_make_it(zone: str, day: str, window: str, hours: float) -> None:
    midnight = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo(zone))
    begins = int(midnight.timestamp() * 1000) - START
    ends = begins + round(hours * 3_600_000)
    w = world(caps=f"caps: [{{id: now, limit: 1, per: {window}, window: calendar}}]", more=f"timezone: {zone}")
    found = []
    for at in (begins - 1, begins, ends - 1, ends):
        before = len(w.actions)
        w.event("began", at)
        found.append(len(w.actions) > before)
    # the window before | begins: goes ------- ends - 1 ms: no slot | ends: goes
    assert found == [True, True, False, True]


def test_a61_caps_count_by_their_channels_and_purposes_and_any_of_them_can_stand_against() -> None:
    caps = """
caps:
  - {id: all, limit: 3, per: 1d}
  - {id: texts, channels: [sms], limit: 1, per: 1d}
  - {id: promos, purposes: [promotion], limit: 1, per: 1d}
"""
    w = World(
        mail("text", on="text", channel="sms"), mail("promo", on="promo", purpose="promotion"), mail("note", on="note"),
        policy=policy(caps),
    )  # fmt: skip
    w.consent("granted", "0s")
    for event_type in ("text", "text", "promo", "promo", "note", "note"):
        w.event(event_type, "1h")
    assert [template for template, _ in emitted(w)] == ["text", "promo", "note"]
    assert [d.detail for d in w.decisions("action_suppressed")] == [{"cap": "texts"}, {"cap": "promos"}, {"cap": "all"}]


def test_a61_with_several_caps_over_skip_wins() -> None:
    w = world(caps="caps: [{id: wait, limit: 1, per: 1d, over: hold, max_hold: 1d}, {id: never, limit: 1, per: 2h}]")
    assert sent_at(w, "0s", "1h") == [True, False]
    assert told(w)[1:] == [("suppressed", "cap", offset_ms("1h"))]
    w.event("began", "3h")
    assert told(w)[2:] == [("held", "cap", offset_ms("3h"))]


# Slots given back.


@pytest.mark.parametrize(
    ("status", "freed"), [("failed", True), ("bounced", True), ("cancelled", True), ("delivered", False), ("unknown", False)]
)
def test_k1_a57_a94_a_slot_is_given_back_by_an_outcome_that_says_it_did_not_arrive(status: str, freed: bool) -> None:
    w = world()
    w.event("began", "0s", id="x")
    w.event("action.outcome", "1h", action_id=w.actions[0].action_id, status=status, code="c1")
    assert sent_at(w, "2h") == [freed]
    (received,) = w.decisions("outcome_received")
    assert (received.journey, received.step, received.channel, received.outcome) == ("j", "mail", "email", status)
    assert (received.action_id, received.reason) == (w.actions[0].action_id, "c1")


def test_a3_an_outcome_that_is_repeated_or_unknown_is_logged_and_frees_nothing_more() -> None:
    w = world(caps="caps: [{id: daily, limit: 2, per: 1d}]")
    assert sent_at(w, "0s", "0s") == [True, True]
    first = w.actions[0].action_id
    for _ in range(2):
        w.event("action.outcome", "1h", action_id=first, status="failed")
    w.event("action.outcome", "1h", action_id="no such id", status="failed")
    assert sent_at(w, "2h", "2h") == [True, False]
    assert [(d.outcome, d.step) for d in w.decisions("outcome_received")] == [("failed", "mail"), ("failed", ""), ("failed", "")]
    w.event("action.outcome", "1h", status="failed")
    assert [incident.reason for incident in w.incidents] == ["unusable_event"]


# Arbitration.


def test_k2_the_scarce_slot_goes_by_priority_then_journey_then_step() -> None:
    w = world(mail("cc"), mail("aa"), mail("bb", priority=80), caps="caps: [{id: two, limit: 2, per: 1d}]")
    w.event("began", "0s")
    assert [(d.journey, d.kind) for d in w.decisions("action_emitted", "action_suppressed")] == [
        ("bb", "action_emitted"), ("aa", "action_emitted"), ("cc", "action_suppressed"),
    ]  # fmt: skip


def test_a06_timers_of_one_instant_are_arbitrated_together() -> None:
    text = "      - {id: wait, delay: 1h}\n              - {id: mail,"
    low, high = (mail(n, priority=p).replace("- {id: mail,", text.strip()) for n, p in (("aa", 10), ("zz", 90)))
    w = world(low, high)
    w.event("began", "0s")
    w.until("1h")
    assert emitted(w) == [("zz", offset_ms("1h"))]


def test_a06_k2_a_held_send_and_a_timers_send_of_one_instant_compete_by_priority() -> None:
    # sent 0h | wanted, held 1h ----------> 1d: free, and a timer of another journey wants the slot at that very instant
    low = mail("low", on="start", priority=10, more=", expires: 3d").replace(
        "- {id: mail,", "- {id: wait, delay: 1d}\n              - {id: mail,"
    )
    w = world(mail("first", on="first"), mail("held", on="hold", priority=90), low, caps=HOLDING)
    w.event("first", "0s")
    w.event("start", "0s")
    w.event("hold", "1h")
    w.until("1d")
    assert emitted(w) == [("first", 0), ("held", offset_ms("1d"))]
    w.until("2d")
    assert emitted(w)[2:] == [("low", offset_ms("2d"))]


TEXTS = """
- {id: first, send: {channel: email, template: first, on_suppressed: ANSWER}}
- {id: second, send: {channel: sms, template: second}}
- {id: wait, hold_until: [{on: never}], timeout: 9d}
"""
OTHER = """
other:
  steps:
    - {id: text, send: {channel: sms, template: other}}
    - {id: stop, end: {outcome: other}}
"""


def two_ways(answer: str) -> str:
    """The email gives way as `answer` says, a state or a word; where it names `other`, there is such a state."""
    states = OTHER if answer == "other" else ""
    return journey_of(TEXTS.replace("ANSWER", answer), entry=AGAIN, more="priority: 10", state="rest: true", states=states)


@pytest.mark.parametrize(
    ("answer", "texts", "state"), [("continue", ["second"], "s"), ("exit", [], None), ("other", ["other"], None)]
)
def test_a07_a_send_that_loses_moves_its_instance_in_the_same_record_and_what_that_sends_is_arbitrated_too(
    answer: str, texts: list[str], state: str | None
) -> None:
    w = World(
        two_ways(answer), mail("rival", priority=90), policy=policy("caps: [{id: mails, channels: [email], limit: 1, per: 1d}]")
    )
    handlings = w.event("began", "0s")
    assert len(handlings) == 1
    assert [template for template, _ in emitted(w)] == ["rival", *texts]
    assert w.state("j") == state
    assert [d.step for d in w.decisions("action_cancelled")] == ([] if answer == "continue" else ["second"])


def test_a07_the_further_round_is_bound_by_the_caps_too() -> None:
    w = World(two_ways("other"), mail("rival", priority=90), policy=policy(DAILY))
    w.event("began", "0s")
    assert [template for template, _ in emitted(w)] == ["rival"]
    assert [(d.step, d.state) for d in w.decisions("action_suppressed")] == [("first", "s"), ("text", "other")]
    assert w.decisions("ended")[-1].outcome == "other"


def test_a80_a_loser_that_goes_in_circles_is_stopped() -> None:
    w = World(two_ways("s"), policy=policy("caps: [{id: none, channels: [email], limit: 0, per: 1d}]"))
    w.event("began", "0s")
    assert [incident.reason for incident in w.incidents] == ["loop"]
    assert len(w.document().instances) == 1


# Held until free.


def test_k4_held_until_free_then_sent() -> None:
    # sent 0h | 1h wanted, held ----------> 1d: free
    w = world(caps=HOLDING)
    assert sent_at(w, "0s", "1h") == [True, False]
    w.until("2d")
    assert told(w) == [
        ("emitted", "", 0),
        ("held", "cap", offset_ms("1h")),
        ("released", "cap", offset_ms("1d")),
        ("emitted", "", offset_ms("1d")),
    ]


def test_k4_a_slot_taken_by_a_held_send_counts_from_its_release() -> None:
    w = world(caps=HOLDING)
    assert sent_at(w, "0s", "1h") == [True, False]
    w.until("1d")
    assert sent_at(w, "1d+1h") == [False]
    w.until("5d")
    assert [at for _, at in emitted(w)] == [0, offset_ms("1d"), offset_ms("2d")]


def test_k4_not_longer_than_max_hold_and_free_at_that_very_instant_still_goes() -> None:
    holding = "caps: [{id: daily, limit: 1, per: 1d, over: hold, max_hold: HOLD}]"
    for hold, end in (("23h", ("emitted", "", offset_ms("1d"))), ("22h", ("suppressed", "cap", offset_ms("23h")))):
        w = world(caps=holding.replace("HOLD", hold))
        assert sent_at(w, "0s", "1h") == [True, False]
        w.until("3d")
        assert told(w)[-1] == end
        assert earliest(w.document()) == NEVER


def test_k4_expiry_is_checked_and_a_send_is_never_released_at_or_after_it() -> None:
    for expires, last in (("23h", "suppressed"), ("24h", "emitted")):
        w = world(mail(more=f", expires: {expires}"), caps=HOLDING)
        assert sent_at(w, "0s", "1h") == [True, False]
        w.until("3d")
        assert told(w)[-1][0] == last
        assert told(w)[-1][2] == offset_ms("1d")


def test_k2_a06_held_sends_that_compete_go_by_priority_then_by_when_they_were_decided() -> None:
    low, late, soon = (
        mail(n, on=on, priority=p, more=", expires: 9d") for n, on, p in (("low", "a", 10), ("late", "b", 50), ("soon", "c", 50))
    )
    w = world(low, late, soon, caps=HOLDING.replace("3d", "9d"))
    w.event("a", "0s")
    for event_type, at in (("a", "1h"), ("c", "2h"), ("b", "3h")):
        w.event(event_type, at)
    w.until("9d")
    assert emitted(w) == [("low", 0), ("soon", offset_ms("1d")), ("late", offset_ms("2d")), ("low", offset_ms("3d"))]


def test_k4_a_slot_given_back_goes_to_what_is_held_at_once() -> None:
    # sent 0h, held 1h and 2h; the first bounces at 3h: the earlier held goes then, the later one stays held until 3h + 1d
    w = world(mail(more=", expires: 3d"), caps=HOLDING)
    assert sent_at(w, "0s", "1h", "2h") == [True, False, False]
    w.event("action.outcome", "3h", action_id=w.actions[0].action_id, status="bounced")
    w.until("3h")
    assert [at for _, at in emitted(w)] == [0, offset_ms("3h")]
    w.until("9d")
    assert [at for _, at in emitted(w)] == [0, offset_ms("3h"), offset_ms("27h")]
    assert len(w.decisions("action_held")) == 2  # looked at again, not held anew


def test_sent_within_a102_counts_what_left_and_only_that() -> None:
    asking = mail(on="asked", more="").replace("entry: {on: asked", 'entry: {on: asked, when: \'!sent_within("email", "2h")\'')
    w = World(asking, mail("first"), policy=policy(channels=CHANNELS))
    w.event("began", "1h")
    for at in ("1h+1ms", "3h-1ms", "3h"):
        w.event("asked", at)
    assert [at for _, at in emitted(w)] == [offset_ms("1h"), offset_ms("3h")]


def test_a102_a_held_send_is_not_within() -> None:
    asking = mail(on="asked", channel="sms").replace(
        "entry: {on: asked", 'entry: {on: asked, when: \'sent_within("email", "2h")\''
    )
    w = World(asking, mail("first"), policy=policy(HOLDING.replace("id: daily", "id: daily, channels: [email]")))
    w.event("began", "0s")
    w.event("began", "20h")
    w.event("asked", "21h")
    assert [d.reason for d in w.decisions("entry_refused")] == ["condition"]
    w.until("1d")
    w.event("asked", "25h")
    assert emitted(w)[-1] == ("j", offset_ms("25h"))


CAPS = """
caps:
  - {id: rolling, limit: 2, per: 6h}
  - {id: texts, channels: [sms], limit: 1, per: 1d, over: hold, max_hold: 2d}
  - {id: today, channels: [email], limit: 2, per: 1d, window: calendar, over: hold, max_hold: 3d}
"""
QUIET = 'channels: {email: {topic: t, quiet_hours: {from: "20:00", to: "07:00"}}, sms: {topic: t}}'
steps = st.tuples(st.sampled_from(["mail", "text", "loud", "bounce", "zone"]), st.integers(-3, 9))


@example([("text", 6), ("mail", -3), ("mail", -3)])  # late sends, held for quiet hours, that would leave beside a later one
@example(  # a late send into a day that was over when others were handled
    [("text", 2), ("mail", -3), ("text", 6), ("mail", 8), ("zone", 1), ("zone", 2), ("loud", 1), ("bounce", -1), ("loud", 8),
     ("bounce", -2), ("loud", -2)]
)  # fmt: skip
@given(st.lists(steps, max_size=30))
def test_k1_k3_k4_no_history_exceeds_a_cap(history: list[tuple[str, int]]) -> None:
    w = World(
        mail("mail", on="mail"), mail("text", on="text", channel="sms", priority=70),
        mail("loud", on="loud", priority=90, more=", urgent: true"), policy=policy(CAPS, channels=QUIET),
    )  # fmt: skip
    hours, newest, given_back = 0, 0, set()
    for what, step in history:
        hours = max(hours + step, newest - 23)  # later than a day, a record may find its day's sends forgotten
        newest = max(newest, hours)
        at = max(hours, 0) * 3_600_000
        if what == "bounce":
            if w.actions and (bounced := w.actions[-1].action_id) not in given_back:
                given_back.add(bounced)
                w.event("action.outcome", at, action_id=bounced, status="bounced")
        elif what == "zone":
            w.event("profile.updated", at, timezone="UTC" if step % 2 else "Etc/GMT")
        else:
            w.event(what, at)
    w.until("60d")
    assert w.incidents == []
    left = [
        (handling.at, action.channel)
        for handling in w.handlings
        for action in handling.actions
        if action.action_id not in given_back
    ]
    for at, _ in left:
        assert sum(at <= other < at + offset_ms("6h") for other, _ in left) <= 2
        assert sum(at <= other < at + offset_ms("1d") for other, channel in left if channel == "sms") <= 1
    days = [(at - START) // offset_ms("1d") for at, channel in left if channel == "email"]
    assert all(days.count(day) <= 2 for day in days)
    assert all(customer.document is None or earliest(customer.document) == NEVER for customer in w.simulation.customers.values())

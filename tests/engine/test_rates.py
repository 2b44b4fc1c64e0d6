"""Channel rates (rule X2, ruling A70): what is above them waits in order, and leaves at its place."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine import outgoing
from orchestrator.engine.customer import Customer
from orchestrator.engine.engine import Engine
from orchestrator.engine.rates import Bucket, Pace
from orchestrator.engine.record import Record
from orchestrator.language.model import Rate
from orchestrator.simulate import Simulation
from tests.engine.sending import emitted, mail, policy, told
from tests.engine.world import AGAIN, START, World, journey_of, topology

SECOND = 1_000
HOUR = 3_600_000


def channels(rate: str, more: str = "") -> str:
    return f"""
channels:
  email: {{topic: actions.email, rate: {rate}{more}}}
  sms: {{topic: actions.sms}}
  service: {{topic: actions.service, kind: action, rate: {rate}}}
"""


def world(
    *journeys: str, rate: str = "{limit: 3, per: 1s}", more: str = "", sections: Iterable[str] = (), share: Fraction = Fraction(1)
) -> World:
    rules = policy(*sections, channels=channels(rate, more))
    made = World(*(journeys or (mail(),)), policy=rules)
    made.simulation = Simulation(Engine(topology(*(journeys or (mail(),)), policy=rules), share=share))
    return made


def crowd(made: World, count: int, at: int = 0, event: str = "began") -> World:
    for number in range(count):
        made.event(event, at, customer=f"c{number:04}")
    return made


def left(made: World) -> list[tuple[str, int]]:
    """Whose send or call left when, in ms after the start, in the order of their leaving."""
    found = [(action, handling.at - START) for handling in made.handlings for action in handling.actions]
    return [(action.customer, at) for action, at in found if action.kind != "cancel"]


def assert_within(rate: Rate, share: Fraction, times: list[int]) -> None:
    """No interval holds more than a full bucket and what comes into it meanwhile."""
    tokens, a_token = max(rate.limit * share, Fraction(1)), rate.per_ms / (rate.limit * share)
    needed_ms = [ceil((count - tokens) * a_token) for count in range(len(times) + 1)]
    for first, begins in enumerate(times):
        for count, ends in enumerate(times[first:], 1):
            assert ends - begins >= needed_ms[count]


def restart(made: World) -> None:
    """Forget everything but what is stored."""
    for holders in (made.simulation.customers, made.simulation.notes):
        holders.update({name: Customer(name, one.stored) for name, one in holders.items()})


PROMO = mail(purpose="promotion").replace("start: s", "exit: [{on: left}]\n        start: s").replace(
    "- {id: stop", "- {id: wait, delay: 10d}\n              - {id: stop"
)  # fmt: skip


# The bucket.


def test_x2_a70_the_bucket_is_full_at_the_start_and_what_is_above_it_waits() -> None:
    made = crowd(world(), 6)
    assert told(made) == [("emitted", "", 0)] * 3 + [("held", "rate", 0)] * 3
    made.until("1m")
    assert left(made) == [("c0000", 0), ("c0001", 0), ("c0002", 0), ("c0003", 334), ("c0004", 667), ("c0005", 1000)]
    assert told(made)[6:] == [(kind, why, at) for at in (334, 667, 1000) for kind, why in (("released", "rate"), ("emitted", ""))]
    assert [decision.detail for decision in made.decisions("action_held")] == [
        {"deadline": str(START + at)} for at in (334, 667, 1000)
    ]


def test_x2_a70_the_bucket_fills_again_and_no_further() -> None:
    made = crowd(world(), 3)
    crowd(made, 2, at=500)  # half a second is one token and a half
    made.until("30s")
    crowd(made, 4, at=60_000)
    made.until("2m")
    assert [at for _, at in left(made)][3:] == [500, 667, 60_000, 60_000, 60_000, 60_334]


def test_x2_a_partition_has_its_share_and_one_token_at_least() -> None:
    quarter = crowd(world(rate="{limit: 100, per: 1s}", share=Fraction(1, 4)), 27)
    quarter.until("1m")
    assert [at for _, at in left(quarter)] == [0] * 25 + [40, 80]

    scarce = crowd(world(rate="{limit: 2, per: 1s}", share=Fraction(1, 4)), 3)
    scarce.until("1m")
    assert [at for _, at in left(scarce)] == [0, 2000, 4000]


def test_x2_each_channel_has_its_own_rate_and_one_without_has_none() -> None:
    made = crowd(world(mail(channel="sms"), mail("k", on="also")), 10)
    crowd(made, 1, event="also")
    assert [action.channel for action in made.actions] == ["sms"] * 10 + ["email"]
    assert list(made.simulation.notes) == ["\x00rate:email"]


def test_x2_a_rate_that_no_deadline_could_hold_still_works() -> None:
    made = crowd(world(mail(more=", expires: 1000d"), rate="{limit: 1, per: 30000d}", share=Fraction(1, 100_000)), 2)
    assert told(made) == [("emitted", "", 0), ("held", "rate", 0)]
    assert made.incidents == []


rates = st.builds(Rate, st.integers(1, 2_000), st.sampled_from([1, 50, 1_000, 60_000]))


@given(rates, st.integers(1, 12), st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_x2_a70_never_more_than_the_bucket_and_its_refill(rate: Rate, partitions: int, gaps: list[int]) -> None:
    share = Fraction(1, partitions)
    pace, bucket, now = Pace(rate, share), Bucket(), START
    places = []
    for gap in gaps:
        now += gap
        places.append(pace.earliest(pace.opened(bucket), now))
        assert places[-1] >= now
        pace.take(bucket, places[-1])
    assert places == sorted(places)
    assert_within(rate, share, places)


@given(rates, st.integers(1, 12), st.integers(1, 300))
def test_x2_a70_no_token_is_withheld(rate: Rate, partitions: int, count: int) -> None:
    """A crowd leaves as fast as the rate allows, but for the whole milliseconds of its places."""
    share = Fraction(1, partitions)
    pace = Pace(rate, share)
    bucket = pace.opened(Bucket())
    tokens, a_token = max(rate.limit * share, Fraction(1)), rate.per_ms / (rate.limit * share)
    lost = 1 if tokens - 1 < 1 / a_token else 0  # a bucket of little more than one token cannot make up for rounding
    for number in range(count):
        place = pace.earliest(bucket, START)
        pace.take(bucket, place)
        assert place - START < max((number + 1 - tokens) * a_token, 0) + 2 + lost * number


# Order.


def test_x2_k2_one_handlings_sends_go_by_priority() -> None:
    made = world(mail("low", priority=10), mail("high", priority=90), mail("mid"), rate="{limit: 1, per: 1s}")
    made.event("began", 0)
    made.until("1m")
    assert emitted(made) == [("high", 0), ("mid", 1000), ("low", 2000)]


def test_x2_who_comes_at_the_instant_of_a_place_does_not_overtake() -> None:
    made = world(mail(), mail("k", on="also"), rate="{limit: 1, per: 1s}")
    made.event("began", 0, customer="c1")
    made.event("began", 0, customer="c2")
    made.event("also", 1000, customer="c2")  # its first send leaves now, but its timers come after the record (rule T3)
    made.event("began", 1000, customer="c0")
    made.until("1m")
    assert left(made) == [("c1", 0), ("c2", 1000), ("c2", 2000), ("c0", 3000)]
    assert emitted(made)[1:3] == [("j", 1000), ("k", 2000)]


def test_x2_several_places_in_one_millisecond_keep_a_customers_order() -> None:
    made = world(mail(), mail("k", on="also"), rate="{limit: 2000, per: 1s}", share=Fraction(1, 1))
    crowd(made, 2000)
    made.event("began", 0, customer="z")  # its place is half a millisecond later, so it leaves at 1
    made.event("also", 1, customer="z")  # there is a token for it, but its first send has not left yet
    made.until("1m")
    assert [(action.template, action.created_at - START) for action in made.actions if action.customer == "z"] == [
        ("j", 1),
        ("k", 1),
    ]


def test_x2_q1_a_crowd_whose_quiet_hours_end_leaves_through_the_bucket() -> None:
    made = crowd(world(rate="{limit: 10, per: 1s}", more=', quiet_hours: {from: "21:00", to: "08:00"}'), 1000, at=22 * HOUR)
    made.until("2d")
    places = [at - 32 * HOUR for _, at in left(made)]
    assert places == [0] * 10 + [100 * number for number in range(1, 991)]
    first = made.handlings[-1].customer
    story = [(kind, why) for kind, why, _ in told_of(made, first)]
    assert story == [("held", "quiet_hours"), ("held", "rate"), ("released", "rate"), ("emitted", "")]


def told_of(made: World, customer: str) -> list[tuple[str, str, int]]:
    return [
        (decision.kind.removeprefix("action_"), decision.reason, handling.at - START)
        for handling in made.handlings
        for decision in handling.decisions
        if handling.customer == customer and decision.kind.startswith("action_")
    ]


def test_x2_q1_a_place_in_quiet_hours_is_none() -> None:
    quiet = ', quiet_hours: {from: "21:00", to: "08:00"}'
    made = crowd(world(mail(more=", expires: 2d"), rate="{limit: 1, per: 1h}", more=quiet), 3, at=20 * HOUR - 1)
    made.until("3d")
    assert left(made) == [("c0000", 20 * HOUR - 1), ("c0001", 21 * HOUR - 1), ("c0002", 32 * HOUR)]
    assert [(kind, why) for kind, why, _ in told_of(made, "c0002")] == [
        ("held", "rate"),
        ("held", "quiet_hours"),
        ("released", "quiet_hours"),
        ("emitted", ""),
    ]


def test_x2_a66_an_urgent_send_passes_quiet_hours_and_no_rate() -> None:
    quiet = ', quiet_hours: {from: "21:00", to: "08:00"}'
    made = crowd(world(mail(more=", urgent: true"), rate="{limit: 1, per: 1s}", more=quiet), 2, at=22 * HOUR)
    made.until("1d")
    assert [at - 22 * HOUR for _, at in left(made)] == [0, 1000]


# What a held send is looked at for.


def test_x2_a65_a_send_whose_place_comes_too_late_expires_at_its_time_and_takes_no_place() -> None:
    made = crowd(world(mail(more=", expires: 1m"), mail("k", on="also"), rate="{limit: 1, per: 30s}"), 5)
    crowd(made, 1, at=50_000, event="also")
    made.until("1h")
    assert told(made, "action_suppressed") == [("suppressed", "rate", 60_000)] * 3  # at 60 s exactly: not before its expiry
    assert [at for _, at in left(made)] == [0, 30_000, 60_000]  # the place of 60 s goes to who can use it


def test_x2_a_send_that_expires_without_a_place_moves_nobody_up() -> None:
    made = crowd(world(mail(more=", expires: 45s"), mail("k", on="also"), rate="{limit: 1, per: 30s}"), 3)
    made.event("also", SECOND, customer="k1")
    made.event("also", 46 * SECOND, customer="k2")
    made.until("1h")
    assert told(made, "action_suppressed") == [("suppressed", "rate", 45 * SECOND)]
    assert left(made)[2:] == [("k1", 60 * SECOND), ("k2", 90 * SECOND)]


def test_x2_a13_a_send_whose_instance_is_over_takes_no_place() -> None:
    """The second send loses for want of consent and ends the instance, so the first may not wait."""
    ending = mail().replace(
        "- {id: stop",
        "- {id: more, send: {channel: email, template: m, purpose: promotion, on_suppressed: exit}}\n              - {id: stop",
    )
    made = world(ending, mail("k", on="also"), rate="{limit: 1, per: 1h}")
    made.event("also", 0, customer="c0")
    made.event("began", 1, customer="c1")
    made.event("also", 2, customer="c2")
    made.until("1d")
    assert told_of(made, "c1")[-1] == ("cancelled", "exited", 1)
    assert left(made) == [("c0", 0), ("c2", HOUR)]


def test_x2_k1_a60_a_send_held_for_its_rate_has_its_cap_slot() -> None:
    cap = "caps: [{id: c, limit: 1, per: 1d}]"
    made = world(mail(), mail("k", on="also"), rate="{limit: 1, per: 1h}", sections=[cap])
    made.event("began", 0, customer="c0")
    made.event("began", 0, customer="c1")
    made.event("also", 1, customer="c1")
    assert told_of(made, "c1") == [("held", "rate", 0), ("suppressed", "cap", 1)]
    made.until("25h-1ms")
    made.event("also", "25h-1ms", customer="c1")  # it left at 1 h, and counts from then
    made.event("also", "25h", customer="c1")
    assert [what for what in told_of(made, "c1")[2:] if what[0] != "released"] == [
        ("emitted", "", HOUR),
        ("suppressed", "cap", 25 * HOUR - 1),
        ("emitted", "", 25 * HOUR),
    ]


def test_x2_k4_a_send_that_got_its_cap_slot_waits_for_its_place() -> None:
    cap = "caps: [{id: c, limit: 1, per: 1h, over: hold, max_hold: 2h}]"
    made = world(mail(), mail("k", on="also"), rate="{limit: 1, per: 50m}", sections=[cap])
    made.event("began", 0, customer="c1")
    made.event("also", 1, customer="c1")
    made.event("also", "55m", customer="c0")
    made.until("1d")
    assert told_of(made, "c1") == [
        ("emitted", "", 0),
        ("held", "cap", 1),
        ("held", "rate", HOUR),
        ("released", "rate", 105 * 60_000),
        ("emitted", "", 105 * 60_000),
    ]


def test_x2_a_place_in_quiet_hours_is_given_up() -> None:
    made = world(PROMO, mail("k", on="also"), rate="{limit: 1, per: 1h}", more=', quiet_hours: {from: "21:00", to: "08:00"}')
    for number, at in enumerate((20 * HOUR, 20 * HOUR + 1)):  # the second one's place is at 21:00
        made.event("also", at, customer=f"k{number}")
    made.until("40h")
    for customer in ("p0", "p1"):
        made.consent("granted", "-1h", customer=customer)
        made.event("began", 40 * HOUR, customer=customer)
    made.event("left", 40 * HOUR + 1, customer="p1")
    made.event("also", 40 * HOUR + 2, customer="k2")  # nobody waits, so p1's place is free again
    made.until("3d")
    assert left(made) == [("k0", 20 * HOUR), ("k1", 32 * HOUR), ("p0", 40 * HOUR), ("k2", 41 * HOUR)]


def promotions(count: int, **more: object) -> World:
    made = world(PROMO, rate="{limit: 1, per: 10s}", **more)  # type: ignore[arg-type]
    for number in range(count):
        made.consent("granted", "-1h", customer=f"c{number:04}")
    return crowd(made, count)


def test_x2_c3_a59_consent_suppression_and_exits_end_the_wait() -> None:
    made = promotions(4, sections=["suppress: [{id: s, on: csat, purposes: [promotion], for: 1d}]"])
    made.consent("withdrawn", 1, customer="c0001")
    made.event("csat", 1, customer="c0002")
    made.event("left", 1, customer="c0003")
    made.until("1h")
    assert [told_of(made, f"c000{n}")[-1] for n in range(1, 4)] == [
        ("cancelled", "consent", 1),
        ("suppressed", "suppression", 20 * SECOND),
        ("cancelled", "exited", 1),
    ]
    assert [who for who, _ in left(made)] == ["c0000"]


def test_x2_the_place_of_a_cancelled_send_stays_empty_while_others_wait() -> None:
    made = promotions(4)
    made.event("left", 1, customer="c0001")
    made.consent("granted", 2, customer="c9")
    made.event("began", 3, customer="c9")
    made.until("1h")
    assert left(made) == [("c0000", 0), ("c0002", 20 * SECOND), ("c0003", 30 * SECOND), ("c9", 40 * SECOND)]


def test_x2_after_a_queue_was_cancelled_nobody_waits_behind_it() -> None:
    made = promotions(500)
    made.until("12s")
    for number in range(2, 500):
        made.event("left", "12s", customer=f"c{number:04}")
    made.consent("granted", "12s", customer="c9")
    made.event("began", "12s", customer="c9")
    made.until("1h")
    assert left(made) == [("c0000", 0), ("c0001", 10 * SECOND), ("c9", 20 * SECOND)]


def test_x2_x1_a_send_held_for_its_rate_claims_its_address() -> None:
    rules = policy(
        "dedupe: {addresses: {channels: [email], window: 24h}}",
        channels=channels("{limit: 1, per: 1h}", ", address: profile.email"),
    )
    made = World(mail(), policy=rules)
    for customer, email in (("c0", "other@example.com"), ("c1", "a@example.com"), ("c2", "A@example.com")):
        made.event("profile.updated", "-1h", customer=customer, email=email)
        made.event("began", 0, customer=customer)
    made.until("25h-1ms")
    made.event("began", "25h-1ms", customer="c2")  # c1's left at 1 h
    made.event("began", "25h", customer="c2")
    assert [what for what in told(made) if what[0] in ("emitted", "suppressed")] == [
        ("emitted", "", 0),
        ("suppressed", "duplicate_address", 0),
        ("emitted", "", HOUR),
        ("suppressed", "duplicate_address", 25 * HOUR - 1),
        ("emitted", "", 25 * HOUR),
    ]  # fmt: skip


def test_x2_k4_a_cancelled_send_gives_its_cap_slot_to_who_waits_for_it() -> None:
    cap = "caps: [{id: c, limit: 1, per: 10d, over: hold, max_hold: 5d}]"
    made = world(PROMO, mail("k", on="also"), rate="{limit: 1, per: 1h}", sections=[cap])
    made.consent("granted", "-1h", customer="c1")
    made.event("also", 0, customer="c0")
    made.event("began", 0, customer="c1")
    made.event("also", 1, customer="c1")
    made.event("left", 2, customer="c1")
    made.until("1d")
    assert told_of(made, "c1") == [
        ("held", "rate", 0),
        ("held", "cap", 1),
        ("cancelled", "exited", 2),
        ("held", "rate", 2),
        ("released", "rate", HOUR),
        ("emitted", "", HOUR),
    ]


@pytest.mark.interpreted
def test_x2_a5_a_failure_after_the_token_was_taken_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = crowd(world(rate="{limit: 1, per: 1s}"), 1)
    (note,) = made.simulation.notes.values()
    before = note.stored

    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "log", fail)
        made.event("began", 5 * SECOND, customer="c1")
    assert [incident.reason for incident in made.incidents] == ["handler_error"]
    assert note.stored == before
    made.event("began", 5 * SECOND, customer="c2")
    assert left(made)[-1] == ("c2", 5 * SECOND)


# Calls.

OPEN = """
- id: open
  call: {action: open_case, timeout: 1m, retry: [{on: [timeout], max_attempts: 2, interval: 10s}], on_error: failed}
- {id: stop, end: {outcome: through}}
"""


def caller(purpose: str = "care") -> str:
    finals = "failed: {final: true, outcome: failed}"
    return journey_of(OPEN, "caller", entry=AGAIN, purpose=purpose, more="exit: [{on: left}]", states=finals)


def test_x2_a91_calls_wait_too_and_their_time_runs_from_their_leaving() -> None:
    made = crowd(world(caller(), rate="{limit: 1, per: 45s}"), 2)
    made.until("1h")
    calls = [(a.customer, a.attempt, (a.created_at - START) // SECOND, (a.expires_at - START) // SECOND) for a in made.actions]
    assert calls == [("c0000", 1, 0, 60), ("c0001", 1, 45, 105), ("c0000", 2, 90, 150), ("c0001", 2, 135, 195)]
    assert told(made, "call_failed") == [("call_failed", "timeout", 150 * SECOND), ("call_failed", "timeout", 195 * SECOND)]


def test_x2_a57_an_exit_cancels_a_call_that_waits_and_a_withdrawal_does_not() -> None:
    made = crowd(world(caller("promotion"), rate="{limit: 1, per: 10s}"), 3)
    made.consent("withdrawn", 1, channel="*", purpose="*", customer="c0001")
    made.event("left", 1, customer="c0002")
    made.event("began", 2, customer="c0003")
    made.until("31s")
    assert left(made) == [("c0000", 0), ("c0001", 10 * SECOND), ("c0003", 30 * SECOND)]
    assert told_of(made, "c0002") == [("held", "rate", 0), ("cancelled", "exited", 1)]


def test_x2_a62_a_call_that_waits_takes_no_cap_slot() -> None:
    cap = "caps: [{id: c, limit: 1, per: 1d}]"
    made = world(caller(), mail(on="also", channel="sms"), rate="{limit: 1, per: 1h}", sections=[cap])
    crowd(made, 2)
    made.event("also", 1, customer="c0001")
    assert told_of(made, "c0001") == [("held", "rate", 0), ("emitted", "", 1)]


def test_x2_c3_cancel_commands_wait_for_nothing() -> None:
    made = promotions(1)
    made.consent("withdrawn", 1, customer="c0000")
    assert [action.kind for action in made.actions] == ["send", "cancel"]


# Time that does not run straight.


def test_x2_a101_a_late_records_send_has_its_place_after_those_that_left() -> None:
    made = world(rate="{limit: 1, per: 10s}")
    made.event("began", "1m", customer="c1")
    made.event("began", "30s", customer="c2")
    made.until("2m")
    assert left(made) == [("c1", 60 * SECOND), ("c2", 70 * SECOND)]


def test_x2_t4_one_producers_wrong_clock_does_not_stop_a_channel() -> None:
    """The gate lets a record be up to a day ahead."""
    simulation = world(rate="{limit: 1, per: 1s}").simulation
    late = {}
    for number, ahead in enumerate((20 * HOUR, 0, 0)):
        customer = simulation.customers[f"c{number}"] = Customer(f"c{number}", None)
        now = START + number * 5 * SECOND
        record = Record("began", customer.id, f"e{number}", now + ahead, {}, "events", 0, number, now + ahead)
        (handling,) = simulation.engine.handle(customer, record, now, simulation)
        late[customer.id] = [decision.kind for decision in handling.decisions if decision.kind.startswith("action_")]
    assert late == {"c0": ["action_emitted"], "c1": ["action_emitted"], "c2": ["action_emitted"]}


def test_x2_t1_the_queue_survives_a_restart() -> None:
    one, other = crowd(world(), 50), crowd(world(), 50)
    for made, forgets in ((one, False), (other, True)):
        for second in range(1, 20):
            if forgets:
                restart(made)
            made.until(second * SECOND)
            made.event("began", second * SECOND, customer=f"d{second}")
        made.until("1h")
    assert one.handlings == other.handlings
    assert len(left(one)) == 69


def test_x2_the_note_is_small_and_forgotten_a_day_after_the_bucket_is_full() -> None:
    made = crowd(world(rate="{limit: 1, per: 1s}"), 1000)
    (note,) = made.simulation.notes.values()
    assert len(note.stored or b"") < 50
    made.until(1000 * SECOND + 24 * HOUR)
    assert note.stored is None


# Any history: six customers, two journeys, late records, cancellations; two minutes until a send expires.

PER_MS = 30 * SECOND


@cache
def engine(limit: int, share: Fraction) -> Engine:
    journeys = PROMO.replace("template: j", "template: j, expires: 2m"), mail("k", on="also", priority=80, more=", expires: 2m")
    rules = policy(channels=channels(f"{{limit: {limit}, per: 30s}}"))
    return Engine(topology(*journeys, policy=rules), share=share)


def played(history: list[tuple[int, str, int]], limit: int, share: Fraction, *, restarts: bool) -> World:
    made = World(mail())
    made.simulation = Simulation(engine(limit, share))
    for number in range(6):
        made.consent("granted", "-1h", customer=f"c{number}")
    seconds = 0
    for number, event, step in history:
        seconds = max(seconds + step, 0)
        if restarts:
            restart(made)
        if event == "withdrawn":
            made.consent("withdrawn", seconds * SECOND, customer=f"c{number}")
            made.consent("granted", seconds * SECOND + 1, customer=f"c{number}")
        else:
            made.event(event, seconds * SECOND, customer=f"c{number}")
    made.until("1d")
    return made


Line = tuple[str, str, int, int]


def stories(made: World) -> list[list[Line]]:
    """What became of each send, in the order of their decisions: kind, reason, when, and until when it is held."""
    found: dict[str, list[Line]] = {}
    for handling in made.handlings:
        for decision in handling.decisions:
            if decision.action_id and decision.kind.startswith("action_"):
                until = int((decision.detail or {}).get("deadline", START)) - START
                line = decision.kind.removeprefix("action_"), decision.reason, handling.at - START, until
                found.setdefault(decision.action_id, []).append(line)
    return list(found.values())


happenings = st.tuples(st.integers(0, 5), st.sampled_from(["began", "began", "also", "left", "withdrawn"]), st.integers(-20, 40))


@given(st.lists(happenings, max_size=30), st.integers(1, 3), st.sampled_from([Fraction(1), Fraction(1, 3)]), st.booleans())
def test_x2_every_send_leaves_in_order_within_the_rate_or_is_told_why_not(
    history: list[tuple[int, str, int]], limit: int, share: Fraction, restarts: bool
) -> None:
    made = played(history, limit, share, restarts=restarts)
    assert made.incidents == []
    assert_within(Rate(limit, PER_MS), share, sorted(at for _, at in left(made)))
    places = []
    for story in stories(made):
        (kind, _, asked, place), (end, reason, at, _) = story[0], story[-1]
        if kind != "held":
            continue
        if end == "suppressed":
            assert (reason, at) == ("rate", asked + 2 * 60_000)  # never before it expires
            continue
        if end == "emitted":
            assert at == place
            places.append(place)
        else:
            assert end == "cancelled"
    assert places == sorted(places)


def test_x2_a_bucket_stored_under_another_rate_keeps_its_instant() -> None:
    thirds, sevenths = Pace(Rate(3, SECOND), Fraction(1)), Pace(Rate(7, SECOND), Fraction(1))
    bucket = thirds.opened(Bucket())
    for _ in range(10):
        thirds.take(bucket, thirds.earliest(bucket, START))
    full = Fraction(bucket.given, bucket.scale)
    sevenths.opened(bucket)
    assert 0 <= Fraction(bucket.given, bucket.scale) - full < Fraction(1, 7)
    assert sevenths.earliest(bucket, START) == START + ceil(10_000 / 3 - 6_000 / 7)

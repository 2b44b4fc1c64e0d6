"""Pauses in which a journey's timers stand still (rule V6): what they do to waits, calls and lifetimes, however one looks."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.engine import Engine
from orchestrator.engine.portrait import portrait
from orchestrator.engine.vicinity import Freezes
from orchestrator.simulate import Simulation
from tests.engine.sending import emitted, mail, policy, told
from tests.engine.test_pausing import DESK, RATE, calls
from tests.engine.world import AGAIN, START, World, journey_of, topology

MINUTE = 60_000
HOUR = 60 * MINUTE
WAIT = """
- {id: wait, hold_until: [{on: paid, go: done}], timeout: 3h}
- {id: remind, send: {channel: email, template: remind}}
- {id: rest, delay: 2h}
- {id: stop, end: {outcome: silent}}
"""
NUDGE = journey_of(WAIT, state="on: [{event: noise, when: event.n > 0, go: done}]", states="done: {final: true, outcome: paid}")


def frozen(*journeys: str, at: str | int = "1h", policy_of: str = "", began: str | int = 0) -> World:
    """A world whose journey `j` the customer entered at `began`, and which is paused from `at` on, timers and all."""
    made = World(*(journeys or (NUDGE,)), policy=policy_of or policy())
    made.event("began", began)
    made.pause("j", at, freezes=True)
    return made


def when(made: World, *kinds: str) -> list[tuple[str, int]]:
    return [(kind, at) for kind, at in ((d.kind, h.at - START) for h in made.handlings for d in h.decisions) if kind in kinds]


def test_v6_a_wait_goes_on_after_the_pause_with_what_was_left_of_it() -> None:
    made = frozen()
    made.until("20h")
    assert when(made, "hold_resolved") == [] and made.state("j") == "s"
    made.resume("j", "21h")
    made.until("3d")
    assert when(made, "hold_resolved", "delay_ended", "ended") == [
        ("hold_resolved", 23 * HOUR), ("delay_ended", 25 * HOUR), ("ended", 25 * HOUR),
    ]  # fmt: skip
    assert emitted(made) == [("remind", 23 * HOUR)]


def test_v6_a_pause_of_which_no_timer_is_due_moves_it_all_the_same() -> None:
    made = frozen()
    made.resume("j", "2h")
    made.until("1d")
    assert when(made, "hold_resolved") == [("hold_resolved", 4 * HOUR)]


def test_v6_waits_hear_events_while_clocks_stand() -> None:
    made = frozen()
    made.event("paid", "10h")
    assert [(one.kind, one.outcome) for one in made.decisions("ended")] == [("ended", "paid")]


def test_v6_t3_what_is_due_at_the_instant_of_the_pause_is_due_at_its_end_and_what_was_due_before_has_fired() -> None:
    made = World(NUDGE)
    made.event("began", 0, customer="c1")
    made.event("began", 1, customer="c2")
    made.pause("j", 3 * HOUR + 1, freezes=True)
    made.until("5h")
    assert [(h.customer, h.at - START) for h in made.handlings for d in h.decisions if d.kind == "hold_resolved"] == [
        ("c1", 3 * HOUR)
    ]
    made.resume("j", "6h")
    made.event("paid", "6h", customer="c2")
    assert made.decisions("ended")[-1].outcome == "paid", "the event wins the tie, at the later deadline too"


def test_v6_who_enters_in_the_pause_waits_from_its_end() -> None:
    made = World(NUDGE)
    made.pause("j", 0, freezes=True)
    made.event("began", "5h")
    made.resume("j", "7h")
    made.until("2d")
    assert when(made, "hold_resolved") == [("hold_resolved", 10 * HOUR)]


def test_v6_pauses_add_up_whether_or_not_the_customer_was_handled_in_them() -> None:
    seen, unseen = frozen(), frozen()
    for made in (seen, unseen):
        made.resume("j", "90m")
        made.pause("j", "2h", freezes=True)
        if made is seen:
            made.event("noise", "3h", n=0)
        made.resume("j", "4h")
        made.until("2d")
        assert when(made, "hold_resolved") == [("hold_resolved", 3 * HOUR + 150 * MINUTE)]


def test_v6_timers_that_came_due_again_before_a_slow_resume_fire_in_due_order_before_the_next_record() -> None:
    made = frozen()
    made.event("noise", "2h", n=0)
    simulation = made.simulation
    simulation.paused, simulation.freezes = frozenset(), {"j": ((START + HOUR, START + 5 * HOUR),)}  # nobody was asked yet
    made.event("noise", "12h", n=0)
    assert when(made, "hold_resolved", "delay_ended") == [("hold_resolved", 7 * HOUR), ("delay_ended", 9 * HOUR)]


def test_v6_other_journeys_timers_run() -> None:
    other = NUDGE.replace("journey: j", "journey: k").replace("template: remind", "template: k")
    made = frozen(NUDGE, other)
    made.until("1d")
    assert emitted(made) == [("k", 3 * HOUR)]


def test_v6_with_timers_that_run_nothing_is_put_off() -> None:
    made = World(NUDGE)
    made.event("began", 0)
    made.pause("j", "1h")
    made.resume("j", "2h")
    made.until("1d")
    assert when(made, "hold_resolved") == [("hold_resolved", 3 * HOUR)]


def test_v6_the_lifetime_stands_still_with_the_waits() -> None:
    made = frozen(journey_of(WAIT, more="lifetime: 4h", states="done: {final: true, outcome: paid}"))
    made.resume("j", "11h")
    made.until("2d")
    assert when(made, "hold_resolved", "expired") == [("hold_resolved", 13 * HOUR), ("expired", 14 * HOUR)]


@pytest.mark.parametrize(("resumed", "goes"), [("3h", 9 * HOUR), ("20h", 20 * HOUR)])
def test_v6_d1_a_moment_in_time_stays_what_it_is(resumed: str, goes: int) -> None:
    steps = '- {id: morning, delay: {at: "09:00"}}\n- {id: stop, end: {}}'
    made = frozen(journey_of(steps))
    made.resume("j", resumed)
    made.until("3d")
    assert when(made, "delay_ended") == [("delay_ended", goes)]


STEPS = "- {id: open, call: {action: open_case, timeout: 1h, retry: [{on: ['*'], max_attempts: 2, interval: 10m}]}}"
CALL = journey_of(STEPS + "\n- {id: stop, end: {outcome: through}}", entry=AGAIN)


def test_v6_a91_the_answer_to_a_call_that_is_out_is_heard_and_its_timeout_stands_still() -> None:
    made = frozen(CALL, at="20m", policy_of=policy(channels=DESK))
    made.resume("j", "10h")
    made.until("10h+39m")
    assert made.decisions("retry_scheduled") == []
    made.until("2d")
    assert when(made, "retry_scheduled", "call_failed") == [
        ("retry_scheduled", 10 * HOUR + 40 * MINUTE), ("call_failed", 11 * HOUR + 50 * MINUTE),
    ]  # fmt: skip
    heard = frozen(CALL, at="20m", policy_of=policy(channels=DESK))
    heard.event("action.outcome", "5h", action_id=heard.actions[0].action_id, status="succeeded")
    assert [one.outcome for one in heard.decisions("ended")] == ["through"]


def test_v6_a_back_off_stands_still() -> None:
    made = World(CALL, policy=policy(channels=DESK))
    made.event("began", 0)
    made.event("action.outcome", "10m", action_id=made.actions[0].action_id, status="failed", code="busy")
    made.pause("j", "15m", freezes=True)
    made.resume("j", "5h")
    made.until("1d")
    assert calls(made) == [("c1", 1, 0, 3600), ("c1", 2, 5 * 3600 + 5 * 60, 6 * 3600 + 5 * 60)]


def test_v6_x2_a_call_whose_place_comes_in_the_pause_has_its_whole_time_after_it() -> None:
    made = World(CALL, policy=policy(channels=RATE))
    for customer in ("c1", "c2", "c3"):
        made.event("began", 0, customer=customer)
    made.pause("j", 1, freezes=True)
    made.event("began", 2, customer="c2", id="again")
    made.resume("j", "2h")
    made.until("2h+30m")
    assert [(who, attempt, at, until - at) for who, attempt, at, until in calls(made)] == [
        ("c1", 1, 0, 3600), ("c2", 1, 7200, 3600), ("c3", 1, 7210, 3600),
    ]  # fmt: skip
    assert [each.due - START for each in made.document("c3").instances] == [(7210 + 3600) * 1000]


def test_v6_m1_a_merge_keeps_what_was_left_of_either() -> None:
    other = NUDGE.replace("journey: j", "journey: k").replace("on: began}", "on: also}")
    other = other.replace("template: remind", "template: k")
    made = World(NUDGE, other)
    made.event("began", 0, customer="a")
    made.event("also", 0, customer="b")
    for journey in ("j", "k"):
        made.pause(journey, "1h", freezes=True)
    made.event("profile.merged", "2h", customer="a", **{"from": "a", "into": "b"})
    for journey in ("j", "k"):
        made.resume(journey, "11h")
    made.until("3d")
    assert sorted(emitted(made)) == [("k", 13 * HOUR), ("remind", 13 * HOUR)]


def test_v6_what_is_kept_says_since_when_the_clock_stands_and_what_is_left() -> None:
    made = frozen()
    made.event("noise", "2h", n=0)
    (instance,) = portrait(made.customer().stored or b"")["instances"]
    assert (instance["clock_stands_since"], instance["left_s"]) == ("2026-01-05T02:00:00.000Z", 2 * 3600)
    assert "due" not in instance


# Any history, looked at in any way.

LONG = (
    NUDGE.replace("timeout: 3h", "timeout: 40m")
    .replace("delay: 2h", "delay: 25m")
    .replace("on: began}", "on: began, reentry: always}")
)
CALLER = (
    CALL.replace("timeout: 1h", "timeout: 20m").replace("interval: 10m", "interval: 7m").replace("journey: j", "journey: caller")
)
EVENTS = ("began", "began", "paid", "noise", "pause", "resume", "resume", "wait")
histories = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(EVENTS), st.integers(0, 30)), max_size=30)
History = list[tuple[int, str, int]]


@cache
def engine() -> Engine:
    channels = "channels: {email: {topic: e}, desk: {topic: d, kind: action, rate: {limit: 1, per: 5m}}}"
    return Engine(topology(LONG, CALLER, mail("m"), policy=policy(channels=channels)))


def pauses_of(history: History) -> Freezes:
    """When the journeys are paused in a history, as a worker would have it that takes it up only when it is over."""
    found: list[tuple[int, int]] = []
    at = START
    for _, event, minutes in [*history, (0, "resume", 60)]:
        at += minutes * MINUTE
        if event == "pause" and (not found or found[-1][1]):
            found.append((at, 0))
        elif event == "resume" and found and not found[-1][1]:
            found[-1] = (found[-1][0], max(at, found[-1][0] + 1))
    return {"j": tuple(found), "caller": tuple(found)}


def course(made: World) -> list[tuple[object, ...]]:
    """What the waits of all came to. When commands leave is another matter: there a pause must have been seen."""
    kinds = ("hold_started", "hold_resolved", "delay_ended", "ended", "entered")
    return sorted((h.customer, h.at, d.journey, d.kind, d.by) for h in made.handlings for d in h.decisions if d.kind in kinds)


def played(history: History, *, noise: bool = False, knows_all: bool = False) -> World:
    made = World(mail())
    made.simulation = Simulation(engine())
    if knows_all:
        made.simulation.freezes = pauses_of(history)
    minutes = 0
    for number, event, step in [*history, (0, "resume", 60)]:
        minutes += step
        at = minutes * MINUTE
        made.handlings += made.simulation.advance(START + at)
        for customer in ("c0", "c1", "c2") if noise else ():
            made.event("noise", at, customer=customer, n=0)
        for journey in ("j", "caller") if event in ("pause", "resume") and not knows_all else ():
            if event == "pause":
                made.pause(journey, at, freezes=True)
            else:
                made.resume(journey, at)
        if event not in ("pause", "resume", "wait"):
            made.event(event, at, customer=f"c{number}", n=0)
    made.until("5d")
    return made


@given(histories)
def test_v6_a_clock_that_stands_is_the_same_however_often_its_customer_is_handled(history: History) -> None:
    seldom, often = played(history), played(history, noise=True)
    assert course(seldom) == course(often)
    assert told(seldom, "call_failed", "retry_scheduled") == told(often, "call_failed", "retry_scheduled")


@given(histories)
def test_v6_t4_who_was_down_over_the_pause_times_the_waits_as_who_was_not(history: History) -> None:
    was_there, was_down = (
        [each for each in course(played(history, knows_all=knows)) if each[2] == "j"] for knows in (False, True)
    )
    assert was_there == was_down


@given(histories)
def test_v6_nothing_waits_for_ever_after_the_resume(history: History) -> None:
    made = played(history)
    assert made.incidents == [] or {each.reason for each in made.incidents} == {"action_failed"}
    for customer in made.simulation.customers:
        assert all(each.parked or (each.due == 0 and not each.step) for each in made.document(customer).instances)

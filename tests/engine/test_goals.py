"""Goals and counters (rules G1, G2), and lifetimes (ruling A83)."""

from __future__ import annotations

import pytest

from orchestrator.names import Count
from tests.engine.world import World, offset_ms

GOALS = """
journey: onboarding
version: 1
owner: team
purpose: care
entry: {on: [signup.created, payment.succeeded], reentry: always}
exit:
  - {on: account.closed, outcome: closed}
context: {plan: event.plan}
goals:
  - {id: paid, on: payment.succeeded, when: event.amount > 0.0, within: 30d, primary: true}
  - {id: pro, on: auth.login, when: journey.plan == "pro", within: 7d}
start: s
states:
  s: {rest: true}
"""


def goals(world: World) -> list[dict[str, str]]:
    return [decision.detail or {} for decision in world.decisions("goal_reached")]


@pytest.mark.parametrize(("at", "reached"), [("30d", True), ("30d+1ms", False)])
def test_g1_a_goal_is_reached_up_to_and_at_the_end_of_its_window(at: str, reached: bool) -> None:
    # entry 0 ------------------- 30d end of the window
    #                            ^ payment exactly at it, and just after
    world = World(GOALS)
    world.event("signup.created", "0s", plan="pro")
    world.event("payment.succeeded", at, amount=5.0)
    assert goals(world) == ([{"goal": "paid", "took_ms": str(offset_ms("30d"))}] if reached else [])


def test_g1_a_goal_is_reached_once_and_moves_nothing() -> None:
    world = World(GOALS)
    world.event("signup.created", "0s", plan="pro")
    for day in (1, 2):
        world.event("auth.login", f"{day}d")
    assert goals(world) == [{"goal": "pro", "took_ms": str(offset_ms("1d"))}]
    assert world.state("onboarding") == "s"


def test_g1_a_goal_is_reached_after_the_end_of_the_instance_with_its_context() -> None:
    # entry 0 --- closed 1d --- login 2d
    world = World(GOALS)
    world.event("signup.created", "0s", plan="pro")
    world.event("account.closed", "1d")
    assert world.state("onboarding") is None
    world.event("auth.login", "2d")
    assert goals(world) == [{"goal": "pro", "took_ms": str(offset_ms("2d"))}]
    (decision,) = world.decisions("goal_reached")
    assert decision.instance == world.decisions("entered")[0].instance


def test_g1_the_entrys_own_event_does_not_count() -> None:
    world = World(GOALS)
    world.event("payment.succeeded", "0s", amount=5.0, plan="pro")
    assert [decision.kind for decision in world.decisions("entered", "goal_reached")] == ["entered"]
    world.event("payment.succeeded", "1d", amount=5.0, plan="pro")
    assert len(goals(world)) == 1


def test_g1_a_duplicate_reaches_no_goal_and_the_condition_must_hold() -> None:
    world = World(GOALS)
    world.event("signup.created", "0s", id="e", plan="free")
    world.event("payment.succeeded", "1h", id="e", amount=5.0)  # a repeat of the id
    world.event("payment.succeeded", "1d", amount=0.0)
    world.event("auth.login", "2d")
    assert goals(world) == []
    world.event("payment.succeeded", "3d")  # no amount: unknown is not true
    assert goals(world) == []
    (error,) = world.decisions("condition_error")
    assert (error.detail or {})["goal"] == "paid"


def test_g1_a_late_event_counts_by_its_own_time() -> None:
    # entry 0 ------ 30d end ---- 30d+1h another event, then a payment of day 29 arrives
    world = World(GOALS)
    world.event("signup.created", "0s", plan="pro")
    world.event("account.opened", "30d+1h", customer="other")
    world.simulation.run_until(world.simulation.clock + offset_ms("1h"))
    world.event("payment.succeeded", "29d", amount=5.0)
    assert goals(world) == [{"goal": "paid", "took_ms": str(offset_ms("29d"))}]


def test_g1_what_can_no_longer_be_reached_is_forgotten_and_watches_are_bounded() -> None:
    world = World(GOALS)
    world.event("signup.created", "0s", plan="pro")
    world.event("account.closed", "1d")
    world.event("auth.login", "40d")
    assert world.document().goals == []
    for n in range(101):
        world.event("signup.created", f"{41 + n}m", customer="c2", plan="pro")
        world.event("account.closed", f"{41 + n}m", customer="c2")
    assert len(world.document("c2").goals) == 100
    assert world.count(Count.FORGOTTEN_GOALS) == 1


def test_g1_w6_a_goal_with_a_key_is_reached_by_its_own_instance_only() -> None:
    world = World(GOALS.replace("reentry: always", "reentry: always, key: event.account"))
    world.event("signup.created", "0s", plan="pro", account="a")
    world.event("signup.created", "1h", plan="pro", account="b")
    world.event("auth.login", "1d", account="b")
    assert [decision.key for decision in world.decisions("goal_reached")] == ["b"]


COUNTING = """
journey: busy
version: 1
owner: team
purpose: care
entry: {on: auth.login, when: 'count_within("auth.login", "7d") >= 3', reentry: always}
start: s
states:
  s:
    steps:
      - {id: wait, delay: 1d}
      - id: choose
        split:
          - {when: 'count_within("auth.login", duration("24h")) > 0', go: still}
          - {else: continue}
      - {id: stop, end: {outcome: quiet}}
  still: {final: true, outcome: still}
"""


@pytest.mark.parametrize(("third", "entered"), [("7d-1ms", True), ("7d", False)])
def test_g2_count_within_reaches_back_to_but_not_at_the_start_of_its_span(third: str, entered: bool) -> None:
    # login 0 --- login 1d --- ... the third one, the event at hand included: (t - 7d, t]
    world = World(COUNTING)
    world.event("auth.login", "0s")
    world.event("auth.login", "1d")
    world.event("auth.login", third)
    assert bool(world.decisions("entered")) is entered


def test_g2_duplicates_do_not_count() -> None:
    world = World(COUNTING)
    for _ in range(3):
        world.event("auth.login", "0s", id="same")
    assert world.decisions("entered") == []


def test_g2_count_within_after_a_timer_ends_at_the_due_instant() -> None:
    # three logins at 0, 1h, 2h; the timer fires at 1d2h and looks back 24h: (2h, 1d2h] holds none
    world = World(COUNTING)
    for hour in (0, 1, 2):
        world.event("auth.login", f"{hour}h")
    world.until("5d")
    assert [decision.outcome for decision in world.decisions("ended")] == ["quiet"]


def test_g2_at_most_100_times_are_kept_and_old_ones_are_forgotten() -> None:
    world = World(COUNTING)
    for second in range(150):
        world.event("auth.login", f"{second}s")
    memory = world.document().memory
    assert memory is not None
    assert len(memory.times["auth.login"]) == 100
    world.event("auth.login", "8d")
    memory = world.document().memory
    assert memory is not None
    assert len(memory.times["auth.login"]) == 1


LIFETIME = """
journey: short
version: 1
owner: team
purpose: care
lifetime: 2d
entry: {on: began, reentry: always}
start: s
states:
  s:
    steps:
      - {id: w, hold_until: [{on: done, go: happy}], timeout: 2d, on_timeout: sad}
  happy: {final: true, outcome: happy}
  sad: {rest: true}
"""


@pytest.mark.parametrize(("at", "end"), [("2d", ("ended", "happy")), ("2d+1ms", ("expired", ""))])
def test_a83_t3_an_event_at_the_end_of_the_lifetime_wins(at: str, end: tuple[str, str]) -> None:
    # began 0 -------------- 2d lifetime
    #                       ^ done exactly at it, and just after
    world = World(LIFETIME)
    world.event("began", "0s")
    world.event("done", at)
    world.until("3d")
    assert [(decision.kind, decision.outcome) for decision in world.decisions("ended", "expired")] == [end]
    assert world.document().instances == []


def test_a83_a_resting_instance_expires_too() -> None:
    world = World(LIFETIME.replace("timeout: 2d", "timeout: 1d"))
    world.event("began", "0s")
    world.until("2d")
    assert [(decision.kind, decision.state) for decision in world.decisions("expired")] == [("expired", "sad")]

"""Waits that look back, rank, and hear late events (rules W2, W3, E5, T5; rulings A03, A08, A42-A47, A54)."""

from __future__ import annotations

import pytest

from orchestrator.names import Count
from tests.engine.world import POLICY, START, World, offset_ms

JOURNEY = """
journey: j
version: 1
owner: team
purpose: care
entry: {on: [began, bought], when: ENTRY, reentry: always}
context: {plan: event.plan}
start: first
states:
  first:
    on: [{event: moved, go: second}]
    steps:
      - {id: pause, delay: 2d}
      - {id: on, go: second}
  second:
    steps:
      - id: w
        hold_until:
          - {on: left, go: gone}
          - {on: bought, when: event.price > 1.0, go: happy, as: order}
          - {on: moved, go: gone}
        timeout: 3d
        on_timeout: quiet
        SETTINGS
  happy:
    steps:
      - {id: thanks, send: {channel: email, template: thanks, data: {item: journey.order.item}}}
      - {id: stop, end: {outcome: happy}}
  quiet: {rest: true}
  gone: {final: true, outcome: gone}
"""


def world(settings: str, entry: str = 'event.kind != "x"', journey: str = JOURNEY) -> World:
    return World(journey.replace("SETTINGS", settings).replace("ENTRY", entry))


def resolved(it: World) -> list[tuple[str, str]]:
    return [(decision.by, (decision.detail or {}).get("branch", "")) for decision in it.decisions("hold_resolved")]


def buy(it: World, at: str, price: float = 5.0, item: str = "pen", **more: object) -> None:
    it.event("bought", at, price=price, item=item, kind="x", **more)  # kind x: no entry


def test_w2_an_earlier_event_takes_its_branch_at_once_with_its_data() -> None:
    # began 0 --- bought 1d (pen), 1d12h (cup) --- the wait begins 2d
    it = world("lookback: since_entry")
    it.event("began", "0s", kind="a")
    buy(it, "1d", item="pen")
    buy(it, "1d+12h", item="cup")
    it.until("2d")
    assert resolved(it) == [("lookback", "2")]
    assert [(action.created_at - START, action.data) for action in it.actions] == [(offset_ms("2d"), {"item": "pen"})]
    assert it.decisions("ended")[0].outcome == "happy"


def test_w1_without_lookback_only_what_comes_after_the_wait_began_counts() -> None:
    it = world("on_repeat: ignore")
    it.event("began", "0s", kind="a")
    buy(it, "1d")
    it.until("3d")
    assert resolved(it) == []
    memory = it.document().memory
    assert memory is None


def test_w2_the_earliest_match_counts_whatever_its_branch_and_conditions_hold() -> None:
    it = world("lookback: since_entry")
    it.event("began", "0s", kind="a")
    buy(it, "1h", price=0.5)  # matches no branch
    buy(it, "2h")
    it.event("left", "3h")
    it.until("2d")
    assert resolved(it) == [("lookback", "2")]


def test_w4_the_record_that_moved_the_instance_into_the_wait_is_not_looked_back_at() -> None:
    # `moved` ends the first state and is also a branch of the wait that it leads into
    it = world("lookback: since_entry")
    it.event("began", "0s", kind="a")
    it.event("moved", "1d")
    assert it.state("j") == "second"
    assert resolved(it) == []


@pytest.mark.parametrize(("include", "by"), [("", "timeout"), ("\n        include_entry: true", "lookback")])
def test_e5_a03_the_entrys_own_event_counts_only_if_included(include: str, by: str) -> None:
    it = world(f"lookback: since_entry{include}")
    it.event("bought", "0s", price=5.0, item="pen", kind="a")
    it.until("6d")
    assert [found[0] for found in resolved(it)] == [by]


def test_e5_the_entrys_own_event_counts_for_a_wait_that_begins_at_once() -> None:
    it = world("lookback: since_entry\n        include_entry: true", journey=JOURNEY.replace("delay: 2d", "delay: 0s"))
    it.event("bought", "0s", price=5.0, item="pen", kind="a")
    assert resolved(it) == [("lookback", "2")]


def test_a42_since_entry_does_not_reach_before_the_entry_and_a_duration_does() -> None:
    # bought -1h --- began 0 --- the wait begins 2d
    since = world("lookback: since_entry")
    buy(since, "-1h")
    since.event("began", "0s", kind="a")
    since.until("6d")
    assert resolved(since) == [("timeout", "")]
    longer = world("lookback: 3d")
    buy(longer, "-1h")
    longer.event("began", "0s", kind="a")
    longer.until("6d")
    assert resolved(longer) == [("lookback", "2")]


def test_a42_since_entry_does_not_reach_before_it_although_another_journey_has_the_event_kept() -> None:
    # bought -1h, kept for `other` --- began 0: both wait 2d to 5d; only the one with a duration reaches back
    own = JOURNEY.replace("ENTRY", 'event.kind != "x"')
    other = own.replace("journey: j", "journey: other").replace("SETTINGS", "lookback: 9d")
    it = World(own.replace("SETTINGS", "lookback: since_entry"), other)
    buy(it, "-1h")
    it.event("began", "0s", kind="a")
    it.until("6d")
    assert [(d.journey, d.by) for d in it.decisions("hold_resolved")] == [("other", "lookback"), ("j", "timeout")]


@pytest.mark.parametrize(("at", "by"), [("1d", "lookback"), ("1d-1ms", "timeout")])
def test_a44_the_interval_holds_its_start_and_not_its_end(at: str, by: str) -> None:
    # the wait begins 2d and looks back one day: [1d, 2d)
    it = world("lookback: 1d")
    it.event("began", "0s", kind="a")
    buy(it, at)
    it.until("6d")
    assert [found[0] for found in resolved(it)] == [by]


def test_a44_an_event_at_the_instant_at_which_the_wait_begins_is_before_it_and_not_looked_back_at() -> None:
    it = world("lookback: 1d")
    it.event("began", "0s", kind="a")
    buy(it, "2d")  # handled before the timer of the same instant
    it.until("6d")
    assert resolved(it) == [("timeout", "")]


def test_a43_a_look_back_judges_with_the_context_of_now() -> None:
    journey = JOURNEY.replace("event.price > 1.0", "event.price > journey.least").replace(
        "- {id: pause, delay: 2d}", "- {id: pause, delay: 2d}\n      - {id: raise, set: {journey.least: '10.0'}}"
    )
    it = world("lookback: since_entry", journey=journey)
    it.event("began", "0s", kind="a")
    buy(it, "1d", price=5.0)
    buy(it, "1d+1h", price=11.0, item="cup")
    it.until("2d")
    assert [action.data for action in it.actions] == [{"item": "cup"}]


def test_a46_the_event_of_the_steps_after_a_look_back_is_the_matched_one() -> None:
    it = world("lookback: since_entry", journey=JOURNEY.replace("journey.order.item", "event.item"))
    it.event("began", "0s", kind="a")
    buy(it, "1d", item="pen")
    it.until("2d")
    assert [action.data for action in it.actions] == [{"item": "pen"}]


def test_w6_a42_events_of_other_keys_are_not_looked_back_at() -> None:
    it = world("lookback: since_entry", journey=JOURNEY.replace("reentry: always", "reentry: always, key: event.account"))
    it.event("began", "0s", kind="a", account="a")
    buy(it, "1d", account="b")
    buy(it, "1d+1h", account="a", item="cup")
    it.until("2d")
    assert [action.data for action in it.actions] == [{"item": "cup"}]


def test_what_no_look_back_needs_any_more_is_forgotten() -> None:
    it = world("lookback: since_entry")
    it.event("began", "0s", kind="a")
    buy(it, "1d")
    memory = it.document().memory
    assert memory is not None
    assert len(memory.events) == 1
    it.until("2d")
    memory = it.document().memory
    assert memory is not None
    assert memory.events == []
    buy(it, "3d")
    memory = it.document().memory
    assert memory is not None
    assert memory.events == []


def test_at_most_100_events_of_a_type_are_remembered() -> None:
    it = world("lookback: since_entry")
    it.event("began", "0s", kind="a")
    for minute in range(103):
        buy(it, f"{minute}m", price=0.0)
    memory = it.document().memory
    assert memory is not None
    assert len(memory.events) == 100
    assert it.count(Count.FORGOTTEN_EVENTS) == 3


RANKED = "match: ranked"


def test_w3_a45_a47_ranked_waits_to_the_deadline_and_takes_the_highest_branch_with_its_earliest_match() -> None:
    # the wait: 2d to 5d. bought (2nd) 3d, left (1st) 4d
    it = world(RANKED)
    it.event("began", "0s", kind="a")
    buy(it, "3d")
    it.event("left", "4d")
    assert resolved(it) == []
    it.until("5d")
    assert resolved(it) == [("event", "1")]
    assert it.decisions("ended")[0].outcome == "gone"


def test_a45_the_earliest_match_of_the_winning_branch_is_kept() -> None:
    it = world(RANKED)
    it.event("began", "0s", kind="a")
    buy(it, "3d", item="pen")
    buy(it, "4d", item="cup")
    it.until("5d")
    assert [(action.created_at - START, action.data) for action in it.actions] == [(offset_ms("5d"), {"item": "pen"})]


def test_a45_the_earliest_match_is_so_by_its_own_time_and_not_by_its_arrival() -> None:
    # bought cup 4d, and then, late, pen of 3d
    it = world(RANKED)
    it.event("began", "0s", kind="a")
    buy(it, "4d", item="cup")
    buy(it, "3d", item="pen")
    it.until("5d")
    assert [action.data for action in it.actions] == [{"item": "pen"}]


def test_a47_a_ranked_wait_that_nothing_matched_times_out() -> None:
    it = world(RANKED)
    it.event("began", "0s", kind="a")
    buy(it, "3d", price=0.0)
    it.until("5d")
    assert resolved(it) == [("timeout", "")]
    assert it.state("j") == "quiet"


def test_a43_earlier_matches_join_the_candidates_and_the_wait_runs_on() -> None:
    it = world("lookback: since_entry\n        match: ranked")
    it.event("began", "0s", kind="a")
    buy(it, "1d", item="pen")
    buy(it, "3d", item="cup")
    it.until("2d+1h")
    assert it.state("j") == "second"
    it.until("5d")
    assert resolved(it) == [("event", "2")]
    assert [action.data for action in it.actions] == [{"item": "pen"}]


LATE = "on_late: happy"


def late(settings: str) -> World:
    """began 0, the wait 2d to 5d; another customer's record moves the partition's clock past it."""
    it = world(settings)
    it.event("began", "0s", kind="a")
    it.event("began", "6d", customer="other", kind="a")
    assert it.state("j") == "quiet"
    return it


def test_t5_a08_a_late_event_compensates_after_the_timeout_stood() -> None:
    it = late(LATE)
    buy(it, "5d")  # at the deadline, but it comes when the clock shows 6d
    assert resolved(it) == [("timeout", "")]
    (decision,) = it.decisions("late_event")
    assert (decision.step, decision.state, decision.detail) == (
        "w",
        "quiet",
        {"branch": "2", "deadline": str(START + offset_ms("5d"))},
    )
    assert [action.data for action in it.actions] == [{"item": "pen"}]
    assert it.state("j") is None


def test_t5_without_on_late_the_late_event_is_logged_once_and_moves_nothing() -> None:
    it = late("on_repeat: ignore")
    buy(it, "4d")
    buy(it, "4d+1h")
    assert len(it.decisions("late_event")) == 1
    assert it.state("j") == "quiet"


@pytest.mark.parametrize(("at", "price"), [("5d+1ms", 5.0), ("4d", 0.5)])
def test_t5_an_event_after_the_deadline_or_that_matches_no_branch_is_not_late(at: str, price: float) -> None:
    it = late(LATE)
    buy(it, at, price=price)
    assert it.decisions("late_event") == []
    assert it.state("j") == "quiet"


def test_a08_an_instance_that_is_over_is_not_moved() -> None:
    it = world(LATE, journey=JOURNEY.replace("quiet: {rest: true}", "quiet: {final: true}"))
    it.event("began", "0s", kind="a")
    it.event("began", "6d", customer="other", kind="a")
    buy(it, "4d")
    assert it.decisions("late_event") == []
    assert it.actions == []


@pytest.mark.parametrize(("clock", "count"), [("35d", 1), ("35d+1ms", 0)])
def test_a54_a_wait_is_remembered_for_limits_wait(clock: str, count: int) -> None:
    policy = POLICY + "limits: {wait: 30d}\n"
    it = World(JOURNEY.replace("SETTINGS", LATE).replace("ENTRY", 'event.kind != "x"'), policy=policy)
    it.event("began", "0s", kind="a")
    it.event("began", clock, customer="other", kind="a")
    buy(it, "4d")
    assert len(it.decisions("late_event")) == count

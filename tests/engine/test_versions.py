"""Versions side by side (rule V1): an instance goes on as the version that it started on, whatever that version alone needs."""

from __future__ import annotations

import pytest

from orchestrator.engine.engine import Engine
from tests.engine.world import POLICY, START, World, offset_ms, topology

FIRST = """
journey: j
version: 1
purpose: care
priority: 10
entry: {on: began, reentry: always}
exit: [{on: gone, outcome: gone}]
goals: [{id: paid, on: paid, within: 30d}]
start: s
states:
  s:
    on: [{event: skip, go: skipped}]
    steps:
      - {id: pause, delay: 2d}
      - {id: often, when: "count_within('visited', '7d') >= 2", send: {channel: email, template: often}}
      - {id: order, hold_until: [{on: bought, go: happy}], timeout: 3d, lookback: since_entry}
      - {id: old, send: {channel: email, template: old}}
      - {id: stop, end: {outcome: old}}
  skipped: {final: true, outcome: skipped}
  happy: {final: true, outcome: happy}
"""
SECOND = """
journey: j
version: 2
purpose: care
priority: 90
entry: {on: began, reentry: always}
start: s
states:
  s:
    steps:
      - {id: pause, delay: 1d}
      - {id: new, send: {channel: email, template: new}}
      - {id: stop, end: {outcome: new}}
"""
RIVAL = """
journey: rival
version: 1
purpose: care
priority: 50
entry: {on: other, reentry: always}
start: s
states: {s: {rest: true}}
"""


def restarted(world: World, *journeys: str, earlier: tuple[str, ...] = (FIRST,), policy: str = POLICY) -> World:
    """Go on with other files, as a worker does after a restart."""
    world.simulation.engine = Engine(topology(*journeys, policy=policy, earlier=earlier))
    return world


def begun_on_the_first(*more: str, policy: str = POLICY) -> World:
    """A world in which c1 stands on version 1 since 0s, and version 2 takes the entries from now on."""
    world = World(FIRST, *more, policy=policy)
    world.event("began", "0s")
    return restarted(world, SECOND, *more, policy=policy)


def outcomes(world: World) -> list[tuple[int, str]]:
    return [(decision.version, decision.outcome) for decision in world.decisions("ended", "exited")]


def test_v1_an_instance_keeps_its_version_while_new_ones_take_the_newest() -> None:
    # v1: 2d, then a wait of 3d; v2: 1d
    world = begun_on_the_first()
    world.event("began", "1h", customer="c2")
    world.until("10d")
    sent = [(action.customer, action.version, action.template, action.created_at - START) for action in world.actions]
    assert sent == [("c2", 2, "new", offset_ms("1d+1h")), ("c1", 1, "old", offset_ms("5d"))]
    assert outcomes(world) == [(2, "new"), (1, "old")]


@pytest.mark.parametrize(("event", "outcome"), [("skip", "skipped"), ("gone", "gone")])
def test_v1_an_event_that_only_the_earlier_version_listens_to_is_heard(event: str, outcome: str) -> None:
    world = begun_on_the_first()
    world.event(event, "1h")
    assert outcomes(world) == [(1, outcome)]


def test_v1_w2_what_only_the_earlier_version_looks_back_at_is_remembered() -> None:
    # began 0 --- bought 1d --- the wait begins 2d
    world = begun_on_the_first()
    world.event("bought", "1d")
    world.until("2d")
    assert outcomes(world) == [(1, "happy")]


def test_v1_g2_what_only_the_earlier_version_counts_is_counted() -> None:
    world = begun_on_the_first()
    world.event("visited", "1h")
    world.event("visited", "2h")
    world.until("2d")
    assert world.sent() == [("often", offset_ms("2d"))]


def test_v1_g1_a_goal_of_the_earlier_version_is_reached_and_not_by_instances_of_the_later() -> None:
    world = begun_on_the_first()
    world.event("began", "1h", customer="c2")
    world.event("paid", "2h")
    world.event("paid", "3h", customer="c2")
    assert [decision.version for decision in world.decisions("goal_reached")] == [1]


def test_v1_q2_an_instance_of_the_earlier_version_is_in_its_exclusive_group_with_its_own_priority() -> None:
    # 10 for version 1, 90 for version 2, 50 for the rival: it pushes an instance of version 1 out, and one of version 2 never
    policy = POLICY + "exclusive: [{id: one, journeys: [j, rival], on_conflict: preempt}]\n"
    world = begun_on_the_first(RIVAL, policy=policy)
    world.event("began", "1h", customer="c2")
    world.event("other", "2h")
    world.event("other", "3h", customer="c2")
    found = [(one.kind, one.journey, one.version, one.reason) for one in world.decisions("entered", "exited", "entry_refused")]
    assert found[2:] == [("exited", "j", 1, "preempted"), ("entered", "rival", 1, ""), ("entry_refused", "rival", 1, "exclusive")]


def test_v1_e1_an_instance_of_the_earlier_version_stands_against_a_second_entry() -> None:
    world = begun_on_the_first()
    world.event("began", "1h")
    (refused,) = world.decisions("entry_refused")
    assert (refused.version, refused.reason) == (2, "already_active")


def test_v1_three_versions_run_side_by_side() -> None:
    third = SECOND.replace("version: 2", "version: 3").replace("template: new", "template: newest")
    world = begun_on_the_first()
    world.event("began", "1h", customer="c2")
    restarted(world, third, earlier=(SECOND, FIRST))
    world.event("began", "2h", customer="c3")
    world.until("10d")
    assert [(action.customer, action.version, action.template) for action in world.actions] == [
        ("c2", 2, "new"),
        ("c3", 3, "newest"),
        ("c1", 1, "old"),
    ]


def test_v1_a_journey_of_which_only_an_earlier_version_is_kept_goes_on_and_nobody_enters() -> None:
    world = World(FIRST)
    world.event("began", "0s")
    restarted(world, RIVAL)
    world.event("began", "1h", customer="c2")
    world.until("10d")
    assert [(action.customer, action.template) for action in world.actions] == [("c1", "old")]
    assert [decision.customer for decision in world.handlings if decision.customer == "c2"] == []


def test_v1_a4_what_is_parked_on_an_earlier_version_can_be_redriven() -> None:
    # without its file the instance is parked when it is due; with the file put back, a redrive runs the step again
    world = World(FIRST)
    world.event("began", "0s")
    restarted(world, SECOND, earlier=())
    world.until("3d")
    assert [incident.reason for incident in world.incidents] == ["version_missing"]
    restarted(world, SECOND)
    world.handlings += world.simulation.engine.redrive(world.customer(), "pause", START + offset_ms("4d"))
    assert world.document().instances[0].parked == ""

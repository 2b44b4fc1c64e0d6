"""What a newer version makes of instances of earlier ones (rules V2, V3): stay, move to a step, begin anew, end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.names import Kind
from orchestrator.programs import with_entries
from tests.engine.world import START, World, journey_of, offset_ms, topology

FIRST = journey_of(
    """
    - {id: hello, send: {channel: email, template: hello}}
    - {id: wait, hold_until: [{on: paid, go: done}], timeout: 3d}
    - {id: remind, send: {channel: email, template: old}}
    """,
    more="exit: [{on: gone, outcome: gone}]\nlifetime: 9d",
    states="done: {final: true, outcome: paid}",
)
SECOND_STEPS = """
- {id: hello, send: {channel: email, template: welcome}}
- {id: patience, hold_until: [{on: settled, go: done}], timeout: 1d}
- {id: remind, send: {channel: email, template: new}}
- {id: sleep, delay: 5d}
- {id: stop, end: {outcome: silent}}
"""


def second(rule: str, steps: str = SECOND_STEPS) -> str:
    text = journey_of(steps, more=f"inherits: [{{version: 1, step: wait, {rule}}}]", states="done: {final: true, outcome: paid}")
    return text.replace("version: 1\n", "version: 2\n", 1)


def published(world: World, text: str, earlier: str = FIRST) -> World:
    world.simulation.engine = Engine(topology(text, earlier=(earlier,)))
    return world


def begun(rule: str, steps: str = SECOND_STEPS, at: str = "6h") -> World:
    """A world in which c1 waits on version 1 since 0s, and version 2 takes over from `at` on."""
    world = World(FIRST)
    world.event("began", "0s")
    world.until(at)
    return published(world, second(rule, steps))


def told(world: World, *kinds: str) -> list[tuple[int, str, int, str, str]]:
    """When, what, on which version and step, and why."""
    return [
        (handling.at - START, each.kind, each.version, each.step, each.reason)
        for handling in world.handlings
        for each in handling.decisions
        if each.kind in kinds
    ]


def sent(world: World) -> list[tuple[int, int, str]]:
    return [(action.created_at - START, action.version, action.template) for action in world.actions]


@pytest.mark.parametrize("rule", ["step: wait, policy: stay", "step: hello, policy: exit"])
def test_v2_who_stays_or_stands_elsewhere_goes_on_as_begun(rule: str) -> None:
    world = World(FIRST)
    world.event("began", "0s")
    published(world, second("policy: exit").replace("step: wait, policy: exit", rule))
    world.until("4d")
    assert sent(world) == [(0, 1, "hello"), (offset_ms("3d"), 1, "old")]
    assert told(world, Kind.TAKEN_OVER, Kind.EXITED) == []


def test_v2_exit_ends_the_instance_when_the_customer_is_next_handled() -> None:
    world = begun("policy: exit")
    world.event("paid", "1d")
    assert told(world, Kind.EXITED, Kind.ENDED, Kind.HOLD_RESOLVED) == [(offset_ms("1d"), "exited", 1, "", "published")]
    world = begun("policy: exit")
    world.until("4d")  # nothing but its timer touches it
    assert told(world, Kind.EXITED, Kind.HOLD_RESOLVED) == [(offset_ms("3d"), "exited", 1, "", "published")]
    assert sent(world) == [(0, 1, "hello")]


def test_v2_restart_begins_the_new_version_anew_with_action_ids_of_its_own() -> None:
    world = begun("policy: restart")
    world.event("paid", "1d")
    assert told(world, Kind.TAKEN_OVER) == [(offset_ms("1d"), "taken_over", 2, "", "restart")]
    assert sent(world) == [(0, 1, "hello"), (offset_ms("1d"), 2, "welcome")]
    assert len({action.action_id for action in world.actions}) == 2
    assert len({action.instance for action in world.actions}) == 1, "it is the same instance"
    world.until("2d")
    assert sent(world)[-1] == (offset_ms("2d"), 2, "new"), "its wait began at the restart"


def test_v2_what_touches_the_customer_does_not_move_the_instance_twice() -> None:
    # The record that restarts it is no event to its steps, and a repeat of an event takes over as well as a new one.
    steps = """
    - {id: note, set: {journey.seen: event.amount}}
    - {id: patience, hold_until: [{on: settled, go: done}], timeout: 1d, on_repeat: {restart: 1}}
    - {id: stop, end: {}}
    """
    world = begun("policy: restart", steps)
    world.event("paid", "1d", id="twice", amount=5)
    assert told(world, Kind.CONDITION_ERROR) == [(offset_ms("1d"), "condition_error", 2, "note", "")]
    world.event("paid", "1d+1h", amount=5)  # did not begin the wait
    world.until("2d")
    assert told(world, Kind.HOLD_RESOLVED) == [(offset_ms("2d"), "hold_resolved", 2, "patience", "")]

    again = World(FIRST)
    again.event("began", "0s", id="one")
    published(again, second("policy: restart"))
    again.event("began", "1h", id="one")
    assert sent(again) == [(0, 1, "hello"), (offset_ms("1h"), 2, "welcome")]


def test_v2_held_sends_are_cancelled_where_the_instance_ends() -> None:
    policy = """
    channels: {email: {topic: actions.email, quiet_hours: {from: "21:00", to: "08:00"}}}
    purposes: {care: {consent: not_required, basis: contract}}
    """
    world = World(FIRST, policy=policy)
    world.event("began", "0s")  # midnight: it waits until eight
    world.simulation.engine = Engine(topology(second("policy: exit"), policy=policy, earlier=(FIRST,)))
    world.event("paid", "1h")
    assert told(world, Kind.ACTION_CANCELLED) == [(offset_ms("1h"), "action_cancelled", 1, "hello", "published")]
    world.until("2d")
    assert sent(world) == []


@pytest.mark.parametrize(
    ("published_at", "touched", "fires"), [("6h", "12h", "1d"), ("6h", "1d", "1d"), ("2d", "2d+1h", "2d+1h")]
)
def test_v3_the_deadline_counts_from_arrival_at_the_old_step(published_at: str, touched: str, fires: str) -> None:
    world = begun("policy: move_to, to: patience", at=published_at)
    world.event("paid", touched)
    world.until("2d+2h")
    assert told(world, Kind.TAKEN_OVER)[0][0] == offset_ms(touched)
    resolved = [each for each in told(world, Kind.HOLD_RESOLVED) if each[2] == 2]
    assert resolved == [(offset_ms(fires), "hold_resolved", 2, "patience", "")]
    assert sent(world) == [(0, 1, "hello"), (offset_ms(fires), 2, "new")]


def test_v3_an_event_at_the_new_deadline_wins_the_tie_and_one_after_it_does_not() -> None:
    world = begun("policy: move_to, to: patience")
    world.event("settled", "1d")
    assert told(world, Kind.ENDED) == [(offset_ms("1d"), "ended", 2, "", "")]
    world = begun("policy: move_to, to: patience")
    world.event("settled", "1d+1ms")
    assert told(world, Kind.ENDED) == [] and sent(world)[-1][2] == "new"


def test_v3_a_longer_wait_goes_on_where_the_shorter_one_would_have_ended() -> None:
    longer = SECOND_STEPS.replace("timeout: 1d", "timeout: 7d")
    world = begun("policy: move_to, to: patience", longer)
    world.until("4d")
    assert told(world, Kind.TAKEN_OVER)[0][0] == offset_ms("3d"), "by its own timer"
    assert sent(world) == [(0, 1, "hello")]
    world.until("8d")
    assert sent(world)[-1] == (offset_ms("7d"), 2, "new")


def test_v3_a_delay_counts_from_the_old_ones_arrival_too() -> None:
    first = journey_of("- {id: wait, delay: 3d, smooth_over: 1h}\n- {id: stop, end: {}}", entry="{on: began, reentry: always}")
    world = World(first)
    world.event("began", "1h")
    published(world, second("policy: move_to, to: sleep"), first)
    world.event("began", "2d")
    world.until("7d")
    assert told(world, Kind.DELAY_ENDED) == [(offset_ms("5d+1h"), "delay_ended", 2, "sleep", "")]


def test_v2_a_send_can_be_moved_to_and_leaves_at_once() -> None:
    world = begun("policy: move_to, to: remind")
    world.event("paid", "1d")
    assert sent(world) == [(0, 1, "hello"), (offset_ms("1d"), 2, "new")]


def test_v5_after_a_rollback_the_later_version_takes_nobody_over() -> None:
    world = World(FIRST)
    world.event("began", "0s")
    rolled_back = topology(second("policy: exit"), earlier=(FIRST,))
    world.simulation.engine = Engine(with_entries(rolled_back, {"j": 1}))
    world.until("4d")
    assert sent(world)[-1] == (offset_ms("3d"), 1, "old") and told(world, Kind.EXITED) == []


# From a wait whose verb cannot tell when it began.

KINDS_OF_WAIT = {
    "until a moment": 'delay: {until: "event.then"}',
    "until a time of day": 'delay: {at: "23:59", days: [sun]}',
    "an answer": "call: {action: open-case, timeout: 5d, retry: [{on: ['*'], max_attempts: 5, interval: 2d, max_delay: 2d}]}",
}


@pytest.mark.parametrize("wait", KINDS_OF_WAIT.values(), ids=KINDS_OF_WAIT)
@pytest.mark.parametrize(("semantics", "fires"), [(3, "2d"), (2, "2d+12h")])
def test_v3_any_wait_counts_from_the_arrival_and_earlier_semantics_from_the_move(wait: str, semantics: int, fires: str) -> None:
    first = journey_of(f"- {{id: wait, {wait}}}\n- {{id: stop, end: {{}}}}")
    world = World(first)
    world.event("began", "1d", then=datetime.fromtimestamp((START + offset_ms("6d")) / 1000, UTC))
    if "call" in wait:
        world.event("action.outcome", "1d+2h", action_id=world.actions[0].action_id, status="failed", code="busy")
    world.simulation.engine = Engine(topology(second("policy: move_to, to: patience"), earlier=(first,)), semantics=semantics)
    world.event("began", "1d+12h", id="again")
    world.until("4d")
    resolved = [each for each in told(world, Kind.HOLD_RESOLVED) if each[2] == 2]
    assert resolved == [(offset_ms(fires), "hold_resolved", 2, "patience", "")]

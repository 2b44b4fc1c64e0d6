"""What an operator asks for about one customer is a record like any other (rules A4, F1)."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.names import Count, Kind, Reason
from tests.engine.world import START, World, journey_of

HOUR = 3_600_000
WAITS = journey_of(
    "- {id: ask, hold_until: [{on: answered, go: done}], timeout: 5d, on_timeout: done}",
    states="done:\n  steps:\n    - {id: bye, send: {channel: email, template: bye}}\n    - {id: over, end: {outcome: done}}\n",
)
CALLS = journey_of(
    "- {id: open, call: {action: open, retry: [{on: busy, max_attempts: 2, interval: 1d}]}}\n- {id: bye, end: {outcome: opened}}"
)
WEEK = journey_of(
    "- {id: first, delay: 1h}\n- {id: one, send: {channel: email, template: one}}\n"
    "- {id: second, delay: 1h}\n- {id: two, send: {channel: sms, template: two}}",
    state="rest: true",
)


def ask(world: World, at: str, operation: str, **more: Any) -> list[tuple[str, str]]:
    """Feed an operation; gives the (kind, reason) of what came of it."""
    id = more.pop("id", None)
    given = {"operation": operation, "requested_by": "olga", "reason": "ticket 7"} | more
    handlings = world.event("operation.requested", at, id=id, **given)
    return [(each.kind, each.reason) for handling in handlings if handling.event for each in handling.decisions]


def test_an_instance_is_moved_and_what_the_state_does_follows() -> None:
    world = World(WAITS)
    world.event("began", 0)

    assert ask(world, "1h", "move", journey="j", state="done") == [
        ("operated", "move"), ("state_entered", ""), ("ended", ""), ("action_emitted", ""),
    ]  # fmt: skip
    (audit,) = world.decisions(Kind.OPERATED)
    assert audit.by == "operator" and (audit.journey, audit.state, audit.step) == ("j", "s", "ask")
    assert audit.detail == {"requested_by": "olga", "why": "ticket 7", "to": "done"}
    assert world.sent() == [("bye", HOUR)]
    assert world.until("9d") == []


@pytest.mark.parametrize(
    ("operation", "more", "why"),
    [
        ("move", {"journey": "j", "state": "nowhere"}, "no_such_state"),
        ("move", {"state": "done"}, "no_such_state"),
        ("move", {"journey": "other", "state": "done"}, "no_instance"),
        ("skip", {"step": "elsewhere"}, "moved_on"),
        ("skip", {"key": "k"}, "no_instance"),
        ("retry", {}, "not_failed"),
        ("fail", {}, "not_failed"),
        ("release", {}, "not_held"),
        ("hold", {"until": START}, "already_over"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(operation: str, more: dict[str, Any], why: str) -> None:
    world = World(WAITS)
    world.event("began", 0)
    before = world.document().instances

    assert ask(world, "1h", operation, **more) == [("operation_refused", why)]
    (refused,) = world.decisions(Kind.OPERATION_REFUSED)
    assert refused.detail is not None and refused.detail["operation"] == operation
    assert world.document().instances == before


def test_b1_what_does_not_say_what_who_and_why_is_an_incident() -> None:
    world = World(WAITS)
    world.event("began", 0)
    for payload in ({"operation": "explode"}, {"requested_by": ""}, {"reason": None}, {"operation": None}):
        assert ask(world, "1h", **{"operation": "eject", **payload}) == []
    assert [each.reason for each in world.incidents] == [Reason.UNUSABLE_EVENT] * 4
    assert world.state("j") == "s"


def test_i2_a_repeat_of_an_operation_does_nothing() -> None:
    world = World(WEEK)
    world.event("began", 0)
    assert ask(world, "1m", "skip", id="op-1")[0] == ("operated", "skip")
    before = world.customer().stored
    assert ask(world, "2m", "skip", id="op-1") == []
    assert world.count(Count.DUPLICATE_EVENTS) == 1 and world.customer().stored == before


def test_a_step_that_waits_is_skipped() -> None:
    world = World(WEEK)
    world.event("began", 0)
    ask(world, "1m", "skip", journey="j", step="first")
    assert world.sent() == [("one", 60_000)]
    world.until("2h")
    assert world.sent() == [("one", 60_000), ("two", HOUR + 60_000)]
    assert ask(world, "3h", "skip") == [("operation_refused", "not_waiting")]


def test_a4_a_parked_call_is_tried_again_or_given_up() -> None:
    world = World(CALLS)
    world.event("began", 0)
    action = world.actions[0].action_id
    assert ask(world, "1m", "retry") == [("operation_refused", "not_failed")], "its answer is awaited"
    world.event("action.outcome", "2m", action_id=action, status="failed", code="busy")
    assert ask(world, "3m", "retry") == [("operated", "retry"), ("action_emitted", "")], "the back-off is cut short"
    world.event("action.outcome", "4m", action_id=action, status="failed", code="busy")
    assert world.document().instances[0].parked == Reason.ACTION_FAILED

    assert ask(world, "1h", "retry", step="open") == [("operated", "retry"), ("action_emitted", "")]
    assert [each.attempt for each in world.actions] == [1, 2, 3]
    world.event("action.outcome", "2h", action_id=action, status="failed", code="gone")
    assert ask(world, "3h", "fail") == [("operated", "fail"), ("exited", "failed")]
    assert world.document().instances == []


def test_a46_no_step_takes_an_operators_words_for_those_of_an_event() -> None:
    words = "data: {why: event.reason}"
    world = World(WEEK.replace("template: one", f"template: one, {words}"))
    world.event("began", 0, reason="theirs")
    ask(world, "1m", "skip")
    (action,) = world.actions
    assert action.data == {} and [each.step for each in world.decisions(Kind.CONDITION_ERROR)] == ["one"]


def test_all_instances_are_ejected_and_what_they_hold_is_cancelled() -> None:
    world = World(WEEK, WAITS.replace("journey: j", "journey: k"))
    world.event("began", 0)
    ask(world, "1m", "hold")
    ask(world, "2m", "skip", journey="j")
    assert ask(world, "3m", "eject") == [
        ("operated", "eject"), ("exited", "operator"), ("action_cancelled", "operator"),
        ("operated", "eject"), ("exited", "operator"),
    ]  # fmt: skip
    assert world.sent() == [] and world.document().instances == []


def test_q1_sends_are_held_until_a_time_or_a_release_and_leave_in_order() -> None:
    world = World(WEEK)
    world.event("began", 0)
    ask(world, "30m", "hold", until=START + 3 * HOUR)
    world.until("150m")
    assert world.sent() == [] and [each.reason for each in world.decisions(Kind.ACTION_HELD)] == ["operator"] * 2
    ask(world, "150m", "hold")
    world.until("4h")
    assert world.sent() == [], "the newer hold counts"
    assert ask(world, "5h", "release")[0] == ("operated", "release")
    assert world.sent() == [("one", 5 * HOUR), ("two", 5 * HOUR)]
    assert ask(world, "6h", "release") == [("operation_refused", "not_held")]


def test_q1_a_hold_ends_by_itself_and_what_expires_meanwhile_is_not_sent() -> None:
    world = World(WEEK.replace("template: one", "template: one, expires: 1h"))
    world.event("began", 0)
    ask(world, "30m", "hold", until=START + 3 * HOUR)
    world.until("4h")
    assert world.sent() == [("two", 3 * HOUR)]
    assert [each.reason for each in world.decisions(Kind.ACTION_SUPPRESSED)] == ["operator"]


def test_c2_consent_is_asked_again_when_a_hold_ends() -> None:
    world = World(WEEK.replace("purpose: care", "purpose: promotion"))
    for channel in ("email", "sms"):
        world.consent("granted", 0, channel=channel)
    world.event("began", 0)
    ask(world, "30m", "hold")
    world.until("3h")
    world.consent("withdrawn", "4h", channel="email")
    ask(world, "5h", "release")
    assert world.sent() == [("two", 5 * HOUR)]


def test_f1_an_operator_erases_and_the_receipt_says_who() -> None:
    world = World(WEEK)
    world.event("began", 0)
    assert ask(world, "1m", "erase") == [("operated", "erase"), ("erased", "")]
    assert world.customer().stored is None
    (receipt,) = world.decisions(Kind.ERASED)
    assert receipt.detail is not None and receipt.detail["record"].startswith("events/0/")


@pytest.mark.parametrize("operation", ["export", "eject", "release", "erase"])
def test_f1_to_ask_about_a_stranger_leaves_nothing_of_them(operation: str) -> None:
    world = World(WEEK)
    assert ask(world, "1m", operation) != []
    assert world.customer().stored is None


def test_f2_an_export_is_noted_and_changes_no_journey() -> None:
    world = World(WEEK)
    world.event("began", 0)
    before = world.document().instances
    assert ask(world, "1m", "export") == [("operated", "export")]
    assert world.document().instances == before


def test_v6_a_resume_of_one_customer_lets_go_what_waits_and_only_after_the_pause() -> None:
    # 0 paused ──1h── one is held ──2h── asked too early ──3h── pause over, nothing goes ──4h── asked: it goes
    world = World(WEEK)
    world.pause("j", 0)
    world.event("began", 0)
    assert [each.kind for handling in world.until("90m") for each in handling.decisions][-1] == "action_held"

    assert ask(world, "100m", "resume", journey="j") == [("operation_refused", "paused")]
    assert ask(world, "100m", "resume", journey="") == [("operation_refused", "no_journey")]
    world.simulation.paused = frozenset()  # as a partition learns of it: by its program, customers untouched
    assert world.sent() == []
    told = ask(world, "110m", "resume", journey="j")
    assert told[0] == ("operated", "resume") and ("action_emitted", "") in told
    assert [template for template, _ in world.sent()] == ["one"]
    assert ask(world, "115m", "resume", journey="j") == [("operated", "resume")], "to repeat it does no harm"
    assert [template for template, _ in world.sent()] == ["one"]

"""What journeys do to each other: `start`, and exclusive groups (rule Q2; rulings A31, A40, A41, A100, A103)."""

from __future__ import annotations

import pytest

from orchestrator.engine.identity import action_id, instance_id, uuid_text
from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.loading import Source, load
from tests.engine.world import POLICY, World

PARENT = """
journey: parent
version: 1
owner: team
purpose: care
priority: 10
entry: {on: began, reentry: always}
start: s
states:
  s:
    rest: true
    steps:
      - {id: begin, start: {journey: child, data: {plan: event.plan, lost: event.absent}}}
      - {id: hello, send: {channel: email, template: parent}}
"""
CHILD = """
journey: child
version: 1
owner: team
purpose: care
priority: 90
entry: {on: asked, when: event.never, reentry: REENTRY}
context: {own: event.plan}
start: s
states:
  s:
    rest: true
    steps:
      - {id: hello, send: {channel: email, template: child, data: {plan: journey.plan}}}
"""


def child(reentry: str = "never", more: str = "") -> str:
    return CHILD.replace("REENTRY", reentry + more)


def test_a100_start_enters_in_the_same_handling_with_data_as_context() -> None:
    it = World(PARENT, child())
    (handling,) = it.event("began", "0s", plan="pro")
    assert [(one.kind, one.journey) for one in handling.decisions if one.kind == "entered"] == [
        ("entered", "parent"),
        ("entered", "child"),
    ]
    assert [(action.template, action.data) for action in handling.actions] == [("child", {"plan": "pro"}), ("parent", {})]
    contexts = {one.journey: one.context for one in it.document().instances}
    assert contexts["child"] == {"plan": "pro"}


def test_a100_i1_the_action_id_of_the_step_stands_for_the_event_id() -> None:
    it = World(PARENT, child())
    it.event("began", "0s", plan="pro")
    by_journey = {one.journey: one for one in it.document().instances}
    origin = action_id(by_journey["parent"].id, "begin", 1)
    assert uuid_text(by_journey["child"].id) == uuid_text(instance_id("child", "c1", "", origin))


def test_a100_the_entry_rules_but_type_and_condition_hold() -> None:
    it = World(PARENT, child())
    it.event("began", "0s", plan="pro")
    it.event("began", "1h", plan="pro")
    refused = [(one.journey, one.reason) for one in it.decisions("entry_refused")]
    assert refused == [("parent", "already_active")]
    leaving = PARENT.replace("rest: true\n", "rest: true\n    on: [{event: moved, go: s}]\n")
    again = World(leaving, child())
    again.event("began", "0s", plan="pro")
    again.event("moved", "1h", plan="pro")
    assert [(one.journey, one.reason) for one in again.decisions("entry_refused")] == [("child", "already_active")]


@pytest.mark.parametrize(("at", "refused"), [("1h", []), ("1h-1ms", ["too_old"])])
def test_a100_a_started_journey_may_be_too_old_and_is_not_asked_for_its_condition(at: str, refused: list[str]) -> None:
    # another customer's record has moved the clock to 2h; the parent's own comes an hour late, or a little more
    it = World(PARENT, child().replace("reentry: never", "reentry: never, max_age: 1h"))
    it.event("began", "2h", customer="c2", plan="pro")
    it.event("began", at, plan="pro")
    assert [one.reason for one in it.decisions("entry_refused")] == refused
    assert [one.journey for one in it.decisions("entered")] == ["parent", "child", "parent", "child"][: 4 - len(refused)]


def test_a100_a_start_after_a_timer_enters_at_the_due_instant() -> None:
    it = World(PARENT.replace("- {id: begin", "- {id: wait, delay: 1d}\n      - {id: begin"), child())
    it.event("began", "0s", plan="pro")
    it.until("1d")
    entered = [one.journey for one in it.decisions("entered")]
    assert entered == ["parent", "child"]
    assert "plan" not in it.document().instances[1].context  # after a timer there is no event


def test_e4_a_started_journey_takes_its_key_from_data() -> None:
    keyed = child().replace("reentry: never", "reentry: never, key: event.plan")
    it = World(PARENT, keyed)
    it.event("began", "0s", plan="pro")
    assert it.state("child", key="pro") == "s"
    it.event("began", "0s", customer="c2")
    assert [incident.reason for incident in it.incidents] == ["key_missing"]


def problems(*journeys: str, policy: str = POLICY) -> list[tuple[str, str]]:
    sources = [Source(f"j{n}.yaml", text.encode(), "journey") for n, text in enumerate(journeys)]
    loaded = load([*sources, Source("policy.yaml", policy.encode(), "policy")], None, TABLE)
    return [(one.code, one.message) for one in loaded.problems]


def test_a100_loops_through_start_are_refused() -> None:
    back = child().replace("- {id: hello, send", "- {id: back, start: {journey: parent}}\n      - {id: hello, send")
    found = problems(PARENT, back)
    assert [code for code, _ in found] == [codes.LOOP, codes.LOOP]
    assert "parent -> child -> parent" in found[0][1]


def test_a103_only_names_that_some_start_gives_may_be_read() -> None:
    assert problems(PARENT, child()) == []
    assert [code for code, _ in problems(PARENT.replace("plan: event.plan, ", ""), child())] == [codes.EXPRESSION_NAME]


def journey(name: str, priority: int, on: str, **more: str) -> str:
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return (
        f"journey: {name}\nversion: 1\nowner: team\npurpose: care\npriority: {priority}\n"
        f"entry: {{on: {on}, reentry: always{extra}}}\nstart: s\nstates:\n  s: {{rest: true}}\n"
    )


def group(on_conflict: str, journeys: str = "low, high, even", name: str = "money") -> str:
    return POLICY + f"exclusive:\n  - {{id: {name}, journeys: [{journeys}], on_conflict: {on_conflict}}}\n"


LOW, HIGH, EVEN = journey("low", 10, "a"), journey("high", 90, "b"), journey("even", 90, "c")


def happened(it: World) -> list[tuple[str, str, str]]:
    return [(one.kind, one.journey, one.reason) for one in it.decisions("entered", "entry_refused", "exited")]


def test_q2_refuse_keeps_the_one_that_is_there() -> None:
    it = World(LOW, HIGH, EVEN, policy=group("refuse"))
    it.event("a", "0s")
    it.event("b", "1h")
    assert happened(it) == [("entered", "low", ""), ("entry_refused", "high", "exclusive")]


def test_q2_a41_preempt_ends_the_lower_priority_with_reason_and_refuses_the_equal() -> None:
    it = World(LOW, HIGH, EVEN, policy=group("preempt"))
    it.event("a", "0s")
    it.event("b", "1h")
    it.event("c", "2h")
    it.event("a", "3h")
    assert happened(it) == [
        ("entered", "low", ""),
        ("exited", "low", "preempted"),
        ("entered", "high", ""),
        ("entry_refused", "even", "exclusive"),
        ("entry_refused", "low", "exclusive"),
    ]


def test_q2_nothing_is_pre_empted_for_an_entry_that_is_refused() -> None:
    # high may push low out of one group, but even, its equal, stands in another
    policy = group("preempt", "low, high") + "  - {id: second, journeys: [high, even], on_conflict: preempt}\n"
    it = World(LOW, HIGH, EVEN, policy=policy)
    it.event("a", "0s")
    it.event("c", "1h")
    it.event("b", "2h")
    assert happened(it)[-1] == ("entry_refused", "high", "exclusive")
    assert it.state("low") == "s"


def test_a40_instances_of_the_same_journey_do_not_conflict() -> None:
    it = World(journey("low", 10, "a", key="event.k"), HIGH, EVEN, policy=group("refuse"))
    it.event("a", "0s", k="x")
    it.event("a", "1h", k="y")
    assert [one.key for one in it.decisions("entered")] == ["x", "y"]


@pytest.mark.parametrize("on_conflict", ["refuse", "preempt"])
def test_a31_exclusive_is_the_last_reason(on_conflict: str) -> None:
    policy = group(on_conflict) + "limits: {instances_per_customer: 1}\n"
    it = World(LOW, HIGH, EVEN, policy=policy)
    it.event("a", "0s")
    it.event("b", "1h")
    assert happened(it)[1:] == [("entry_refused", "high", "limit")]


def test_a_group_that_names_no_journey_of_the_topology_is_warned_of() -> None:
    found = problems(LOW, policy=group("refuse", "low, nobody"))
    assert [code for code, _ in found] == [codes.UNKNOWN_JOURNEY]

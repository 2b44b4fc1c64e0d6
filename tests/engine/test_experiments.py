"""Experiments (rules P1-P3; rulings A96-A98)."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.engine.verbs.randomize import Arm, RandomizeSettings, choose
from orchestrator.language import codes
from orchestrator.language.loading import Source, load
from orchestrator.language.model import Place
from tests.engine.world import POLICY, START, World, offset_ms

PLACE = Place("j.yaml", 1, 1)
JOURNEY = """
journey: j
version: 1
owner: team
purpose: care
entry: {on: began, reentry: always}
exit: [{on: closed, outcome: closed, send: {channel: email, template: goodbye}}]
goals: [{id: paid, on: paid, within: 30d}]
start: s
states:
  s:
    steps:
      - {id: before, send: {channel: email, template: before}}
      - id: choose
        randomize:
          experiment: offer-test
          branches:
            - {arm: control, weight: 50, holdout: true}
            - {arm: discount, weight: 50}
      - {id: offer, send: {channel: email, template: offer}}
      - {id: open, call: {action: open-case, timeout: 1h}}
      - {id: pause, delay: 1d}
      - {id: end, end: {outcome: done}}
"""


def settings(**weights: int) -> RandomizeSettings:
    arms = tuple(Arm(name, weight, "", PLACE) for name, weight in weights.items())
    return RandomizeSettings("offer-test", "offer-test", arms, PLACE)


def customer_in(arm: str) -> str:
    return next(name for n in range(100) if choose(settings(control=50, discount=50), name := f"c{n}") == arm)


def recipe(customer: str, **weights: int) -> str:
    """The published recipe, written anew: the arm of the highest ticket."""
    tickets: list[tuple[int, str]] = []
    for arm, weight in weights.items():
        for n in range(weight):
            digest = sha256(f"offer-test\x1foffer-test\x1f{customer}\x1f{arm}\x1f{n // 8}".encode()).digest()
            tickets.append((int.from_bytes(digest[n % 8 * 4 : n % 8 * 4 + 4], "big"), arm))
    return max(tickets)[1]


def test_p1_a97_the_arm_follows_the_published_recipe() -> None:
    for n in range(50):
        assert choose(settings(a=20, b=30, c=50), f"c{n}") == recipe(f"c{n}", a=20, b=30, c=50)


def test_p1_the_shares_are_the_weights_and_weight_0_gets_nobody() -> None:
    found = Counter(choose(settings(a=10, b=0, c=90), f"c{n}") for n in range(3000))
    assert set(found) == {"a", "c"}
    assert 0.08 < found["a"] / 3000 < 0.12


def test_p1_changed_weights_move_customers_only_to_the_arm_that_grew() -> None:
    moved: Counter[tuple[str, str]] = Counter()
    for n in range(2000):
        before, after = (choose(settings(a=a, b=b, c=30), f"c{n}") for a, b in ((30, 40), (50, 20)))
        if before != after:
            moved[before, after] += 1
    assert set(moved) <= {("b", "a"), ("b", "c"), ("c", "a")}
    assert ("a", "b") not in moved
    grown: Counter[tuple[str, str]] = Counter()
    for n in range(2000):
        before, after = choose(settings(a=30, b=30), f"c{n}"), choose(settings(a=30, b=30, c=40), f"c{n}")
        grown[before, after] += before != after
    assert {pair for pair, count in grown.items() if count} == {("a", "c"), ("b", "c")}


def test_p1_p3_who_has_an_arm_keeps_it_and_is_exposed_once() -> None:
    customer = customer_in("discount")
    it = World(JOURNEY)
    it.event("began", "0s", customer=customer)
    it.event("closed", "1h", customer=customer)
    # The weights change; the second instance is on the new version, and another journey shares the experiment.
    changed = World(JOURNEY.replace("version: 1", "version: 2").replace("weight: 50, holdout", "weight: 100, holdout")
                    .replace("discount, weight: 50", "discount, weight: 0"))  # fmt: skip
    changed.simulation.customers = it.simulation.customers
    changed.event("began", "1d", customer=customer, id="again")
    arms = [decision.arm for world in (it, changed) for decision in world.decisions("branch_taken")]
    assert arms == ["discount", "discount"]
    exposures = [decision for world in (it, changed) for decision in world.decisions("exposed")]
    assert [(one.arm, one.step, one.detail) for one in exposures] == [("discount", "choose", {"experiment": "offer-test"})]


def test_p1_an_arm_that_is_gone_is_chosen_anew() -> None:
    customer = customer_in("discount")
    it = World(JOURNEY)
    it.event("began", "0s", customer=customer)
    changed = World(JOURNEY.replace("arm: discount", "arm: gift").replace("version: 1", "version: 2"))
    it.event("closed", "1h", customer=customer)
    changed.simulation.customers = it.simulation.customers
    changed.event("began", "1d", customer=customer, id="again")
    assert changed.decisions("branch_taken")[0].arm in ("control", "gift")
    assert changed.decisions("exposed") == []  # ruling A98: once for each customer and experiment


def test_p2_a96_a_holdout_arm_walks_silently_with_the_same_timing() -> None:
    customer = customer_in("control")
    it = World(JOURNEY)
    it.event("began", "0s", customer=customer)
    assert [action.template for action in it.actions] == ["before"]
    assert [(one.step, one.reason) for one in it.decisions("action_suppressed")] == [("offer", "holdout"), ("open", "holdout")]
    it.until("2d")
    (ended,) = [handling for handling in it.handlings if any(one.kind == "ended" for one in handling.decisions)]
    assert ended.at == START + offset_ms("1d")
    assert it.decisions("outcome_received") == []  # none is invented


def test_p2_the_exits_last_send_is_silent_too() -> None:
    customer = customer_in("control")
    it = World(JOURNEY)
    it.event("began", "0s", customer=customer)
    it.event("closed", "1h", customer=customer)
    assert [action.template for action in it.actions] == ["before"]
    assert ("exit:1", "holdout") in [(one.step, one.reason) for one in it.decisions("action_suppressed")]


def test_a1_g1_commands_and_goals_name_the_arms() -> None:
    customer = customer_in("discount")
    it = World(JOURNEY)
    it.event("began", "0s", customer=customer)
    assert [action.arms for action in it.actions] == [{}, {"offer-test": "discount"}, {"offer-test": "discount"}]
    it.event("paid", "2h", customer=customer)
    (goal,) = it.decisions("goal_reached")
    assert (goal.arm, (goal.detail or {})["arms"]) == ("discount", "offer-test=discount")


@pytest.mark.parametrize(("registered", "found"), [("offer-test", []), ("other", [codes.NOT_REGISTERED])])
def test_an_experiment_that_is_not_registered_is_warned_of(registered: str, found: list[str]) -> None:
    experiments = f"- experiment: {registered}\n"
    sources = [
        Source("j.yaml", JOURNEY.encode(), "journey"),
        Source("policy.yaml", POLICY.encode(), "policy"),
        Source("experiments.yaml", experiments.encode(), "experiments"),
    ]
    loaded = load(sources, None, TABLE)
    assert [(one.code, one.severity) for one in loaded.problems] == [(code, "warning") for code in found]
    assert loaded.topology is not None


SECOND = """
journey: k
version: 1
purpose: care
entry: {on: [began, again], reentry: always}
start: s
states:
  s:
    steps:
      - {id: wait, delay: 2d}
      - {id: pick, randomize: {experiment: offer-test, branches: [{arm: control, weight: 50}, {arm: discount, weight: 50}]}}
      - {id: end, end: {outcome: done}}
"""


def test_p3_a98_exposure_is_at_the_step_and_once_for_the_customer_whatever_the_journey() -> None:
    # k: began 0 ... branches 2d | again 3d ... branches 5d     j, with the same experiment: began 6d, branches at once
    world = World(JOURNEY, SECOND)
    world.event("again", "0s")
    assert world.decisions("exposed") == []  # in the journey, not yet where the arm matters
    world.until("2d")
    (exposed,) = world.decisions("exposed")
    assert (exposed.journey, exposed.step, exposed.arm in ("control", "discount")) == ("k", "pick", True)
    world.event("again", "3d")
    world.until("5d")
    world.event("began", "6d")
    assert [decision.step for decision in world.decisions("branch_taken")] == ["pick", "pick", "choose"]
    assert {decision.arm for decision in world.decisions("branch_taken")} == {exposed.arm}
    assert world.decisions("exposed") == [exposed]


def test_p2_a_later_experiment_does_not_end_the_silence_of_a_holdout_arm() -> None:
    second = "      - {id: again, randomize: {experiment: other, branches: [{arm: a, weight: 50}, {arm: b, weight: 50}]}}\n"
    world = World(JOURNEY.replace("      - {id: offer,", second + "      - {id: offer,"))
    world.event("began", "0s", customer=customer_in("control"))
    assert [action.template for action in world.actions] == ["before"]
    assert [decision.step for decision in world.decisions("branch_taken")] == ["choose", "again"]

"""Two ids that are one person: what moves, which of two stays, what changes nothing (rules M1-M3; rulings A76-A78)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from orchestrator.engine.customer import Customer
from orchestrator.engine.engine import NEVER, Engine, next_due
from orchestrator.engine.record import Record
from orchestrator.engine.vicinity import NO_FREEZES
from tests.engine import test_addresses as addresses
from tests.engine.sending import CHANNELS, emitted, mail, policy, told
from tests.engine.world import AGAIN, START, World, journey_of, topology

PROMOTION = policy("consent: {unknown: deny}")
NIGHT = CHANNELS.replace("{topic: actions.email}", '{topic: actions.email, quiet_hours: {from: "21:00", to: "08:00"}}')


def waiting(
    name: str = "j", *, on: str = "began", wait: str = "10d", key: str = "", reentry: str = "always", more: str = ""
) -> str:
    """A journey that waits for `done`, sends a reminder when it does not come, and ends."""
    keyed = f", key: {key}" if key else ""
    return f"""
        journey: {name}
        version: 1
        purpose: care
        entry: {{on: {on}, reentry: always{keyed}}}
        {more}
        start: s
        states:
          s:
            steps:
              - {{id: wait, hold_until: [{{on: done, go: over}}], timeout: 10d}}
              - {{id: mail, send: {{channel: email, template: {name}}}}}
              - {{id: stop, end: {{outcome: late}}}}
          over: {{final: true, outcome: in-time}}
        """


def merge(world: World, at: str, source: str = "a", target: str = "b", customer: str = "", **more: Any) -> None:
    """`profile.merged`, keyed by `from` unless said otherwise."""
    payload = {"from": source, "into": target}
    world.event("profile.merged", at, customer=customer or source, **payload, **more)


def reasons(world: World) -> list[str]:
    return [incident.reason for incident in world.incidents]


def test_m1_an_instance_moves_its_timer_keeps_its_due_and_all_is_reported_for_into() -> None:
    # a enters 0d -- merged into b 3d -- due 10d
    world = World(waiting())
    (entered,) = world.event("began", "0s", customer="a", id="x")
    merge(world, "3d")
    assert world.state("j", "a") is None
    assert world.state("j", "b") == "s"
    (moved,) = world.document("b").instances
    assert next_due(world.customer("b").stored) == START + 10 * 86_400_000
    assert next_due(world.customer("a").stored) == NEVER
    world.until("30d")
    assert emitted(world) == [("j", 864_000_000)]
    (action,) = world.actions
    assert (action.customer, action.instance) == ("b", entered.decisions[0].instance)
    assert {handling.customer for handling in world.handlings if handling.at > START} == {"b"}
    assert moved.context == {}


def test_m1_a76_events_for_from_count_for_into_along_a_chain_of_merges() -> None:
    world = World(waiting())
    merge(world, "0s", "a", "b")
    merge(world, "1s", "b", "c")
    world.event("began", "2s", customer="a")
    assert world.state("j", "c") == "s"
    world.event("done", "3s", customer="b")
    (ended,) = world.decisions("ended")
    assert ended.outcome == "in-time"
    assert {handling.customer for handling in world.handlings if handling.decisions} == {"c"}
    assert world.document("c").merged is not None
    assert world.document("c").merged.ids == ["b", "a"]


def test_m1_i2_a_redelivered_event_of_from_is_still_a_repeat_after_the_merge() -> None:
    world = World(mail())
    world.event("began", "0s", customer="a", id="x")
    merge(world, "1h")
    world.event("began", "0s", customer="a", id="x")
    world.event("began", "0s", customer="b", id="x")
    assert len(emitted(world)) == 1
    assert world.count("duplicate_events") == 2


def test_m1_t3_timers_of_into_that_are_due_fire_before_the_merge() -> None:
    """As Kafka's partition does it: b's timer has not fired when a's record comes."""
    engine = Engine(topology(waiting()))
    people = {name: Customer(name, None) for name in "ab"}

    class Near:
        paused: frozenset[str] = frozenset()
        freezes = NO_FREEZES

        def customer(self, customer_id: str) -> Customer | None:
            return people.get(customer_id)

        def note(self, name: str) -> Customer:
            raise AssertionError

    engine.handle(people["b"], Record("began", "b", "x", START, {}), START, Near())
    at = START + 20 * 86_400_000
    handlings = engine.handle(people["a"], Record("profile.merged", "a", "m", at, {"from": "a", "into": "b"}), at, Near())
    assert [(one.customer, one.at) for one in handlings[:-1]] == [("b", START + 10 * 86_400_000)]
    assert [action.template for action in handlings[0].actions] == ["j"]


@pytest.mark.parametrize(("source", "target"), [("withdrawn", "granted"), ("granted", "withdrawn")])
def test_m1_a77_withdrawn_beats_granted_until_a_newer_time(source: str, target: str) -> None:
    world = World(mail(purpose="promotion"), policy=PROMOTION)
    first, second = ("0s", "1h") if source == "withdrawn" else ("1h", "0s")  # what was granted is the newer
    world.consent(source, first, customer="a")
    world.consent(target, second, customer="b")
    merge(world, "1d")
    world.event("began", "2d", customer="b")
    world.consent("granted", "3d", customer="a")
    world.event("began", "4d", customer="b")
    assert emitted(world) == [("j", 4 * 86_400_000)]
    assert [decision.reason for decision in world.decisions("entry_refused")] == ["consent"]


def test_m1_a77_a_consent_of_one_counts_where_the_other_has_none() -> None:
    world = World(mail(purpose="promotion"), policy=PROMOTION)
    world.consent("granted", "0s", customer="a")
    merge(world, "1d")
    world.event("began", "2d", customer="b")
    assert emitted(world) == [("j", 2 * 86_400_000)]


def test_m1_a55_a_withdrawal_of_all_stands_against_the_others_single_consent() -> None:
    world = World(mail(purpose="promotion"), policy=PROMOTION)
    world.consent("withdrawn", "0s", channel="*", purpose="*", customer="a")
    world.consent("granted", "1h", customer="b")
    merge(world, "1d")
    world.event("began", "2d", customer="b")
    assert emitted(world) == []
    world.consent("granted", "3d", customer="b")
    world.event("began", "4d", customer="b")
    assert len(emitted(world)) == 1
    world.event("began", "5d", customer="b", id="sms")
    assert len(world.document("b").consents) <= 4


def test_m1_c3_a_withdrawal_after_the_merge_cancels_what_from_has_under_way() -> None:
    world = World(mail(purpose="promotion"), policy=PROMOTION)
    world.consent("granted", "0s", customer="a")
    world.consent("granted", "0s", customer="b")
    world.event("began", "1h", customer="a")
    merge(world, "2h")
    world.consent("withdrawn", "3h", customer="a")
    assert [(action.kind, action.customer) for action in world.actions] == [("send", "a"), ("cancel", "b")]


def test_m1_a77_both_ids_slots_count_against_a_cap() -> None:
    world = World(mail(), policy=policy("caps: [{id: day, limit: 2, per: 1d, window: rolling}]"))
    world.event("began", "0s", customer="a")
    world.event("began", "1h", customer="b")
    merge(world, "2h")
    world.event("began", "3h", customer="b")
    world.event("began", "24h", customer="b")
    assert told(world) == [
        ("emitted", "", 0),
        ("emitted", "", 3_600_000),
        ("suppressed", "cap", 10_800_000),
        ("emitted", "", 86_400_000),
    ]


def test_m1_a_held_send_moves_and_leaves_for_into_when_it_was_due() -> None:
    world = World(mail(), policy=policy(channels=NIGHT))
    world.event("began", "22h", customer="a")
    merge(world, "23h")
    world.until("2d")
    (action,) = world.actions
    assert (action.customer, action.created_at - START) == ("b", 32 * 3_600_000)


def test_m1_a_block_of_from_stands_for_into() -> None:
    rule = "suppress: [{id: bad, on: rated, purposes: [care], for: 3d}]"
    world = World(mail(), policy=policy(rule))
    world.event("rated", "0s", customer="a")
    world.event("rated", "2d", customer="b")
    merge(world, "2d+1h")
    world.event("began", "4d", customer="b")
    world.event("began", "5d", customer="b")
    assert told(world) == [("suppressed", "suppression", 4 * 86_400_000), ("emitted", "", 5 * 86_400_000)]


@pytest.mark.parametrize("customer", ["a", "b"])
def test_m1_e2_the_once_marker_of_either_counts_for_both(customer: str) -> None:
    world = World(mail().replace("always", "never"))
    world.event("began", "0s", customer=customer)
    merge(world, "1d")
    world.event("began", "2d", customer="a")
    world.event("began", "2d", customer="b")
    assert len(emitted(world)) == 1
    assert [decision.reason for decision in world.decisions("entry_refused")] == ["reentry", "reentry"]


def test_m1_a34_the_later_exit_of_both_counts_for_reentry() -> None:
    world = World(mail().replace("reentry: always", "reentry: {after: 10d, since: exit}"))
    world.event("began", "0s", customer="a")
    world.event("began", "5d", customer="b")
    merge(world, "6d")
    world.event("began", "14d", customer="b")
    world.event("began", "15d", customer="b")
    assert [at for _, at in emitted(world)] == [0, 5 * 86_400_000, 15 * 86_400_000]


PICK = """
- id: pick
  randomize:
    experiment: e
    branches: [{arm: one, weight: 50}, {arm: two, weight: 50}]
- {id: stop, end: {}}
"""


def test_m1_p1_the_arm_of_the_earlier_exposure_stays_and_nobody_is_exposed_twice() -> None:
    world = World(journey_of(PICK, "offer", entry=AGAIN))
    names = [f"c{n}" for n in range(12)]
    for at, name in enumerate(names):
        world.event("began", f"{at}h", customer=name)
    arms = {name: world.document(name).arms["e"] for name in names}
    early, late = next((one, two) for one in names for two in names if one < two and arms[one] != arms[two])
    merge(world, "1d", early, late)
    assert world.document(late).arms == {"e": arms[early]}
    other = next(name for name in names[2:] if name not in (early, late) and arms[name] != arms[early])
    merge(world, "2d", other, late)
    assert world.document(late).arms == {"e": arms[early if names.index(early) < names.index(other) else other]}
    world.event("began", "3d", customer=early)
    assert world.decisions("branch_taken")[-1].arm == world.document(late).arms["e"]
    assert len(world.decisions("exposed")) == len(names)


def test_m1_a88_for_each_name_of_the_profile_the_newest_record_time_wins() -> None:
    world = World(mail())
    world.event("profile.updated", "0s", customer="a", city="old", plan="pro")
    world.event("profile.updated", "1h", customer="b", city="new")
    world.event("profile.updated", "2h", customer="a", plan=None)
    world.event("profile.updated", "1h", customer="b", plan="free")
    merge(world, "1d")
    world.event("profile.updated", "1h+1m", customer="a", city="late", plan="late")
    assert {name: value for name, (value, _) in world.document("b").profile.items()} == {"city": "late", "plan": None}


def test_m1_g1_goals_are_reached_once_for_the_person_and_not_for_the_instance_that_ended() -> None:
    goal = "goals: [{id: paid, on: paid, within: 30d}]"
    world = World(waiting(more=goal), waiting("other", on="else", more=goal))
    world.event("began", "0s", customer="a")
    world.event("began", "1h", customer="b")
    world.event("else", "2h", customer="b")
    merge(world, "3h")
    world.event("paid", "1d", customer="a")
    assert sorted(decision.journey for decision in world.decisions("goal_reached")) == ["j", "other"]


def test_m1_g2_w2_memory_is_one_also_for_a_look_back_to_the_entry() -> None:
    """What is remembered of b, because b's own journey may look back to it, is the person's: a's instance finds it."""
    journey = """
        journey: j
        version: 1
        purpose: care
        entry: {on: began, reentry: always}
        start: first
        states:
          first:
            steps:
              - {id: pause, delay: 3d}
              - {id: wait, hold_until: [{on: done, go: over}], timeout: 5d, lookback: since_entry}
              - {id: stop, end: {outcome: late}}
          over:
            steps:
              - {id: mail, when: 'count_within("done", duration("720h")) == 3', send: {channel: email, template: three}}
              - {id: stop-it, end: {outcome: in-time}}
        """
    world = World(journey, journey.replace("journey: j", "journey: keeper").replace("began", "keep").replace("3d", "9d"))
    world.event("keep", "0s", customer="b")
    world.event("done", "0s", customer="b", id="")  # before a's entry
    world.event("began", "1h", customer="a")
    world.event("done", "2h", customer="b")
    world.event("done", "3h", customer="b")
    merge(world, "1d")
    world.until("10d")
    assert [(one.journey, one.by) for one in world.decisions("hold_resolved")] == [("j", "lookback"), ("keeper", "lookback")]
    assert emitted(world)[:1] == [("three", 3 * 86_400_000 + 3_600_000)]


@pytest.mark.parametrize("customer", ["a", "b"])
def test_m1_w1_e5_what_came_before_the_entry_under_either_id_is_not_since_entry(customer: str) -> None:
    # done 0s -- a enters 1h, pauses to 3d -- merged 2h -- waits from 3d on, looking back to 1h
    journey = waiting().replace("timeout: 10d", "timeout: 10d, lookback: since_entry")
    world = World(journey.replace("- {id: wait", "- {id: pause, delay: 3d}\n              - {id: wait"))
    world.event("done", "0s", customer=customer)
    world.event("began", "1h", customer="a")
    merge(world, "2h")
    world.until("30d")
    assert [decision.by for decision in world.decisions("hold_resolved")] == ["timeout"]


@pytest.mark.parametrize(("older", "merged"), [("a", "b"), ("b", "a")])
def test_m2_the_older_instance_stays_and_the_other_ends_merged_and_sends_nothing(older: str, merged: str) -> None:
    world = World(waiting())
    world.event("began", "0s", customer=older, id="old")
    world.event("began", "1d", customer=merged, id="young")
    kept = world.document(older).instances[0].id
    merge(world, "2d")
    assert [one.id for one in world.document("b").instances] == [kept]
    (ended,) = world.decisions("merged")
    assert (ended.journey, ended.state, ended.step) == ("j", "s", "wait")
    world.until("30d")
    assert emitted(world) == [("j", 10 * 86_400_000)]


def test_m2_a77_of_one_age_the_smaller_instance_id_stays_and_other_keys_stay_too() -> None:
    world = World(waiting(key="event.order"))
    for customer, order in (("a", "1"), ("b", "1"), ("a", "2"), ("b", "3")):
        world.event("began", "0s", customer=customer, order=order)
    smaller = min(one.id for name in "ab" for one in world.document(name).instances if one.key == "1")
    merge(world, "1d")
    kept = {one.key: one.id for one in world.document("b").instances}
    assert sorted(kept) == ["1", "2", "3"]
    assert kept["1"] == smaller
    assert [decision.key for decision in world.decisions("merged")] == ["1"]


@pytest.mark.parametrize("younger", ["a", "b"])
def test_m2_a13_the_held_sends_of_the_one_that_ends_are_cancelled(younger: str) -> None:
    journey = waiting().replace(
        "- {id: wait", "- {id: first, send: {channel: email, template: first}}\n              - {id: wait"
    )
    world = World(journey, policy=policy(channels=NIGHT))
    world.event("began", "22h", customer="ab".replace(younger, ""))
    world.event("began", "23h", customer=younger)
    merge(world, "23h+1m")
    world.until("2d")
    assert told(world, "action_cancelled") == [("cancelled", "merged", 82_860_000)]
    assert emitted(world) == [("first", 32 * 3_600_000)]


def test_m1_a37_a77_a_merge_does_not_enforce_the_limit_but_the_next_entry_meets_it() -> None:
    limited = policy("limits: {instances_per_customer: 1}")
    world = World(waiting("one", on="one"), waiting("two", on="two"), waiting("three", on="three"), policy=limited)
    world.event("one", "0s", customer="a")
    world.event("two", "0s", customer="b")
    merge(world, "1h")
    assert {one.journey for one in world.document("b").instances} == {"one", "two"}
    world.event("three", "2h", customer="b")
    assert [decision.reason for decision in world.decisions("entry_refused")] == ["limit"]


def test_m3_a_repeat_changes_nothing_and_is_counted() -> None:
    world = World(waiting())
    world.event("began", "0s", customer="a")
    merge(world, "1h")
    before = world.document("b")
    merge(world, "2h")  # under an event id of its own
    after = world.document("b")
    assert (after.instances, after.merged, after.markers) == (before.instances, before.merged, before.markers)
    merge(world, "1h", id="e2")  # the very same event
    assert (world.count("merges"), world.count("merges_without_effect"), world.count("duplicate_events")) == (1, 1, 1)
    assert reasons(world) == []


def test_m3_a78_a_merge_with_itself_is_ignored_and_counted() -> None:
    world = World(waiting())
    world.event("began", "0s", customer="a")
    merge(world, "1h", "a", "a")
    assert (world.count("merges_without_effect"), reasons(world)) == (1, [])
    assert world.state("j", "a") == "s"
    assert world.document("a").merged is None


@pytest.mark.parametrize("line", [["a", "b"], ["a", "b", "c"]])
def test_m3_a78_a_cycle_is_an_incident_and_moves_nothing(line: list[str]) -> None:
    world = World(waiting())
    for hour, (one, other) in enumerate(pairwise(line)):
        merge(world, f"{hour}h", one, other)
    last = line[-1]
    world.event("began", "1d", customer=last)
    merge(world, "2d", last, "a")
    assert reasons(world) == ["merge_cycle"]
    assert world.state("j", last) == "s"


def test_m1_an_id_that_goes_on_as_another_takes_that_one_along_into_a_third() -> None:
    world = World(waiting())
    merge(world, "0s", "a", "b")
    world.event("began", "1s", customer="b")
    merge(world, "2s", "a", "c")
    assert world.state("j", "c") == "s"
    world.event("done", "3s", customer="b")
    assert world.kinds()[-1] == "ended"


def test_m3_two_ways_to_the_same_person_are_no_news() -> None:
    world = World(waiting())
    merge(world, "0s", "a", "c")
    merge(world, "1s", "b", "c")
    merge(world, "2s", "a", "b")
    assert (world.count("merges"), world.count("merges_without_effect"), reasons(world)) == (2, 1, [])


@pytest.mark.parametrize(
    "payload",
    [
        {"from": "z", "into": "b"},
        {"from": "a"},
        {"into": "b"},
        {"from": "a", "into": ""},
        {"from": "a", "into": 7},
        {"from": "a", "into": "\x00rate:email"},
        {"from": "a", "into": "x" * 1025},
        {"from": "\x00rate:email", "into": "b"},
    ],
)
def test_m1_what_names_no_two_customers_is_an_incident_and_moves_nothing(payload: dict[str, Any]) -> None:
    world = World(waiting())
    world.event("began", "0s", customer="a")
    world.event("profile.merged", "1s", customer="a", **payload)
    assert reasons(world) == ["unusable_event"]
    assert world.state("j", "a") == "s"


def test_m1_a53_a_journey_that_listens_to_the_merge_hears_it_as_into() -> None:
    world = World(mail(on="profile.merged"), waiting("other"))
    world.event("began", "0s", customer="a")
    merge(world, "1h")
    assert [(action.customer, action.template) for action in world.actions] == [("b", "j")]


@pytest.mark.interpreted
def test_a5_a_merge_that_fails_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(waiting())
    world.event("began", "0s", customer="a")
    world.event("profile.updated", "0s", customer="b", city="x")
    before = {name: world.customer(name).stored for name in "ab"}
    monkeypatch.setattr("orchestrator.engine.union._arms", lambda ours, theirs: 1 / 0)
    merge(world, "1h")
    assert reasons(world) == ["handler_error"]
    assert {name: world.customer(name).stored for name in "ab"} == before
    monkeypatch.undo()
    merge(world, "2h")
    assert world.state("j", "b") == "s"


def test_m1_a4_a_redrive_under_the_old_id_runs_the_instance_where_it_is() -> None:
    journey = waiting().replace(
        "- {id: mail, send: {channel: email, template: j}}", "- {id: mail, call: {action: open, timeout: 1h}}"
    )
    channels = CHANNELS + "  desk: {topic: actions.desk, kind: action}\n"
    world = World(journey, policy=policy(channels=channels))
    world.event("began", "0s", customer="a")
    world.until("12d")
    assert reasons(world) == ["action_failed"]
    merge(world, "13d")
    handlings = world.simulation.engine.redrive(world.customer("a"), "mail", START + 14 * 86_400_000, "", world.simulation)
    assert [action.customer for handling in handlings for action in handling.actions] == ["b"]


def test_m1_x1_a_person_with_two_ids_is_no_duplicate_of_themselves_and_still_one_of_others() -> None:
    made = addresses.living(addresses.world(), "a", "b", "c")
    made.event("began", "0s", customer="a")
    merge(made, "1h")
    made.event("began", "2h", customer="b")
    made.event("began", "3h", customer="c")
    assert [(who, what) for who, what, _ in addresses.of_each(made)] == [("a", "sent"), ("b", "sent"), ("c", "duplicate_address")]

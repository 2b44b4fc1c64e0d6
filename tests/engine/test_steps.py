"""What steps other than waits mean: send, split, set, alert, go, end; handlers, profile and loops."""

from __future__ import annotations

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.simulate import Simulation
from tests.engine.world import AGAIN, POLICY, START, World, journey_of, offset_ms, topology

STEPS = """
journey: j
version: 3
purpose: care
urgency: high
entry: {{on: began, key: event.account, reentry: always}}
context: {{plan: event.plan}}
start: s
states:
  s:
    steps:
{steps}
      - {{id: stop, end: {{outcome: through}}}}
  won: {{final: true, outcome: won}}
  lost: {{final: true, outcome: lost}}
"""


def steps(*lines: str) -> str:
    text = STEPS.format(steps="\n".join(f"      - {line}" for line in lines))
    for state in ("won", "lost"):
        if not any(f"go: {state}" in line or f"else: {state}" in line for line in lines):
            text = text.replace(f"  {state}: {{final: true, outcome: {state}}}\n", "")
    return text


def run(*lines: str, **payload: object) -> World:
    world = World(steps(*lines))
    world.event("began", "0s", id="x", account="A", plan="pro", **payload)
    return world


def test_a1_a_send_carries_everything_its_channel_service_needs() -> None:
    world = run('{id: mail, send: {channel: email, template: hi, expires: 2h, data: {plan: journey.plan, n: "1 + 1"}}}')
    (action,) = world.actions
    assert (action.kind, action.customer, action.journey, action.version, action.step) == ("send", "c1", "j", 3, "mail")
    assert (action.channel, action.template, action.purpose, action.urgency, action.key) == ("email", "hi", "care", "high", "A")
    assert (action.attempt, action.created_at, action.expires_at) == (1, START, START + offset_ms("2h"))
    assert action.data == {"plan": "pro", "n": 2}
    assert action.instance == world.decisions("entered")[0].instance


def test_a_send_expires_after_a_day_unless_written() -> None:
    (action,) = run("{id: mail, send: {channel: email, template: hi}}").actions
    assert action.expires_at - action.created_at == offset_ms("24h")


def test_a85_a_data_entry_that_is_unknown_is_left_out_and_logged() -> None:
    world = run("{id: mail, send: {channel: email, template: hi, data: {plan: journey.plan, city: event.city}}}")
    assert world.actions[0].data == {"plan": "pro"}
    assert [(decision.step, decision.state) for decision in world.decisions("condition_error")] == [("mail", "s")]


def test_k2_sends_of_one_handling_go_by_priority_then_journey_then_step() -> None:
    def mails(name: str, priority: int) -> str:
        steps = f"""
            - {{id: one, send: {{channel: email, template: {name}-1}}}}
            - {{id: two, send: {{channel: email, template: {name}-2}}}}
            - {{id: stop, end: {{}}}}
            """
        return journey_of(steps, name, more=f"priority: {priority}")

    world = World(mails("cc", 50), mails("aa", 50), mails("bb", 80))
    world.event("began", "0s")
    assert [action.template for action in world.actions] == ["bb-1", "bb-2", "aa-1", "aa-2", "cc-1", "cc-2"]


def test_a_step_whose_condition_is_not_true_is_skipped() -> None:
    lines = [
        f"{{id: {name}, when: '{when}', send: {{channel: email, template: {name}}}}}"
        for name, when in (("yes", 'event.plan == "pro"'), ("no", 'event.plan == "free"'), ("unknown", "event.absent > 1"))
    ]
    world = run(*lines)
    assert [action.template for action in world.actions] == ["yes"]
    assert [decision.step for decision in world.decisions("condition_error")] == ["unknown"]


@pytest.mark.parametrize(
    ("score", "outcome", "branch"), [(9, "won", "1"), (1, "lost", "2"), (5, "through", "else"), (None, "through", "else")]
)
def test_split_takes_the_first_true_branch_else_the_last(score: int | None, outcome: str, branch: str) -> None:
    split = "{id: choose, split: [{when: event.score > 8, go: won}, {when: event.score < 3, go: lost}, {else: continue}]}"
    world = run(split, score=score)
    assert [decision.outcome for decision in world.decisions("ended")] == [outcome]
    (taken,) = world.decisions("branch_taken")
    assert taken.detail == {"branch": branch, "to": "continue" if branch == "else" else outcome}


def test_split_else_may_name_a_state() -> None:
    world = World(
        steps("{id: choose, split: [{when: event.score > 8, go: won}, {else: lost}]}").replace(
            "      - {id: stop, end: {outcome: through}}\n", ""
        )
    )
    world.event("began", "0s", account="A", score=1)
    assert [decision.outcome for decision in world.decisions("ended")] == ["lost"]


def test_a88_set_writes_context_and_profile_for_the_next_step() -> None:
    world = run(
        "{id: note, set: {journey.tier: '\"gold\"', profile.vip: 'true', journey.lost: event.absent}}",
        "{id: mail, send: {channel: email, template: hi, data: {tier: journey.tier, vip: profile.vip}}}",
    )
    assert world.actions[0].data == {"tier": "gold", "vip": True}
    assert world.handlings[0].profile == {"vip": True}
    (written,) = world.decisions("context_set")
    assert written.detail == {"names": "journey.tier, profile.vip"}
    assert [decision.step for decision in world.decisions("condition_error")] == ["note"]


MAIL = """
- {id: mail, send: {channel: email, template: hi, data: {plan: profile.plan, city: profile.city}}}
- {id: stop, end: {}}
"""
PROFILE_MAIL = journey_of(MAIL, entry=AGAIN)


def test_a69_profile_and_preferences_merge_and_null_deletes() -> None:
    world = World(PROFILE_MAIL)
    world.event("profile.updated", "0s", plan="pro", city="Sydney")
    world.event("preference.updated", "1s", city=None, preferred_channel="sms")
    world.event("began", "2s")
    assert world.actions[0].data == {"plan": "pro"}


def test_a88_the_newest_record_time_wins_even_over_a_later_arrival() -> None:
    # plan=new at 10s, deleted city at 10s; then an update of 5s arrives: neither comes back
    world = World(PROFILE_MAIL)
    world.event("profile.updated", "1s", city="Sydney")
    world.event("profile.updated", "10s", plan="new", city=None)
    world.event("profile.updated", "5s", plan="old", city="Perth")
    world.event("began", "11s")
    assert world.actions[0].data == {"plan": "new"}


def test_a88_a_null_for_a_name_that_was_never_there_wins_over_an_older_update_as_well() -> None:
    world = World(PROFILE_MAIL)
    world.event("profile.updated", "10s", plan="new", city=None)
    world.event("profile.updated", "5s", city="Perth")
    world.event("began", "11s")
    assert world.actions[0].data == {"plan": "new"}


def test_a88_by_the_semantics_of_before_such_a_null_was_forgotten() -> None:
    world = World(PROFILE_MAIL)
    world.simulation = Simulation(Engine(topology(PROFILE_MAIL), semantics=3))
    world.event("profile.updated", "10s", plan="new", city=None)
    world.event("profile.updated", "5s", city="Perth")
    world.event("began", "11s")
    assert world.actions[0].data == {"plan": "new", "city": "Perth"}


def test_a88_a_late_records_set_does_not_overwrite_what_a_younger_record_said() -> None:
    # plan=new at 10s; then a record of 5s arrives, whose step sets plan and city: city is new, plan stays
    world = World(journey_of("- {id: note, set: {profile.plan: '\"old\"', profile.city: '\"Perth\"'}}" + MAIL))
    world.event("profile.updated", "10s", plan="new")
    (handling,) = world.event("began", "5s")
    assert world.actions[0].data == {"plan": "new", "city": "Perth"}
    assert handling.profile == {"city": "Perth"}
    assert [decision.detail for decision in world.decisions("context_set")] == [{"names": "profile.city"}]


def test_a_profile_over_the_limit_is_an_incident_and_not_applied() -> None:
    world = World(PROFILE_MAIL, policy=POLICY + "\nlimits: {context_bytes: 100}\n")
    world.event("profile.updated", "0s", plan="pro")
    world.event("profile.updated", "1s", city="x" * 200)
    world.event("began", "2s")
    assert [incident.reason for incident in world.incidents] == ["document_too_large"]
    assert world.actions[0].data == {"plan": "pro"}


def test_alert_is_an_incident_with_its_severity_and_a_decision() -> None:
    world = run("{id: cry, alert: {severity: critical, message: payments are failing}}")
    (incident,) = world.incidents
    assert (incident.reason, incident.severity, incident.message) == ("alert", "critical", "payments are failing")
    assert (incident.journey, incident.step, incident.stage) == ("j", "cry", "engine")
    assert [decision.step for decision in world.decisions("alert")] == ["cry"]


def test_go_moves_and_end_ends_with_its_outcome() -> None:
    world = World(steps("{id: on, go: won}").replace("      - {id: stop, end: {outcome: through}}\n", ""))
    world.event("began", "0s", account="A", plan="pro")
    assert world.kinds() == ["entered", "state_entered", "state_entered", "ended"]
    assert [decision.outcome for decision in run().decisions("ended")] == ["through"]


LOOP = """
journey: {name}
version: 1
purpose: care
entry: {{on: began}}
exit: [{{on: stop, outcome: stopped}}]
start: a
states:
  a:
    steps:
      - {{id: mail, send: {{channel: email, template: hi}}}}
      - {{id: choose, split: [{{when: event.loops, go: b}}, {{else: b}}]}}
  b:
    steps:
      - {{id: back, split: [{{when: event.loops, go: a}}, {{else: continue}}]}}
      - {{id: wait, delay: 1d}}
      - {{id: done, end: {{}}}}
"""


def test_a80_a_loop_without_a_wait_parks_the_instance_and_sends_nothing() -> None:
    world = World(LOOP.format(name="loop"))
    world.event("began", "0s", loops=True)
    assert [(incident.reason, incident.journey) for incident in world.incidents] == [("loop", "loop")]
    assert world.actions == []
    assert len(world.decisions("state_entered")) == 100
    (instance,) = world.document().instances
    assert instance.parked == "loop"
    assert world.until("30d") == []


def test_a38_an_exit_still_acts_on_a_parked_instance_and_it_counts_as_active() -> None:
    world = World(LOOP.format(name="loop"))
    world.event("began", "0s", loops=True)
    world.event("began", "1s", loops=False)
    assert [decision.reason for decision in world.decisions("entry_refused")] == ["already_active"]
    world.event("stop", "2s")
    assert world.document().instances == []

from __future__ import annotations

import pytest

from orchestrator.engine.engine import Customer, Engine
from orchestrator.engine.record import Record
from tests.engine.world import AGAIN, POLICY, START, World, journey_of, offset_ms, topology

ENTRY = """
journey: {name}
version: 1
purpose: {purpose}
priority: {priority}
entry: {{on: began, {more}}}
exit: [{{on: gone, outcome: gone}}]
start: s
states:
  s: {{rest: true, on: [{{event: finished, go: over}}]}}
  over: {{final: true, outcome: over}}
"""


def journey(more: str, name: str = "j", purpose: str = "care", priority: int = 50) -> str:
    return ENTRY.format(more=more, name=name, purpose=purpose, priority=priority)


def refusals(world: World) -> list[str]:
    return [decision.reason for decision in world.decisions("entry_refused")]


def test_e1_a31_reasons_come_in_order_condition_then_active_then_reentry() -> None:
    world = World(journey('when: event.plan == "pro"'))
    world.event("began", "0s", plan="free")
    world.event("began", "1s", plan="pro")
    world.event("began", "2s", plan="free")
    world.event("began", "3s", plan="pro")
    world.event("gone", "4s")
    world.event("began", "5s", plan="pro")
    assert refusals(world) == ["condition", "condition", "already_active", "reentry"]
    assert len(world.decisions("entered")) == 1


def test_e1_an_unknown_condition_refuses_and_is_logged() -> None:
    world = World(journey('when: event.plan == "pro"'))
    world.event("began", "0s")
    assert refusals(world) == ["condition"]
    assert [decision.detail for decision in world.decisions("condition_error")] == [{"expression": 'event.plan == "pro"'}]


def test_e1_i2_a32_a52_a_repeat_is_refused_for_each_journey_and_counted_and_new_again_at_the_windows_end() -> None:
    # x 0s ----- x 24h-1ms: a repeat, which does not refresh ----- x 24h: new
    world = World(journey("reentry: always", "aa"), journey("reentry: always", "bb"))
    world.event("began", "0s", id="x")
    world.event("gone", "1h")
    world.event("began", "24h-1ms", id="x")
    assert [(decision.journey, decision.reason) for decision in world.decisions("entry_refused")] == [
        ("aa", "duplicate"),
        ("bb", "duplicate"),
    ]
    assert world.count("duplicate_events") == 1
    before = len(world.decisions("entered"))
    world.event("began", "24h", id="x")
    assert len(world.decisions("entered")) == before + 2


def test_i2_a_repeat_resolves_no_wait_and_changes_no_byte() -> None:
    world = World(journey(""))
    world.event("began", "0s", id="x")
    stored = world.customer().stored
    world.event("finished", "1s", id="x")
    assert world.customer().stored is stored
    assert world.state("j") == "s"


def test_a52_without_an_id_nothing_is_a_repeat() -> None:
    world = World(journey("reentry: always"))
    for at in ("0s", "1s"):
        world.event("began", at, id="")
        world.event("gone", at, id="")
    assert len(world.decisions("entered")) == 2


@pytest.mark.parametrize(("at", "enters"), [("30d-1ms", False), ("30d", True)])
@pytest.mark.parametrize(("since", "exit_at"), [("entry", "20d"), ("exit", "0s+1s")])
def test_e2_a34_reentry_after_a_time_from_entry_or_end(since: str, exit_at: str, at: str, enters: bool) -> None:
    # entry 0 -- end at exit_at ------------- base + 30d: allowed at exactly that
    world = World(journey(f"reentry: {{after: 30d, since: {since}}}"))
    world.event("began", "0s")
    world.event("finished", exit_at)
    base = 0 if since == "entry" else offset_ms(exit_at)
    world.event("began", base + offset_ms(at))
    assert len(world.decisions("entered")) == 1 + enters
    assert refusals(world) == ([] if enters else ["reentry"])


ENDS = """
journey: j
version: 1
purpose: care
priority: 10
lifetime: 5d
entry: {on: began, reentry: {after: 30d, since: exit}}
exit: [{on: gone}]
start: s
states:
  s:
    on: [{event: finished, go: over}, {event: stopped, go: stop}]
    steps: [{id: wait, hold_until: [{on: never, go: over}], timeout: 4d, on_timeout: rest}]
  rest: {rest: true}
  stop: {steps: [{id: end, end: {outcome: stopped}}]}
  over: {final: true}
"""
RIVAL = "journey: rival\nversion: 1\npurpose: care\npriority: 90\nentry: {on: rival}\nstart: s\nstates: {s: {rest: true}}\n"
PREEMPT = POLICY + "exclusive: [{id: one, journeys: [j, rival], on_conflict: preempt}]\n"


@pytest.mark.parametrize(
    ("event", "kind", "reason", "end"),
    [
        ("finished", "ended", "", "1d"),
        ("stopped", "ended", "", "1d"),
        ("gone", "exited", "", "1d"),
        ("", "expired", "", "5d"),
    ],
)
def test_a34_every_end_counts_as_the_exit(event: str, kind: str, reason: str, end: str) -> None:
    # began 0 --- the end, of whatever kind --------- 30d after it: allowed at exactly that
    for at, enters in (("30d-1ms", False), ("30d", True)):
        world = World(ENDS)
        world.event("began", "0s")
        if event:
            world.event(event, end)
        world.until(end)
        assert [(d.kind, d.reason) for d in world.decisions("ended", "exited", "expired")] == [(kind, reason)]
        world.event("began", offset_ms(end) + offset_ms(at))
        assert len(world.decisions("entered")) == 1 + enters


def test_a34_a_pre_empted_instance_has_exited_too() -> None:
    world = World(ENDS, RIVAL.replace("rest: true", "on: [{event: done, go: over}]}, over: {final: true"), policy=PREEMPT)
    world.event("began", "0s")
    world.event("rival", "1d")
    world.event("done", "2d")
    world.event("began", "31d-1ms")
    world.event("began", "31d")
    assert [(d.journey, d.reason) for d in world.decisions("exited", "entry_refused")] == [("j", "preempted"), ("j", "reentry")]
    assert [d.journey for d in world.decisions("entered")] == ["j", "rival", "j"]


def test_e2_a33_never_is_the_default_and_holds_for_each_key() -> None:
    world = World(journey("key: event.account"))
    for number, account in enumerate(("A", "B", "A")):
        world.event("began", f"{number}s", account=account)
        world.event("gone", f"{number}s", account=account)
    assert [decision.key for decision in world.decisions("entered")] == ["A", "B"]
    assert [(decision.key, decision.reason) for decision in world.decisions("entry_refused")] == [("A", "reentry")]


def test_e3_a14_the_event_that_exits_or_ends_also_enters_anew() -> None:
    exits = World(journey("reentry: always").replace("on: gone", "on: began"))
    ends = World(journey("reentry: always").replace("event: finished", "event: began"))
    for world, kind in ((exits, "exited"), (ends, "ended")):
        world.event("began", "0s")
        (handling,) = world.event("began", "1s")
        kinds = [decision.kind for decision in handling.decisions]
        assert kinds.index(kind) < kinds.index("entered")
        assert len(world.document().instances) == 1


@pytest.mark.parametrize("account", [None, "", [1], {"a": 1}])
def test_e4_a36_a_key_that_is_none_is_an_incident_and_no_instance(account: object) -> None:
    world = World(journey("key: event.account"))
    world.event("began", "0s", account=account)
    assert [(incident.reason, incident.journey) for incident in world.incidents] == [("key_missing", "j")]
    assert world.document().instances == []


@pytest.mark.parametrize(("account", "key"), [(7, "7"), (7.0, "7"), (True, "true"), ("A", "A")])
def test_a36_numbers_and_booleans_become_text(account: object, key: str) -> None:
    world = World(journey("key: event.account"))
    world.event("began", "0s", account=account)
    assert [instance.key for instance in world.document().instances] == [key]


def test_e1_a37_the_limit_counts_active_instances_of_all_journeys() -> None:
    policy = POLICY + "\nlimits: {instances_per_customer: 2}\n"
    world = World(journey("key: event.account", "aa"), journey("", "bb"), policy=policy)
    world.event("began", "0s", account="A")
    world.event("began", "1s", account="B")
    assert [(decision.journey, decision.reason) for decision in world.decisions("entry_refused")] == [
        ("aa", "limit"),
        ("bb", "already_active"),
    ]


@pytest.mark.parametrize(("age", "enters"), [("1d", True), ("1d+1ms", False)])
def test_e1_a35_max_age_is_the_clock_minus_the_records_time(age: str, enters: bool) -> None:
    engine = Engine(topology(journey("max_age: 1d")))
    record = Record("began", "c1", "x", START, {})
    (handling,) = engine.handle(Customer("c1", None), record, START + offset_ms(age))
    assert next(decision.kind for decision in handling.decisions) == ("entered" if enters else "entry_refused")
    assert handling.decisions[0].reason == ("" if enters else "too_old")


def test_t7_entries_go_by_priority_then_journey_id() -> None:
    world = World(journey("", "cc", priority=10), journey("", "bb"), journey("", "aa"), journey("", "dd", priority=90))
    world.event("began", "0s")
    assert [decision.journey for decision in world.decisions("entered")] == ["dd", "aa", "bb", "cc"]


def test_a106_a_context_field_that_is_absent_stays_unset_and_the_entry_stands() -> None:
    text = journey("").replace("start: s", "context: {plan: event.plan, country: event.country}\nstart: s")
    world = World(text)
    world.event("began", "0s", plan="pro")
    assert world.document().instances[0].context == {"plan": "pro"}
    assert [decision.detail for decision in world.decisions("condition_error")] == [{"expression": "event.country"}]


def test_context_over_the_limit_is_an_incident_and_the_instance_goes_on() -> None:
    text = journey("").replace("start: s", "context: {plan: event.plan}\nstart: s")
    world = World(text, policy=POLICY + "\nlimits: {context_bytes: 100}\n")
    world.event("began", "0s", plan="x" * 200)
    assert [(incident.reason, incident.journey) for incident in world.incidents] == [("context_too_large", "j")]
    assert "xx" not in world.incidents[0].message
    assert (world.state("j"), world.document().instances[0].context) == ("s", {})


MAIL_AND_TEXT = """
- {id: one, send: {channel: email, template: one}}
- {id: two, send: {channel: sms, template: two, purpose: care}}
- {id: stop, end: {}}
"""


def sends(entry: str = AGAIN) -> str:
    return journey_of(MAIL_AND_TEXT, entry=entry, purpose="promotion")


def test_c2_a39_entry_needs_consent_for_a_send_of_the_journeys_own_purpose() -> None:
    # the sms send is for another purpose: consent for sms does not open the entry
    world = World(sends())
    world.event("began", "0s")
    world.consent("granted", "1s", channel="sms")
    world.event("began", "2s")
    assert refusals(world) == ["consent", "consent"]
    world.consent("granted", "3s", channel="email")
    world.event("began", "4s")
    assert len(world.decisions("entered")) == 1


def test_a39_a_journey_without_such_sends_asks_for_no_consent() -> None:
    world = World(journey("", purpose="promotion"))
    world.event("began", "0s")
    assert len(world.decisions("entered")) == 1


def test_a31_condition_comes_before_consent() -> None:
    world = World(sends('{on: began, when: event.plan == "pro"}'))
    world.event("began", "0s", plan="free")
    world.event("began", "1s", plan="pro")
    assert refusals(world) == ["condition", "consent"]


ANSWER = "- {id: answer, hold_until: [{on: answered, go: s}], timeout: 9d}"
LISTENS = journey_of(ANSWER, "listens", entry="{on: [began, answered], reentry: always}", state="rest: true")
ALSO = "journey: also\nversion: 1\npurpose: care\nentry: {on: answered}\nstart: s\nstates: {s: {rest: true}}\n"


def test_a32_a_refusal_is_logged_for_the_event_that_the_active_instance_took_and_for_each_journey_that_names_it() -> None:
    world = World(LISTENS, ALSO)
    world.event("began", "0s")
    world.event("answered", "1h")
    world.event("answered", "2h")

    # 1h: taken by the wait, and yet refused as an entry; `also` enters     2h: both are active
    assert [(d.journey, d.reason) for d in world.decisions("entry_refused")] == [
        ("listens", "already_active"),
        ("also", "already_active"),
        ("listens", "already_active"),
    ]
    assert len(world.decisions("hold_resolved")) == 2


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("profile.updated", {"plan": "pro"}),
        ("preference.updated", {"plan": "pro"}),
        ("consent.changed", {"channel": "email", "purpose": "promotion", "status": "granted"}),
    ],
)
def test_a53_a_journey_may_listen_to_a_reserved_type_and_sees_what_it_did(event: str, payload: dict[str, str]) -> None:
    listens = f"""
        journey: reacts
        version: 1
        purpose: care
        entry: {{on: {event}, when: 'has(profile.plan) || consented("email", "promotion")'}}
        start: s
        states:
          s:
            steps:
              - {{id: again, hold_until: [{{on: {event}, go: heard}}], timeout: 9d}}
          heard: {{final: true}}
        """
    world = World(listens)
    world.event(event, "0s", **payload)
    assert world.state("reacts") == "s"
    world.event(event, "1h", **payload)
    assert [decision.state for decision in world.decisions("ended")] == ["heard"]

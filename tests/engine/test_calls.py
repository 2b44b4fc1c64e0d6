"""Calls: outcomes, retries, failure, hand-off, redrive (rules A1-A4; rulings A89-A96)."""

from __future__ import annotations

from hashlib import sha256

import pytest

from orchestrator.engine.handling import Action
from orchestrator.engine.verbs.call import Retry, delay_ms
from orchestrator.names import Reason
from tests.engine.world import POLICY, START, World, journey_of, offset_ms

JOURNEY = """
journey: j
version: 1
owner: team
purpose: promotion
urgency: high
entry: {on: began, reentry: always}
exit:
  - {on: closed, outcome: closed}
context: {plan: event.plan}
start: s
states:
  s:
    on: [{event: solved, go: good}]
    steps:
      - {id: note, set: {journey.noted: "'yes'"}}
      - id: open
        call:
          action: open-case
          data: {plan: journey.plan, why: event.why}
          timeout: 1h
          result: case
          SETTINGS
      - {id: tell, send: {channel: email, template: opened, purpose: care, data: {number: journey.case.number}}}
      - {id: end, end: {outcome: opened}}
  good: {final: true, outcome: good}
STATES
"""
FAILED = "  failed: {final: true, outcome: failed}"
ON_ERROR = "on_error: failed"
RETRY = (
    "retry: [{on: [throttled], max_attempts: 3, interval: 30s, backoff: 2, max_delay: 45s}, "
    "{on: ['*'], max_attempts: 2, interval: 10s}]"
)


def world(*settings: str, policy: str = POLICY) -> World:
    text = JOURNEY.replace("SETTINGS", ("\n" + " " * 10).join(settings) or "await: true")
    it = World(text.replace("STATES", FAILED if ON_ERROR in settings else ""), policy=policy)
    it.event("began", "0s", plan="pro", why="asked")
    return it


def calls(it: World) -> list[Action]:
    return [action for action in it.actions if action.kind == "call"]


def attempts(it: World) -> list[tuple[int, int]]:
    return [(action.attempt, action.created_at - START) for action in calls(it)]


def answer(it: World, at: str | int, status: str, code: str | None = None, of: str | None = None, **result: object) -> None:
    action_id = of or calls(it)[-1].action_id
    it.event("action.outcome", at, action_id=action_id, status=status, code=code, data=dict(result))


def received(it: World) -> list[tuple[str, str, str]]:
    return [(one.outcome, one.step, one.reason) for one in it.decisions("outcome_received")]


def test_a1_a95_the_command_says_all_that_a_service_needs() -> None:
    (call,) = calls(world())
    assert (call.kind, call.channel, call.action, call.attempt) == ("call", "service", "open-case", 1)
    assert (call.customer, call.journey, call.version, call.step, call.purpose) == ("c1", "j", 1, "open", "promotion")
    assert (call.urgency, call.data, call.consent, call.handoff) == ("high", {"plan": "pro", "why": "asked"}, None, None)
    assert (call.created_at, call.expires_at) == (START, START + offset_ms("1h"))  # ruling A91


def test_a2_a89_success_goes_on_with_the_result() -> None:
    it = world()
    assert it.state("j") == "s"
    answer(it, "5m", "succeeded", number=7)
    assert [(action.template, action.data) for action in it.actions[1:]] == [("opened", {"number": 7})]
    assert received(it) == [("succeeded", "open", "")]
    assert it.state("j") is None


@pytest.mark.parametrize("status", ["delivered", "unknown"])
def test_a2_a_status_that_is_neither_success_nor_failure_moves_nothing(status: str) -> None:
    it = world(ON_ERROR)
    answer(it, "5m", status)
    assert it.state("j") == "s"
    assert received(it) == [(status, "open", "")]


def test_a2_a90_retries_keep_the_action_id_back_off_up_to_a_cap_and_end_in_on_error() -> None:
    # out 0 -- throttled 1m -- +30s out -- throttled 3m -- +45s (not 60) out -- throttled 5m: three attempts in all
    it = world(RETRY, ON_ERROR)
    for minute in (1, 3, 5):
        answer(it, f"{minute}m", "failed", "throttled")
    assert attempts(it) == [(1, 0), (2, offset_ms("90s")), (3, offset_ms("225s"))]
    assert len({action.action_id for action in calls(it)}) == 1
    assert {tuple(action.data.items()) for action in calls(it)} == {(("plan", "pro"), ("why", "asked"))}
    scheduled = it.decisions("retry_scheduled")
    assert [(one.reason, (one.detail or {})["attempt"]) for one in scheduled] == [("throttled", "2"), ("throttled", "3")]
    assert [(one.reason, one.detail) for one in it.decisions("call_failed")] == [("throttled", {"attempts": "3"})]
    assert it.decisions("ended")[0].outcome == "failed"


def test_a92_attempts_count_over_all_entries_and_the_first_matching_entry_decides() -> None:
    it = world(RETRY, ON_ERROR)
    answer(it, "1m", "failed", "throttled")
    answer(it, "3m", "failed", "odd")  # "*" allows two attempts, and two were made
    assert attempts(it) == [(1, 0), (2, offset_ms("90s"))]
    assert [one.reason for one in it.decisions("call_failed")] == ["odd"]


def test_a2_a_code_that_no_entry_matches_fails_at_once() -> None:
    it = world("retry: [{on: [throttled]}]", ON_ERROR)
    answer(it, "1m", "failed", "no_such_case")
    assert attempts(it) == [(1, 0)]
    assert it.decisions("ended")[0].outcome == "failed"


def test_a2_a91_a_timeout_is_the_failure_code_timeout_and_counts_from_each_emission() -> None:
    it = world("retry: [{on: [timeout], max_attempts: 2, interval: 10m}]", ON_ERROR)
    it.until("1d")
    assert attempts(it) == [(1, 0), (2, offset_ms("70m"))]
    assert [handling.at - START for handling in it.handlings][-1] == offset_ms("130m")
    assert [one.reason for one in it.decisions("call_failed")] == ["timeout"]


@pytest.mark.parametrize(("at", "outcome"), [("1h", "opened"), ("1h+1ms", "failed")])
def test_t3_an_outcome_at_the_timeout_wins(at: str, outcome: str) -> None:
    # out 0 ---------- 1h timeout
    #                 ^ outcome exactly at it, and just after
    it = world(ON_ERROR)
    answer(it, at, "succeeded")
    assert [one.outcome for one in it.decisions("ended")] == [outcome]


def test_a3_what_is_late_repeated_or_for_another_action_is_logged_and_moves_nothing() -> None:
    it = world(RETRY, ON_ERROR)
    answer(it, "1m", "failed", "throttled")
    answer(it, "1m+1s", "succeeded")  # of the attempt that has failed, while its back-off runs
    answer(it, "1m+2s", "succeeded", of="another")
    assert it.state("j") == "s"
    answer(it, "2m", "succeeded", number=1)
    assert it.state("j") is None
    answer(it, "3m", "failed", "throttled")
    assert [outcome for outcome, _, _ in received(it)] == ["failed", "succeeded", "succeeded", "succeeded", "failed"]
    assert received(it)[2] == ("succeeded", "", "")
    assert len(it.decisions("ended")) == 1


def test_a3_an_outcome_of_a_send_is_logged_with_its_step() -> None:
    steps = "- {id: hello, send: {channel: email, template: t}}"
    it = World(journey_of(steps, "k", more="owner: team", state="rest: true"))
    it.event("began", "0s")
    answer_to = it.actions[0].action_id
    it.event("action.outcome", "1m", action_id=answer_to, status="bounced", code="no_mailbox")
    (decision,) = it.decisions("outcome_received")
    assert (decision.journey, decision.state, decision.step) == ("k", "s", "hello")
    assert (decision.outcome, decision.reason, decision.action_id) == ("bounced", "no_mailbox", answer_to)
    assert it.state("k") == "s"


def test_an_outcome_that_says_nothing_is_an_incident() -> None:
    it = world()
    it.event("action.outcome", "1m", status="failed")
    assert [incident.reason for incident in it.incidents] == [Reason.UNUSABLE_EVENT]


def test_a2_without_await_the_journey_goes_on_at_once() -> None:
    it = world("await: false", policy=POLICY)
    assert [action.kind for action in it.actions] == ["call", "send"]
    assert it.state("j") is None


def test_a2_a38_without_on_error_the_instance_parks_visible_and_hears_only_exits_and_handlers() -> None:
    it = world()
    answer(it, "1m", "failed", "broken")
    (incident,) = it.incidents
    assert (incident.reason, incident.journey, incident.step) == (Reason.ACTION_FAILED, "j", "open")
    (instance,) = it.document().instances
    assert (instance.parked, instance.step, instance.due) == (Reason.ACTION_FAILED, "open", 0)
    answer(it, "2m", "succeeded")
    it.until("30d")
    assert it.state("j") == "s"
    it.event("solved", "31d")
    assert it.decisions("ended")[0].outcome == "good"


def redrive(it: World, at: str, step: str = "open", journey: str = "") -> int:
    simulation = it.simulation
    found = simulation.engine.redrive(it.customer(), step, START + offset_ms(at), journey)
    it.handlings += found
    return len(found)


def test_a4_a_redrive_runs_from_the_failed_step_with_its_attempts_anew_and_the_same_id() -> None:
    it = world("retry: [{on: ['*'], max_attempts: 2, interval: 0s}]")
    answer(it, "1m", "failed", "broken")
    answer(it, "2m", "failed", "broken")
    assert attempts(it) == [(1, 0), (2, offset_ms("1m"))]
    assert redrive(it, "1d") == 1
    assert attempts(it)[2:] == [(3, offset_ms("1d"))]
    assert calls(it)[2].data == {"plan": "pro", "why": "asked"}
    answer(it, "1d+1m", "failed", "broken")
    assert attempts(it)[3:] == [(4, offset_ms("1d+1m"))]  # two attempts again
    answer(it, "1d+2m", "succeeded", number=3)
    assert [action.template for action in it.actions if action.kind == "send"] == ["opened"]
    assert len({action.action_id for action in calls(it)}) == 1


def test_a4_a_redrive_of_what_is_not_parked_or_has_left_does_nothing() -> None:
    it = world()
    assert redrive(it, "1m") == 0
    answer(it, "2m", "failed", "broken")
    assert redrive(it, "3m", journey="other") == 0
    it.event("closed", "4m")  # exits act on a parked instance
    assert redrive(it, "5m") == 0
    assert len(calls(it)) == 1


def test_a4_a_redriven_send_is_judged_again() -> None:
    steps = "- {id: wait, delay: 1d}\n- {id: offer, send: {channel: email, template: offer}}"
    it = World(journey_of(steps, "k", purpose="promotion", more="owner: team", state="rest: true"))
    it.consent("granted", "0s")
    it.event("began", "1s")
    customer = it.customer()
    assert customer.document is not None
    customer.document.instances[0].step = "offer"
    customer.document.instances[0].due = 0
    customer.document.instances[0].parked = Reason.HANDLER_ERROR
    customer.keep(customer.document)
    it.consent("withdrawn", "1h")
    assert redrive(it, "2h", "offer") == 1
    assert [one.reason for one in it.decisions("action_suppressed")] == ["consent"]
    assert it.actions == []


def test_a1_the_hand_off_block_says_what_a_person_needs() -> None:
    policy = POLICY.replace("email: {topic: actions.email}", "email: {topic: actions.email, address: profile.email}")
    text = JOURNEY.replace("SETTINGS", "handoff: true").replace("STATES", "")
    it = World(text, policy=policy)
    it.event("profile.updated", "0s", email="anna@example.com", identity_verified=True)
    it.event("began", "1s", plan="pro", why="asked")
    (call,) = calls(it)
    assert call.handoff == {
        "task_id": call.action_id,
        "last_steps": ["note", "open"],
        "identity": {"customer_id": "c1", "verified": True, "addresses": {"email": "anna@example.com"}},
        "open_journeys": [{"journey": "j", "key": "", "state": "s"}],
    }


@pytest.mark.parametrize(("failures", "delay"), [(1, 30_000), (2, 60_000), (5, 480_000), (6, 600_000), (5_000, 600_000)])
def test_a93_the_back_off_doubles_up_to_its_cap(failures: int, delay: int) -> None:
    assert delay_ms(Retry(("*",)), failures, failures, "id") == delay


def test_a93_full_jitter_is_a_hash_of_the_action_and_the_attempt() -> None:
    retry = Retry(("*",), 3, 30_000, 2.0, 600_000, "full")
    expected = int(sha256(b"some-id\x1f2").hexdigest(), 16) % 60_000
    assert delay_ms(retry, 2, 2, "some-id") == expected
    assert delay_ms(Retry(("*",), 3, 0, 2.0, 600_000, "full"), 1, 1, "some-id") == 0


def test_a95_where_there_are_several_services_the_call_names_one() -> None:
    policy = POLICY.replace("purposes:", "  other: {topic: actions.other, kind: action}\npurposes:")
    with pytest.raises(AssertionError, match="name one with `channel`"):
        world(policy=policy)
    assert [call.channel for call in calls(world("channel: other", policy=policy))] == ["other"]
    with pytest.raises(AssertionError, match="has none: add one"):
        world(policy=POLICY.replace(", kind: action", ""))

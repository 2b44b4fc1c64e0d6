"""The questions of a reviewer: each asked where it is due, and nowhere else."""

from __future__ import annotations

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.checklist import review
from orchestrator.language.composer import compose
from orchestrator.language.journeys import read_journey
from orchestrator.language.model import Policy, Topology
from orchestrator.language.policy import read_policy
from orchestrator.language.problems import Problems

EXIT = "exit: [{on: account.closed}]"
SOUND = """
journey: j
version: 1
purpose: p
urgency: low
entry: {on: began}
exit: [{on: account.closed}]
start: s
states:
  s:
    steps:
      - {id: mail, send: {channel: email, template: t}}
      - {id: answer, hold_until: [{on: done, go: over}], timeout: 1d}
      - {id: case, call: {action: open-case, on_error: over}}
      - {id: stop, end: {}}
  over: {final: true}
"""


POLICY = """
channels:
  email: {topic: mail, quiet_hours: {from: "21:00", to: "08:00"}}
  sms: {topic: sms, quiet_hours: {from: "21:00", to: "08:00"}}
  desk: {topic: desk, kind: action}
purposes:
  p: {consent: required}
  q: {consent: not_required, basis: contract}
caps: [{id: all, limit: 1, per: 1d, window: rolling}]
holdout: {percent: 5, salt: s}
"""


def doubts(text: str, *, policy: str = "", is_tested: bool = True) -> list[tuple[str, int]]:
    """The code and line of each warning, those of the policy after those of the journey."""
    problems = Problems()
    node = compose("j.yaml", text.encode(), problems)
    shared = compose("policy.yaml", policy.encode(), problems) if policy else None
    assert node is not None
    journey = read_journey(node, problems, TABLE).journey
    rules = Policy() if shared is None else read_policy(shared, problems)
    assert not problems.has_errors, list(problems)
    review(Topology((journey,), rules), frozenset({"j"} if is_tested else ()), problems)
    assert {problem.severity for problem in problems} <= {"warning"}
    return [(problem.code, problem.place.line) for problem in problems]


def test_a_sound_journey_raises_no_doubt() -> None:
    assert doubts(SOUND) == []
    assert doubts(SOUND, policy=POLICY) == []


@pytest.mark.parametrize(
    ("right", "doubtful", "found"),
    [
        ("caps: [{id: all,", "caps: [{id: all, purposes: [p],", None),
        ("caps: [{id: all,", "caps: [{id: all, channels: [email, sms],", None),
        ("caps: [{id: all,", "caps: [{id: all, purposes: [q],", (codes.NO_CAP, 7)),
        ("caps: [{id: all,", "caps: [{id: all, channels: [sms],", (codes.NO_CAP, 7)),
        ('email: {topic: mail, quiet_hours: {from: "21:00", to: "08:00"}}', "email: {topic: mail}", (codes.NO_QUIET_HOURS, 3)),
        ('sms: {topic: sms, quiet_hours: {from: "21:00", to: "08:00"}}', "sms: {topic: sms}", None),  # nothing leaves by it
        ("holdout: {percent: 5, salt: s}", "", (codes.NO_HOLDOUT, 2)),
        ("holdout: {percent: 5, salt: s}", "holdout: {percent: 5, salt: s, purposes: [q]}", None),
    ],
)
def test_a99_what_needs_consent_is_capped_quiet_at_night_and_measured(
    right: str, doubtful: str, found: tuple[str, int] | None
) -> None:
    assert right in POLICY
    policy = POLICY.replace(right, doubtful, 1)

    assert doubts(SOUND, policy=policy) == ([] if found is None else [found])
    assert doubts(SOUND.replace("purpose: p", "purpose: q"), policy=policy) == []  # no promotion


def test_a_promotion_by_the_preferred_channel_may_leave_by_any() -> None:
    policy = POLICY.replace('sms: {topic: sms, quiet_hours: {from: "21:00", to: "08:00"}}', "sms: {topic: sms}")
    assert doubts(SOUND.replace("channel: email", "channel: preferred"), policy=policy) == [(codes.NO_QUIET_HOURS, 4)]


def test_an_arm_that_gets_nothing_is_a_control_group_too() -> None:
    policy = POLICY.replace("holdout: {percent: 5, salt: s}", "")
    branches = "[{arm: a, weight: 50, holdout: true, go: over}, {arm: b, weight: 50, go: over}]"
    randomized = SOUND.replace("{id: stop, end: {}}", f"{{id: stop, randomize: {{experiment: e, branches: {branches}}}}}")

    assert doubts(randomized, policy=policy) == []


@pytest.mark.parametrize(
    ("retry", "is_doubtful"),
    [
        ("{on: '*', max_attempts: 3}", False),
        ("{on: '*', max_attempts: 23, interval: 0s}", False),
        ("{on: '*', max_attempts: 24, interval: 0s}", False),
        ("{on: '*', max_attempts: 25, interval: 0s}", True),
        ("{on: '*', max_attempts: 5, interval: 1h, backoff: 2, max_delay: 3d}", False),
        ("{on: '*', max_attempts: 6, interval: 1h, backoff: 2, max_delay: 3d}", True),
        ("{on: '*', max_attempts: 1000000000000}", True),
        ("{on: '*', max_attempts: 1000000000000, interval: 0s, backoff: 1}", True),
    ],
)
def test_retries_that_go_on_for_longer_than_a_day(retry: str, is_doubtful: bool) -> None:
    text = SOUND.replace("on_error: over", f"on_error: over, retry: [{retry}]")  # each attempt waits an hour for its answer

    assert doubts(text) == ([(codes.LONG_RETRY, 14)] if is_doubtful else [])


def test_a_journey_that_no_scenario_names() -> None:
    assert doubts(SOUND, is_tested=False) == [(codes.NO_SCENARIO, 2)]


@pytest.mark.parametrize(
    ("right", "doubtful", "found"),
    [
        ("exit: [{on: account.closed}]", "", (codes.NO_EXIT, 2)),
        ("{id: mail, send: {channel: email, template: t}}", "{id: mail, delay: 1d}", None),
        (", on_error: over", "", (codes.NO_ON_ERROR, 14)),
        (", on_error: over", ", await: false", None),
        ("template: t}", "template: t, urgent: true}", (codes.NOT_URGENT, 12)),
    ],
)
def test_each_doubt_is_told_where_it_stands(right: str, doubtful: str, found: tuple[str, int] | None) -> None:
    assert right in SOUND
    assert doubts(SOUND.replace(right, doubtful, 1)) == ([] if found is None else [found])


def test_urgent_messages_belong_to_urgent_journeys() -> None:
    urgent = SOUND.replace("template: t}", "template: t, urgent: true}")
    assert doubts(urgent.replace("urgency: low", "urgency: high")) == []


def test_a_state_that_waits_and_tells_nobody() -> None:
    silent = SOUND.replace("send: {channel: email, template: t}", "delay: 1d").replace(
        "call: {action: open-case, on_error: over}", "delay: 1d"
    )
    assert doubts(silent) == [(codes.SILENT_WAIT, 13)]

"""How verbs are read and checked: every setting of the language, and what this version refuses to run."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.loading import Loaded, Source, load
from orchestrator.language.model import Step
from orchestrator.language.verb import SINCE_ENTRY
from tests.engine.world import POLICY, offset_ms

JOURNEY = """
journey: j
version: 1
owner: team
purpose: care
entry: {on: began}
start: s
states:
  s:
    steps:
STEP
      - {id: stop, end: {}}
  a: {final: true}
  b: {final: true}
"""


def read(step: str) -> Loaded:
    text = JOURNEY.replace("STEP", textwrap.indent(textwrap.dedent(step).strip(), " " * 6))
    return load([Source("j.yaml", text.encode(), "journey"), Source("policy.yaml", POLICY.encode(), "policy")], None, TABLE)


def settings(step: str) -> Any:
    """The settings of the first step, whatever else is wrong with the journey."""
    loaded = read(step)
    (journey,) = loaded.journeys
    found: Step = journey.states["s"].steps[0]
    return found.settings


def errors(step: str) -> list[str]:
    unreached = {codes.UNREACHABLE_STATE, codes.UNREACHABLE_STEP}
    return [problem.code for problem in read(step).problems if problem.severity == "error" and problem.code not in unreached]


def messages(step: str) -> str:
    return "\n".join(str(problem) for problem in read(step).problems)


def test_the_table_has_every_verb_of_the_language() -> None:
    assert list(TABLE) == ["send", "call", "hold_until", "delay", "split", "randomize", "set", "start", "alert", "go", "end"]
    assert {name for name, verb in TABLE.items() if verb.waits} == {"call", "hold_until", "delay"}


def test_send_is_read_in_full() -> None:
    found = settings("""
        - id: x
          send:
            {channel: [email, sms], template: t, data: {a: event.a}, purpose: survey, expires: 2h,
             on_suppressed: exit, urgent: true}
        """)
    assert (found.channels, found.template, found.purpose) == (("email", "sms"), "t", "survey")
    assert (found.expires_ms, found.on_suppressed, found.urgent) == (offset_ms("2h"), "exit", True)
    assert [(name, expr.source) for name, expr in found.data] == [("a", "event.a")]


def test_call_is_read_in_full() -> None:
    step = """
        - id: x
          call:
            action: open-case
            data: {a: event.a}
            await: false
            timeout: 5m
            retry: [{on: [throttled, "500"], max_attempts: 3, interval: 30s, backoff: 2, max_delay: 10m, jitter: full}]
            result: case
            on_error: b
            handoff: true
        """
    found = settings(step)
    assert (found.action, found.awaited, found.timeout_ms, found.result) == ("open-case", False, offset_ms("5m"), "case")
    (retry,) = found.retry
    assert (retry.on, retry.max_attempts, retry.interval_ms) == (("throttled", "500"), 3, 30_000)
    assert (retry.backoff, retry.max_delay_ms, retry.jitter) == (2.0, 600_000, "full")
    assert (found.on_error, found.handoff) == ("b", True)
    assert errors(step) == []


def test_hold_until_is_read_in_full() -> None:
    step = """
        - id: x
          hold_until:
            - {on: bought, when: event.price > 1.0, go: a, as: order}
            - {on: left}
          timeout: 3d
          on_timeout: b
          lookback: since_entry
          include_entry: true
          match: ranked
          on_repeat: {restart: 2}
          on_late: b
        """
    found = settings(step)
    first, second = found.branches
    assert (first.on, first.when.source, first.go, first.as_name) == ("bought", "event.price > 1.0", "a", "order")
    assert (second.on, second.when, second.go, second.as_name) == ("left", None, "", "")
    assert (found.timeout_ms, found.on_timeout, found.on_late) == (offset_ms("3d"), "b", "b")
    assert (found.lookback_ms, found.include_entry, found.match, found.restarts) == (SINCE_ENTRY, True, "ranked", 2)
    assert errors(step) == []


def test_a03_include_entry_needs_lookback_since_entry() -> None:
    assert codes.CONFLICT in errors("- {id: x, hold_until: [{on: bought}], timeout: 1d, include_entry: true}")


def test_hold_until_needs_a_timeout_and_takes_a_lookback_duration() -> None:
    assert codes.MISSING_KEY in errors("- {id: x, hold_until: [{on: bought}]}")
    assert settings("- {id: x, hold_until: [{on: bought}], timeout: 1d, lookback: 2h}").lookback_ms == offset_ms("2h")
    assert settings("- {id: x, hold_until: [{on: bought}], timeout: 1d, lookback: none}").lookback_ms == 0


def test_w8_a_wait_longer_than_the_limit_is_refused() -> None:
    assert errors("- {id: x, hold_until: [{on: bought}], timeout: 401d}") == [codes.WAIT_TOO_LONG]
    assert errors("- {id: x, delay: 401d}") == [codes.WAIT_TOO_LONG]
    assert errors("- {id: x, delay: 400d}") == []


@pytest.mark.parametrize(
    ("step", "attribute", "value"),
    [
        ("- {id: x, delay: PT36H}", "for_ms", offset_ms("36h")),
        ("- {id: x, delay: {until: event.at, past: exit}}", "past", "exit"),
        ('- {id: x, delay: {at: "09:00", days: [mon, fri], timezone: profile.timezone}}', "days", ("mon", "fri")),
        ("- {id: x, delay: 1d, smooth_over: 2h}", "smooth_over_ms", offset_ms("2h")),
    ],
)
def test_delay_is_read_in_all_its_forms(step: str, attribute: str, value: object) -> None:
    assert getattr(settings(step), attribute) == value
    assert errors(step) == []


def test_a_wrong_weekday_is_refused_with_a_suggestion() -> None:
    assert codes.BAD_CHOICE in errors('- {id: x, delay: {at: "09:00", days: [mond]}}')
    assert "did you mean 'mon'" in messages('- {id: x, delay: {at: "09:00", days: [mond]}}')


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("- {id: x, split: [{when: event.a > 1, go: a}]}", codes.MISSING_KEY),
        ("- {id: x, split: [{else: continue}, {when: event.a > 1, go: a}]}", codes.CONFLICT),
        ("- {id: x, split: [{when: event.a > 1, go: nowhere}, {else: continue}]}", codes.UNKNOWN_STATE),
        ("- {id: x, split: [{when: event.a + 1, go: a}, {else: continue}]}", codes.CONDITION_NOT_BOOL),
        ("- {id: x, set: {}}", codes.MISSING_KEY),
        ("- {id: x, set: {plan: event.plan}}", codes.BAD_NAME),
        ("- {id: x, alert: {message: m, severity: loud}}", codes.BAD_CHOICE),
        ("- {id: x, alert: {severity: info}}", codes.MISSING_KEY),
        ("- {id: x, send: {channel: pigeon, template: t}}", codes.UNKNOWN_CHANNEL),
        ("- {id: x, send: {channel: email, template: t, purpose: none-such}}", codes.UNKNOWN_PURPOSE),
        ("- {id: x, send: {channel: email, template: t, on_suppressed: nowhere}}", codes.UNKNOWN_STATE),
        ("- {id: x, send: {channel: email, template: t, data: {a: journey.unset}}}", codes.EXPRESSION_NAME),
        ("- {id: x, send: {channel: email}}", codes.MISSING_KEY),
        ("- {id: x, start: {journey: j, data: {a: event.a}}}", codes.LOOP),
        ("- {id: x, start: {journey: other}}", codes.UNKNOWN_JOURNEY),
        ("- {id: x, call: {action: open-case, channel: email}}", codes.UNKNOWN_CHANNEL),
        ('- {id: x, delay: {at: "24:00"}}', codes.BAD_CHOICE),
        ("""- {id: x, delay: {at: "09:00", timezone: "'Mars/Olympus'"}}""", codes.UNKNOWN_TIMEZONE),
        ("- {id: x, when: 'count_within(event.a, \"7d\") > 1', delay: 1d}", codes.EXPRESSION_TYPE),
        ("- {id: x, hold_until: [{on: bought}], timeout: 1d, lookback: 401d}", codes.WAIT_TOO_LONG),
        ("- {id: x, randomize: {experiment: e, branches: [{arm: c, weight: 50}, {arm: d, weight: 40}]}}", codes.OUT_OF_RANGE),
        ("- {id: x, randomize: {experiment: e, branches: [{arm: c, weight: 100}]}}", codes.OUT_OF_RANGE),
        ("- {id: x, randomize: {experiment: e, branches: [{arm: c, weight: 50}, {arm: c, weight: 50}]}}", codes.DUPLICATE_ID),
    ],
)
def test_what_cannot_mean_anything_is_refused(step: str, code: str) -> None:
    assert code in errors(step), messages(step)


def test_a103_what_set_and_as_write_may_be_read() -> None:
    assert (
        errors("""
        - {id: x, set: {journey.tier: event.tier}}
        - {id: y, hold_until: [{on: bought, as: order}], timeout: 1d}
        - {id: z, send: {channel: email, template: t, data: {tier: journey.tier, item: journey.order.item}}}
        """)
        == []
    )


def test_randomize_and_start_are_read_in_full() -> None:
    arms = "[{arm: c, weight: 10, holdout: true}, {arm: d, weight: 90, go: a}]"
    found = settings(f"- {{id: x, randomize: {{experiment: e, salt: s, branches: {arms}}}}}")
    assert (found.experiment, found.salt) == ("e", "s")
    assert [(arm.name, arm.weight, arm.go, arm.holdout) for arm in found.arms] == [("c", 10, "", True), ("d", 90, "a", False)]
    started = settings("- {id: x, start: {journey: other, data: {a: event.a}}}")
    assert (started.journey, [(name, expr.source) for name, expr in started.data]) == ("other", [("a", "event.a")])

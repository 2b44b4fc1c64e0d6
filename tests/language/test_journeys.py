"""Journey files: what is read, and every problem at its place with its suggestion (language.md 1 and 2)."""

# ruff: noqa: E501 - a row of these tables holds a line of output

from __future__ import annotations

import pytest

from orchestrator.language import codes
from orchestrator.language.model import Reentry
from tests.language.texts import HEAD, STEP_LINE, journey, lines, loaded, problems, steps, topology

FULL = """\
journey: full-journey
version: 3
title: All that works
owner: team
purpose: onboarding
priority: 90
urgency: high
entry:
  on: [signup.created, auth.login]
  when: event.device != "robot"
  key: event.account_id
  reentry: {after: 30d, since: entry}
  max_age: 1d
exit:
  - on: account.closed
    when: now > timestamp("2020-01-01T00:00:00Z")
    outcome: closed
    send: {channel: email, template: goodbye}
context:
  plan: event.plan
start: a
states:
  a:
    on:
      - {event: payment.failed, go: b, when: event.amount > 0}
    steps:
      - id: hello
        when: journey.plan != "internal"
        send: {channel: email, template: hello, data: {plan: journey.plan}}
      - id: wait
        hold_until:
          - {on: auth.login, go: b, as: login}
          - {on: payment.succeeded}
        timeout: 3d
        on_timeout: z
      - {id: note, set: {journey.seen: journey.login.device, profile.active: "true"}}
      - {id: choose, split: [{when: journey.seen == "phone", go: b}, {else: continue}]}
      - {id: pause, delay: 2h}
      - {id: tell, alert: {severity: warning, message: still here}}
      - {id: over, end: {outcome: gave-up}}
  b:
    rest: true
    steps: [{id: again, go: a, when: has(profile.active)}]
  z: {final: true, outcome: done}
"""


def test_everything_that_works_is_read() -> None:
    read = topology(FULL).journeys[0]
    assert (read.id, read.version, read.title, read.owner, read.purpose) == (
        "full-journey",
        3,
        "All that works",
        "team",
        "onboarding",
    )
    assert (read.priority, read.urgency, read.start) == (90, "high", "a")
    assert read.entry.on == ("signup.created", "auth.login")
    assert read.entry.reentry == Reentry("after", 30 * 86_400_000, "entry")
    assert read.entry.max_age_ms == 86_400_000
    assert read.entry.key is not None
    assert (read.entry.key.source, read.entry.key.place.line, read.entry.key.column) == ("event.account_id", 11, 8)
    assert {name: expr.source for name, expr in read.context.items()} == {"plan": "event.plan"}
    assert [step.id for step in read.states["a"].steps] == ["hello", "wait", "note", "choose", "pause", "tell", "over"]
    assert [(handler.event, handler.go) for handler in read.states["a"].handlers] == [("payment.failed", "b")]
    assert (read.states["z"].final, read.states["z"].outcome, read.states["b"].rest) == (True, "done", True)


def test_a50_exits_and_handlers_may_have_conditions() -> None:
    read = topology(FULL).journeys[0]
    assert read.exits[0].when is not None
    assert read.states["a"].handlers[0].when is not None


def test_a87_the_last_send_of_an_exit_is_a_step_named_by_position() -> None:
    rules = "exit:\n  - {on: auth.login}\n  - {on: account.closed, send: {channel: email, template: bye}}\n"
    exits = topology(journey(more=rules)).journeys[0].exits
    assert [rule.send.id if rule.send else None for rule in exits] == [None, "exit:2"]


def test_a33_reentry_is_never_unless_written() -> None:
    assert topology(journey()).journeys[0].entry.reentry == Reentry("never")


def test_a109_only_six_keys_are_required() -> None:
    minimal = "journey: m\nversion: 1\npurpose: onboarding\nentry: {on: signup.created}\nstart: z\nstates: {z: {final: true}}\n"
    assert loaded(minimal).topology is not None


@pytest.mark.parametrize("key", ["journey", "version", "purpose", "entry", "start", "states"])
def test_a109_each_required_key_is_missed(key: str) -> None:
    written = {
        "journey": "journey: m",
        "version": "version: 1",
        "owner": "owner: team",
        "purpose": "purpose: onboarding",
        "entry": "entry: {on: signup.created}",
        "start": "start: z",
        "states": "states: {z: {final: true}}",
    }
    del written[key]
    assert lines("\n".join(written.values())) == [f"j.yaml:1:1  ORC-121  the journey needs `{key}`"]


def test_a109_an_entry_needs_its_event() -> None:
    head = HEAD.replace("entry: {on: signup.created}", "entry: {reentry: never}")
    assert lines(journey(head=head)) == ["j.yaml:5:8  ORC-121  the entry needs `on`"]


def test_a_journey_without_an_owner_is_a_warning() -> None:
    result = loaded(journey(head=HEAD.replace("owner: team\n", "")))
    assert result.topology is not None
    assert [(problem.code, problem.severity) for problem in result.problems] == [(codes.NO_OWNER, "warning")]


HEADS = [
    ("purpose: onboarding", "purpos: onboarding", "j.yaml:4:1  ORC-120  the journey has no setting `purpos`; did you mean 'purpose'?"),
    ("purpose: onboarding", "purpose: onbording", "j.yaml:4:10  ORC-152  policy.yaml has no purpose 'onbording'; did you mean 'onboarding'?"),
    ("journey: j", "journey: my_journey", "j.yaml:1:10  ORC-123  a journey's id is kebab-case, such as payment-recovery, not 'my_journey'; did you mean 'my-journey'?"),
    ("version: 1", "version: 0", "j.yaml:2:10  ORC-125  `version` must be from 1 to 2147483647, not 0"),
    ("version: 1", "version: '1'", "j.yaml:2:10  ORC-122  `version` must be a whole number, not text"),
    ("version: 1", "version: true", "j.yaml:2:10  ORC-122  `version` must be a whole number, not true"),
    ("owner: team", "owner: team\npriority: 101", "j.yaml:4:11  ORC-125  `priority` must be from 0 to 100, not 101"),
    ("owner: team", "owner: team\nurgency: hihg", "j.yaml:4:10  ORC-126  `urgency` must be high, medium or low, not 'hihg'; did you mean 'high'?"),
    ("owner: team", "owner:", "j.yaml:3:1  ORC-122  `owner` has no value: write one or drop the key"),
    ("owner: team", "owner: 2026", "j.yaml:3:8  ORC-122  `owner` must be text, not 2026; put it in quotes"),
    ("owner: team", "owner: [a, b]", "j.yaml:3:8  ORC-122  `owner` must be text, not a list"),
    ("{on: signup.created}", "{on: singup.created}", "j.yaml:5:13  ORC-153  no schema declares the event type 'singup.created'; did you mean 'signup.created'?"),
    ("{on: signup.created}", "{on: [signup.created, auth.logn]}", "j.yaml:5:30  ORC-153  no schema declares the event type 'auth.logn'; did you mean 'auth.login'?"),
    ("{on: signup.created}", "{on: signup.created, wen: x}", "j.yaml:5:29  ORC-120  the entry has no setting `wen`; did you mean 'when'?"),
    ("{on: signup.created}", "{on: signup.created, reentry: allways}", "j.yaml:5:38  ORC-126  `reentry` must be never, always or {after: <duration>, since: entry | exit}; did you mean 'always'?"),
    ("{on: signup.created}", "{on: signup.created, reentry: {since: exit}}", "j.yaml:5:38  ORC-121  `reentry` needs `after`"),
    ("{on: signup.created}", "{on: signup.created, max_age: 0s}", "j.yaml:5:38  ORC-124  this duration must be longer than zero"),
    ("{on: signup.created}", "{on: signup.created, when: event.plann == 'x'}", "j.yaml:5:41  ORC-141  no schema of the event declares event.plann; did you mean 'plan'?"),
    ("{on: signup.created}", "{on: signup.created, when: \"event.plan == 3\"}", "j.yaml:5:47  ORC-142  `==` does not go with string and int"),
    ("{on: signup.created}", "{on: signup.created, when: event.plan}", "j.yaml:5:35  ORC-143  a condition must be true or false, and this gives string"),
    ("{on: signup.created}", "{on: signup.created, key: event.plan ==}", "j.yaml:5:47  ORC-140  not an expression: did not expect the end of the text"),
    ("{on: signup.created}", "signup.created", "j.yaml:5:8  ORC-122  the entry must be a mapping of settings, not text"),
    ("owner: team", "owner: team\nexit: {on: account.closed}", "j.yaml:4:7  ORC-122  `exit` is a list of rules: write `- on: <event type>`"),
    ("owner: team", "owner: team\ncontext: {my-plan: event.plan}", "j.yaml:4:20  ORC-123  an expression could not read journey.my-plan: a name in `context` is letters, digits and `_`; did you mean 'my_plan'?"),
    ("owner: team", "owner: team\ncontext: [event.plan]", "j.yaml:4:10  ORC-122  `context` must be a mapping of name to expression, not a list"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), HEADS, ids=[new for _, new, _ in HEADS])
def test_what_is_wrong_at_the_head_is_said_at_its_place(old: str, new: str, line: str) -> None:
    said = [each for each in lines(journey(head=HEAD.replace(old, new))) if "ORC-180" not in each]
    assert said == [line]


GO = "- {id: out, go: z}\n"
STEPS = [
    ("- {id: b, sned: {channel: email, template: t}}\n" + GO, "10:17  ORC-128  `sned` is no verb: step 'b' needs one verb: alert, call, delay, end, go, hold_until, randomize, send, set, split, start; did you mean 'send'?"),
    ("- {id: b}\n" + GO, "10:9  ORC-128  step 'b' needs one verb: alert, call, delay, end, go, hold_until, randomize, send, set, split, start"),
    ("- {id: b, delay: 1d, go: z}\n", "10:28  ORC-128  step 'b' has 2 verbs, delay and go: make it several steps"),
    ("- {delay: 1d}\n" + GO, "10:9  ORC-121  the step needs `id`"),
    ("- {id: out, delay: 1d}\n" + GO, "11:14  ORC-156  the step id 'out' is already used at j.yaml:10:14"),
    ("- {id: Out, go: z}\n", "10:14  ORC-123  `id` must be lower-case letters, digits, - and _, beginning with a letter, 64 at most, not 'Out'"),
    ("- {id: out, go: zz}\n", "10:23  ORC-150  there is no state 'zz'; did you mean 'z'?"),
    ("- {id: b, delay: 1d, timeout: 3d}\n" + GO, "10:28  ORC-120  step 'b' has no setting `timeout`"),
    ("- {id: b, delay: 1.5d}\n" + GO, "10:24  ORC-124  a duration has no fraction: '1.5d'; use a smaller unit"),
    ("- {id: b, delay: 3}\n" + GO, "10:24  ORC-124  '3' has no unit: write a whole number and one unit, such as 90s, 15m, 36h, 3d or 2w, or ISO 8601 such as PT36H"),
    ("- {id: b, send: {channel: emial, template: t}}\n" + GO, "10:33  ORC-151  policy.yaml has no channel 'emial'; did you mean 'email'?"),
    ("- {id: b, send: {channel: email}}\n" + GO, "10:23  ORC-121  send needs `template`"),
    ("- {id: b, send: {channel: email, template: t, purpose: servic}}\n" + GO, "10:62  ORC-152  policy.yaml has no purpose 'servic'; did you mean 'service'?"),
    ("- {id: b, send: {channel: email, template: t, data: {p: journey.plan}}}\n" + GO, "10:71  ORC-141  nothing writes journey.plan: declare it in `context`, `as`, `set` or `result`"),
    ("- {id: b, send: {channel: email, template: t, on_suppressed: zz}}\n" + GO, "10:68  ORC-150  there is no state 'zz'; did you mean 'z'?"),
    ("- {id: b, hold_until: [{on: auth.logn}], timeout: 1d}\n" + GO, "10:35  ORC-153  no schema declares the event type 'auth.logn'; did you mean 'auth.login'?"),
    ("- {id: b, hold_until: [{on: auth.login, when: event.amount > 0}], timeout: 1d}\n" + GO, "10:59  ORC-141  no schema of the event declares event.amount"),
    ("- {id: b, hold_until: [{on: auth.login}]}\n" + GO, "10:9  ORC-121  step 'b' needs `timeout`"),
    ("- {id: b, hold_until: {on: auth.login}, timeout: 1d}\n" + GO, "10:29  ORC-122  `hold_until` must be a list, not a mapping"),
    ("- {id: b, hold_until: [], timeout: 1d}\n" + GO, "10:29  ORC-122  `hold_until` is an empty list: write an item or drop the key"),
    ("- {id: b, split: [{when: event.plan == 'x', go: z}]}\n" + GO, "10:24  ORC-121  a split needs a last branch `- else: <state>` or `- else: continue`"),
    ("- {id: b, split: [{else: z}, {when: true, go: z}]}\n" + GO, "10:25  ORC-127  `else` must be the last branch of a split"),
    ("- {id: b, when: journey.x, delay: 1d}\n" + GO, "10:31  ORC-141  nothing writes journey.x: declare it in `context`, `as`, `set` or `result`"),
    ("- 5\n" + GO, "10:9  ORC-122  the step must be a mapping of settings, not 5"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "line"), STEPS, ids=[block.split("\n")[0] for block, _ in STEPS])
def test_what_is_wrong_in_a_step_is_said_at_its_place(block: str, line: str) -> None:
    assert STEP_LINE == 10
    said = [each for each in lines(steps(block)) if "ORC-166" not in each]
    assert said == [f"j.yaml:{line}"]


@pytest.mark.parametrize(
    ("states", "line"),
    [
        (
            "on: payment.failed",
            "9:9  ORC-122  `on` of a state is a list of handlers: write `- {event: payment.failed, go: <state>}`",
        ),
        (
            "on: [payment.failed]",
            "9:10  ORC-122  a handler of a state is {event: payment.failed, go: <state>}, not an event type alone",
        ),
        (
            "on: [{on: payment.failed, go: z}]",
            "9:11  ORC-120  a handler of a state names its event with `event`, not with `on`; did you mean 'event'?",
        ),
    ],
)
def test_a11_a_handler_list_says_its_shape(states: str, line: str) -> None:
    text = journey(f"start: a\nstates:\n  a:\n    {states}\n    steps: [{{id: out, go: z}}]\n  z: {{final: true}}\n")
    assert lines(text) == [f"j.yaml:{line}"]


def test_a11_an_event_type_says_its_shape() -> None:
    head = HEAD.replace("{on: signup.created}", "{on: [{event: signup.created, go: z}]}")
    assert lines(journey(head=head)) == [
        "j.yaml:5:14  ORC-122  `on` takes an event type here, such as payment.failed, or a list of them; "
        "a list of {event, go} belongs directly under a state"
    ]


def test_a11_failure_codes_of_a_retry_are_text() -> None:
    block = "- {id: b, call: {action: open, retry: [{on: [throttled, 500], max_attempts: 3}]}}\n" + GO
    assert (10, codes.WRONG_TYPE) in [(problem.place.line, problem.code) for problem in problems(steps(block))]


@pytest.mark.parametrize("lookback", ["", "lookback: none, ", "lookback: 3d, "])
def test_a03_include_entry_needs_a_lookback_since_entry(lookback: str) -> None:
    block = f"- {{id: b, hold_until: [{{on: auth.login}}], timeout: 1d, {lookback}include_entry: true}}\n" + GO
    assert codes.CONFLICT in [problem.code for problem in problems(steps(block))]
    allowed = (
        block.replace(lookback, "lookback: since_entry, ")
        if lookback
        else block.replace("include", "lookback: since_entry, include")
    )
    assert codes.CONFLICT not in [problem.code for problem in problems(steps(allowed))]


@pytest.mark.parametrize("key", ["timeout: 3d", "on_timeout: z"])
def test_a71_settings_of_a_list_verb_stand_beside_it(key: str) -> None:
    good = "- {id: b, hold_until: [{on: auth.login}], timeout: 3d, on_timeout: z}\n" + GO
    assert [problem.code for problem in problems(steps(good))] == []
    inside = "- {id: b, hold_until: [{on: auth.login, " + key + "}], timeout: 3d}\n" + GO
    assert [problem.code for problem in problems(steps(inside))] == [codes.UNKNOWN_KEY]


def test_a71_the_outcome_of_an_end_stands_inside() -> None:
    assert problems(steps("- {id: b, end: {outcome: x}, when: true}\n" + GO)) == []
    assert [problem.code for problem in problems(steps("- {id: b, end: x, when: true}\n" + GO))] == [codes.WRONG_TYPE]


def test_a108_zero_is_allowed_for_a_delay_and_not_for_a_timeout() -> None:
    assert problems(steps("- {id: b, delay: 0s}\n" + GO)) == []
    found = problems(steps("- {id: b, hold_until: [{on: auth.login}], timeout: 0s}\n" + GO))
    assert [problem.code for problem in found] == [codes.BAD_DURATION]


@pytest.mark.parametrize("name", ["continue", "exit"])
def test_a110_some_state_names_are_reserved(name: str) -> None:
    text = journey(f"start: {name}\nstates:\n  {name}: {{final: true}}\n")
    assert lines(text) == [f"j.yaml:8:3  ORC-123  `{name}` is reserved and cannot be a state's name"]


@pytest.mark.parametrize("name", ["A", "1a", "a b", "a.b", "é", "x" * 65])
def test_a110_a_name_has_few_characters_and_a_bound(name: str) -> None:
    text = journey(f"start: z\nstates:\n  z: {{final: true}}\n  '{name}': {{final: true}}\n")
    assert (codes.BAD_NAME, 9) in [(problem.code, problem.place.line) for problem in problems(text)]


def test_a110_none_is_a_legal_state_name() -> None:
    assert problems(journey("start: none\nstates:\n  none: {final: true}\n")) == []


def test_a103_context_as_and_set_declare_names_of_the_journey() -> None:
    block = """\
    - {id: w, hold_until: [{on: auth.login, as: login}], timeout: 1d}
    - {id: s, set: {journey.seen: journey.login.device}}
    - {id: t, when: journey.seen == "x" && journey.plan == "y" && profile.anything == 1, go: z}
    """
    assert problems(steps(block).replace("start: a", "context: {plan: event.plan}\nstart: a")) == []
    bad = block.replace("journey.seen ==", "journey.sen ==")
    assert lines(steps(bad)) == [
        "j.yaml:12:31  ORC-141  nothing writes journey.sen: declare it in `context`, `as`, `set` or `result`; did you mean 'seen'?",
        "j.yaml:12:53  ORC-141  nothing writes journey.plan: declare it in `context`, `as`, `set` or `result`",
    ]


def test_a_name_that_an_expression_cannot_read_is_refused() -> None:
    block = "- {id: w, hold_until: [{on: auth.login, as: last-login}], timeout: 1d}\n" + GO
    assert lines(steps(block)) == [
        "j.yaml:10:14  ORC-123  an expression could not read journey.last-login: write it with `_`; did you mean 'last_login'?"
    ]


def test_a_step_may_read_any_event_that_the_journey_hears() -> None:
    assert (
        problems(steps("- {id: w, hold_until: [{on: payment.failed}], timeout: 1d}\n- {id: t, when: event.amount > 0, go: z}\n"))
        == []
    )
    assert [p.code for p in problems(steps("- {id: t, when: event.amount > 0, delay: 1d}\n" + GO))] == [codes.EXPRESSION_NAME]


def test_the_fields_that_are_moments_are_noted_in_the_expression() -> None:
    head = HEAD.replace("{on: signup.created}", "{on: signup.created, when: now - event.occurred_at < duration('1h')}")
    when = topology(journey(head=head)).journeys[0].entry.when
    assert when is not None
    assert when.timestamps == {"occurred_at"}


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = FULL.replace("version: 3", "version: x").replace("channel: email", "channel: mail").replace("go: b, as", "go: bb, as")
    found = [(problem.place.line, problem.code) for problem in problems(text)]
    assert found == [
        (2, codes.WRONG_TYPE),
        (18, codes.UNKNOWN_CHANNEL),
        (29, codes.UNKNOWN_CHANNEL),
        (32, codes.UNKNOWN_STATE),
    ]


def test_what_an_author_wrote_cannot_break_a_line_or_reach_a_terminal() -> None:
    said = lines(journey(more='"a\\n\\e[31m": 1\n'))
    assert said == ["j.yaml:6:1  ORC-120  the journey has no setting `a\\n\\x1b[31m`"]


def test_two_journeys_cannot_have_one_id() -> None:
    assert lines(journey(), journey()) == ["j2.yaml:1:10  ORC-156  the journey 'j' is already used at j.yaml:1:10"]


def test_a25_without_schemas_types_and_fields_go_unchecked() -> None:
    text = journey(head=HEAD.replace("{on: signup.created}", "{on: any.thing, when: event.whatever == 1}"))
    assert loaded(text, catalog=None).topology is not None
    assert loaded(text).topology is None

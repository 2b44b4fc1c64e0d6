"""What holds and what does not (rulings A15-A24, A28), and how a failure is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.identity import action_id, instance_id, uuid_text
from tests.house.tree import ROOT
from tests.operate.scenarios.stage import BEGAN, HEAD, messages, run

TWO = """given:
  - {at: 0s, customer: b, event: began}
  - {at: 1h, customer: a, event: began}
until: 3d
"""


@pytest.mark.parametrize(
    ("expect", "complaint"),
    [
        ("actions: [{at: 2d, step: remind}]", None),
        ("actions: [{at: [1d, 2d], step: remind}]", None),
        ("actions: [{at: 2026-01-07T00:00:00Z, kind: send, attempt: 1, expires_at: 3d}]", None),
        ("actions: [{at: [1d, 47h]}]", "this action differs in at"),
        ("actions: [{channel: sms, template: other}]", "this action differs in channel and template"),
        ("actions: []", "this action is not listed"),
        ("actions: [{step: remind}, {step: remind}]", "this action was not seen"),
        ("cancels: []", None),
        ("cancels: [{step: remind}]", "this cancel command was not seen"),
        ("decisions: [{kind: entered}, {kind: ended}]", None),
        ("decisions: [{kind: hold_resolved, by: timeout, step: answer, at: 2d}]", None),
        ("decisions: [{kind: ended}, {kind: entered}]", "this decision was seen, but before one that is listed above it"),
        ("decisions: [{kind: exited}]", "this decision was not seen"),
        ("decisions: [{kind: hold_resolved, by: event}]", "this decision was not seen; the nearest differs in by"),
        ("states: {c1: {nudge: waiting}}", None),
        ("states: {c1: {nudge: over}}", "nudge should be in 'over' and is in 'waiting'"),
        ("states: {c1: {nudge: null}}", "nudge should be never entered and is in 'waiting'"),
        ("states: {c2: {nudge: null}}", None),
        ("states: {c2: {nudge: over}}", "nudge should be in 'over' and is never entered"),
        ("counts: {entered: 1, exited: 0}", None),
        ("counts: {entered: 2}", "entered should be counted 2 times and was 1"),
        ("incidents: []", None),
        ("incidents: [{customer: c1, reason: alert}]", "this incident was not seen"),
        ("shares: {experiment: x, arm: a, between: [0, 1]}", "no journey of this scenario has the experiment 'x'"),
    ],
)
def test_a15_a16_a18_expectations_hold_or_are_told(tmp_path: Path, expect: str, complaint: str | None) -> None:
    # began 0 --- timeout 2d: remind, end
    result = run(tmp_path, BEGAN.replace("began}", "began, data: {n: 1}}") + f"until: 3d\nexpect: {{{expect}}}\n")

    assert messages(result) == ([] if complaint is None else [complaint])
    assert result.status == ("passed" if complaint is None else "broken" if result.problems else "failed")


@pytest.mark.parametrize(
    ("actions", "complaint"),
    [
        ("[{customer: b, at: 2d}, {customer: a, at: 49h}]", None),
        ("[{customer: a, at: 49h}, {customer: b, at: 2d}]", "this action came before the one listed above it"),
        ("[{customer: b}]", "this action is not listed"),
        ("[{at: 2d}, {at: 49h}]", "the scenario has several customers: say whose this is"),
    ],
)
def test_a17_order_is_compared_per_customer_and_across_customers_by_time(
    tmp_path: Path, actions: str, complaint: str | None
) -> None:
    found = messages(run(tmp_path, TWO + f"expect: {{actions: {actions}}}\n"))

    assert all(message.startswith(str(complaint)) for message in found)
    assert bool(found) is (complaint is not None)


@pytest.mark.parametrize(
    ("expect", "complaint"),
    [
        ("actions: [{customer: a, at: 3h}, {customer: b, at: 3h}, {customer: a, at: 1h}, {customer: b, at: 4h}]", None),
        (
            "actions: [{customer: a, at: 1h}, {customer: a, at: 3h}, {customer: b, at: 3h}, {customer: b, at: 4h}]",
            "differs in at",
        ),
        ("actions: [{customer: b, at: 3h}, {customer: b, at: 4h}, {customer: a, at: 3h}, {customer: a, at: 1h}]", "came before"),
        ("decisions: [{customer: b, at: 4h, kind: ended}, {customer: a, at: 1h, kind: ended}]", None),
        ("decisions: [{customer: a, at: 1h, kind: ended}, {customer: a, at: 3h, kind: ended}]", "was seen, but before one"),
        ("decisions: [{customer: b, at: 4h, kind: ended}, {customer: a, at: 3h, kind: ended}]", "was seen, but before one"),
    ],
)
def test_a17_a20_what_a_late_record_did_stands_at_its_customers_place(tmp_path: Path, expect: str, complaint: str | None) -> None:
    # a: 3h, then late of 1h     b: 3h and 4h; what the late record did has no place among the times of b
    head = HEAD.replace("          - {id: answer, hold_until: [{on: done, go: over}], timeout: 2d}\n", "").replace(
        "      over: {final: true}\n", ""
    )
    body = """given:
  - {at: 3h, customer: a, event: began, data: {n: 1}}
  - {at: 3h, customer: b, event: began, data: {n: 1}}
  - {at: 1h, customer: a, event: began, data: {n: 1}}
  - {at: 4h, customer: b, event: began, data: {n: 1}}
"""
    found = messages(run(tmp_path, body + f"expect: {{{expect}}}\n", head))

    assert [complaint in message for message in found] == ([] if complaint is None else [True]), found


def test_a20_an_earlier_time_written_later_is_a_late_record(tmp_path: Path) -> None:
    # c1 waits until 2d; other at 3d moves the clock; c1's done of 1d comes too late
    body = """given:
  - {at: 0s, customer: c1, event: began}
  - {at: 3d, customer: c2, event: began}
  - {at: 1d, customer: c1, event: done}
expect: {states: {c1: {nudge: waiting}}, decisions: [{customer: c1, at: 2d, kind: hold_resolved, by: timeout}]}
"""
    assert run(tmp_path, body).status == "passed"


def test_a19_a23_a_pattern_gives_each_customer_its_own_event(tmp_path: Path) -> None:
    body = """given:
  - {at: 0s, customers: {prefix: u, count: 100}, event: began, id: e}
  - {at: 1d, customers: {prefix: u, count: 40}, event: done, id: e2}
  - {at: 1d, customers: {prefix: u, count: 10}, event: done, id: e}
until: 3d
expect: {counts: {entered: 100, hold_resolved: 100, ended: 100, action_emitted: 60}, states: {u7: {nudge: over}}}
"""
    assert messages(run(tmp_path, body)) == []


CRIES = HEAD.replace("send: {channel: email, template: nudge, data: {n: event.n}}", "alert: {severity: warning, message: silent}")


@pytest.mark.parametrize(
    ("incidents", "complaint"),
    [
        ("[{customer: a, reason: alert, journey: nudge, step: remind}, {customer: b, reason: alert}]", None),
        ("[{customer: b, severity: warning}, {customer: a, message: silent}]", None),
        ("[{customer: a, reason: alert}]", "this incident is not listed"),
        ("[{customer: a, reason: alert}, {customer: b}, {customer: b}]", "this incident was not seen"),
        ("[{customer: a, reason: alert}, {customer: b, step: answer}]", "this incident"),
    ],
)
def test_a21_incidents_are_subsets_and_complete(tmp_path: Path, incidents: str, complaint: str | None) -> None:
    found = messages(run(tmp_path, TWO + f"expect: {{incidents: {incidents}}}\n", CRIES))

    assert bool(found) is (complaint is not None), found
    assert all(message.startswith(str(complaint)) for message in found)


KEYED = HEAD.replace("entry: {on: began", "entry: {on: began, key: event.key").replace("data: {n: event.n}", "data: {}")
OUT = """given:
  - {at: 0s, customer: a, event: began, data: {key: x}}
  - {at: 0s, customer: a, event: began, data: {key: y}}
  - {at: 0s, customer: b, event: began, data: {key: x}}
  - {at: 3d, customer: b, event: began, data: {key: x}}
"""


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        ("{at: 6d, outcome: bounced, of: remind, customer: b, code: full}", None),  # the later one of two
        ("{at: 6d, outcome: bounced, of: remind, customer: a, key: y}", None),
        ("{at: 6d, outcome: bounced, of: remind, key: y}", None),  # only one customer has that key
        ("{at: 6d, outcome: bounced, of: remind}", "acted for several (a x, a y, b x)"),
        ("{at: 6d, outcome: bounced, of: remind, customer: a}", "acted for several (a x, a y)"),
        ("{at: 6d, outcome: bounced, of: remind, key: x}", "acted for several (a x, b x)"),
        ("{at: 1d, outcome: bounced, of: remind, customer: b}", "no action of step 'remind' was made before this"),
    ],
)
def test_a24_an_outcome_is_of_the_latest_action_that_can_be_meant(tmp_path: Path, outcome: str, complaint: str | None) -> None:
    given = OUT if "1d" not in outcome else OUT.replace("  - {at: 3d, customer: b, event: began, data: {key: x}}\n", "")
    result = run(tmp_path, given + f"  - {outcome}\nexpect: {{counts: {{outcome_received: 1}}}}\n", KEYED)

    assert result.status == ("passed" if complaint is None else "broken"), messages(result)
    assert all(complaint is not None and complaint in message for message in messages(result))


def test_a24_the_outcome_answers_the_latest_action_with_its_code(tmp_path: Path) -> None:
    body = """given:
  - {at: 0s, customer: b, event: began, data: {key: x}, id: one}
  - {at: 3d, customer: b, event: began, data: {key: x}, id: two}
  - {at: 6d, outcome: bounced, of: remind, code: full}
expect:
  actions: [{at: 2d}, {at: 5d, instance: %s}]
  decisions: [{kind: outcome_received, action_id: %s, reason: full, outcome: bounced}]
"""
    instance = instance_id("nudge", "b", "x", "two")
    filled = body % (uuid_text(instance), action_id(instance, "remind", 1))

    assert messages(run(tmp_path, filled, KEYED)) == []


def test_b1_raw_bytes_are_an_incident(tmp_path: Path) -> None:
    head = f"scenario: x\ntopologies: {ROOT / 'topologies'}\nstart: 2026-01-05T00:00:00Z\n"
    body = """given:
  - {at: 0s, raw: {topic: customer.events, key: c1, value_hex: c301ff}}
  - {at: 1s, raw: {topic: customer.events, key: c1, value_hex: "00"}}
  - {at: 2s, raw: {topic: no.such, key: c1, value_hex: c301ff}}
expect: {incidents: [{customer: c1, reason: truncated}, {customer: c1, reason: truncated}, {customer: c1, reason: not_declared}]}
"""
    assert messages(run(tmp_path, body, head)) == []
    assert (
        messages(run(tmp_path, body.split("expect", maxsplit=1)[0] + "expect: {incidents: []}\n", head))
        == ["this incident is not listed"] * 3
    )
    assert "needs `topologies`" in messages(run(tmp_path, body))[0]


SHOWN = """\
line 21: this action differs in at and template
  c1, from 2026-01-05T00:00:00Z
  0s           began
                 entered nudge
                 state_entered nudge waiting
                 hold_started nudge answer
  2d           timer
                 hold_resolved nudge answer by timeout
                 condition_error nudge remind: event.n
                 ended nudge
>                -> send nudge remind email nudge
>              expected  at 1d, template other
>              seen      at 2d, template nudge"""


def test_a_failure_shows_the_timeline_with_the_first_difference_marked(tmp_path: Path) -> None:
    result = run(
        tmp_path, BEGAN.replace("began}", "began, data: {n: 1}}") + "until: 3d\nexpect:\n  actions: [{at: 1d, template: other}]\n"
    )

    assert "\n".join(result.failures[0].lines) == SHOWN


def test_a_missing_action_is_marked_where_it_should_have_been(tmp_path: Path) -> None:
    body = BEGAN + "  - {at: 5d, customer: c1, event: done}\nexpect: {actions: [{at: 2d}, {at: 3d, step: remind}]}\n"
    lines = run(tmp_path, body).failures[0].lines
    marked = [n for n, line in enumerate(lines) if line.startswith(">")]

    assert [lines[n].split(maxsplit=2)[1:] for n in marked] == [["expected", "at 3d, step remind"], ["seen", "nothing"]]
    assert "->" in lines[marked[0] - 1]
    assert lines[marked[-1] + 1].split() == ["5d", "done"]


def test_no_line_of_a_failure_is_wider_than_80_columns(tmp_path: Path) -> None:
    long = "x" * 300
    body = BEGAN + f"until: 9d\nexpect: {{actions: [{{template: {long}}}], states: {{c1: {{nudge: over}}}}}}\n"
    lines = [line for failure in run(tmp_path, body).failures for line in failure.lines]

    assert lines
    assert max(map(len, lines)) <= 78  # the command indents by two

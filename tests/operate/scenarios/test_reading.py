"""What a scenario file may say, and what is said about one that cannot be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.operate.scenarios.stage import BEGAN, HEAD, messages, run


@pytest.mark.parametrize(
    ("body", "place", "complaint"),
    [
        (BEGAN + "expct: {}\n", ":19:1 ", "no setting `expct`; did you mean 'expect'?"),
        (BEGAN + "expect: {action: []}\n", ":19:10 ", "`expect` has no setting `action`; did you mean 'actions'?"),
        (BEGAN + "expect: {actions: [{stp: remind}]}\n", ":19:21 ", "no setting `stp`; did you mean 'step'?"),
        (BEGAN + "expect: {counts: {suppressed: 0}}\n", ":19:19 ", "has no setting `suppressed`"),
        (BEGAN + "expect: {decisions: [{kind: enterd}]}\n", ":19:22 ", "did you mean 'entered'?"),
        (BEGAN + "expect: {decisions: [{step: answer}]}\n", ":19:22 ", "needs `kind`"),
        (BEGAN + "expect: {actions: {at: 1d}}\n", ":19:19 ", "`actions` must be a list"),
        (BEGAN + "expect: {actions: [{step: remnd}]}\n", ":19:20 ", "did you mean 'remind'?"),
        (BEGAN + "expect: {states: {c1: {nuge: over}}}\n", ":19:30 ", "did you mean 'nudge'?"),
        (BEGAN + "expect: {states: {c1: {nudge: ovr}}}\n", ":19:31 ", "did you mean 'over'?"),
        (BEGAN + "expect: {actions: [{at: [2d, 1d]}]}\n", ":19:25 ", "ends before it begins"),
        (BEGAN + "expect: {shares: {experiment: x, arm: a, between: [0.9, 2]}}\n", ":19:51 ", "two parts of 1"),
        ("given: [{at: 2, customer: c1, event: began}]\nexpect: {}\n", ":17:14 ", "has no unit"),
        ("given: [{at: 0s, customer: 1, event: began}]\nexpect: {}\n", ":17:28 ", "put it in quotes"),
        ("given: [{at: 0s, customer: c1, evnt: began}]\nexpect: {}\n", ":17:9 ", "did you mean 'event'?"),
        ("given: [{at: 0s, customer: c1, event: a, raw: {}}]\nexpect: {}\n", ":17:42 ", "has one of"),
        (
            "given: [{at: 0s, customer: c, customers: {prefix: u, count: 2}, event: a}]\nexpect: {}\n",
            ":17:18 ",
            "exclude each other",
        ),
        ("given: [{at: 3d, customer: c1, event: began}]\nuntil: 2d\nexpect: {}\n", ":17:9 ", "later than `until`"),
        ("given: [{at: 0s, raw: {topic: t, value_hex: xyz}}]\nexpect: {}\n", ":17:45 ", "hexadecimal"),
        ("given: [{at: 0s, outcome: fine, of: remind}]\nexpect: {}\n", ":17:27 ", "must be succeeded, failed"),
        ("given: [{at: 0s, redrive: {step: remind}}]\nexpect: {}\n", ":17:27 ", "`redrive` needs `customer`"),
        ("given: [{at: 0s, redrive: {customer: c1, step: remnd}}]\nexpect: {}\n", ":17:48 ", "did you mean 'remind'?"),
        ("given: [{at: 0s, pause: nuge}]\nexpect: {}\n", ":17:25 ", "no journey 'nuge'; did you mean 'nudge'?"),
        ("given: [{at: 0s, resume: nudge}]\nexpect: {}\n", ":17:26 ", "'nudge' is not paused by an entry before this"),
        (
            "given: [{at: 0s, pause: nudge}, {at: 1s, pause: nudge}]\nexpect: {}\n",
            ":17:49 ",
            "is paused by an entry before this already",
        ),
        ("given: [{at: 0s, pause: {journey: nudge}}]\nexpect: {}\n", ":17:25 ", "must be text"),
        ("given: [{at: 0s, publish: second.yaml}]\nexpect: {}\n", ":17:27 ", "there is no file 'second.yaml'"),
        (BEGAN + "expect: {incidents: [{step: remnd}]}\n", ":19:22 ", "did you mean 'remind'?"),
        (BEGAN, ":1:1 ", "needs `expect`"),
    ],
)
def test_everything_wrong_is_told_with_its_place(tmp_path: Path, body: str, place: str, complaint: str) -> None:
    result = run(tmp_path, body)

    assert result.status == "broken"
    assert len(result.problems) == 1, result.problems
    assert place in result.problems[0]
    assert complaint in result.problems[0]


def test_a01_a_count_is_of_an_exact_decision_kind(tmp_path: Path) -> None:
    assert "did you mean 'action_suppressed'?" in run(tmp_path, BEGAN + "expect: {counts: {action_supressed: 0}}\n").problems[0]


def test_a27_without_topologies_and_inline_journeys_there_is_nothing_to_run(tmp_path: Path) -> None:
    head = "scenario: x\nstart: 2026-01-05T00:00:00Z\n"

    assert "needs `topologies`" in messages(run(tmp_path, "expect: {}\n", head))[0]


def test_the_problems_of_an_inline_journey_have_their_place_in_the_scenario(tmp_path: Path) -> None:
    result = run(tmp_path, BEGAN + "expect: {}\n", HEAD.replace("go: over", "go: ovr"))

    assert any(":13:54 " in problem and "did you mean 'over'?" in problem for problem in result.problems), result.problems


def test_a25_inline_journeys_take_schemas_and_policy_from_topologies(tmp_path: Path) -> None:
    head = HEAD.split("policy:")[0] + f"topologies: {ROOT / 'topologies'}\n" + "journeys:" + HEAD.split("journeys:")[1]
    head = (
        head.replace("on: began", "on: purchase.made")
        .replace("on: done", "on: auth.login")
        .replace("purpose: care", "purpose: service")
    )
    head = head.replace("event.n", "event.price")
    fits = (
        "given: [{at: 0s, customer: c1, event: purchase.made, data: {quantity: 1, price: 2.5}}]\nexpect: {counts: {entered: 1}}\n"
    )

    assert run(tmp_path, fits, head).status == "passed"
    wrong = run(tmp_path, fits.replace("2.5", "much"), head)
    assert "purchase.made does not take this: price: expected" in messages(wrong)[0]


def test_every_event_that_no_schema_takes_is_told_before_anything_runs(tmp_path: Path) -> None:
    head = f"scenario: x\ntopologies: {ROOT / 'topologies'}\nstart: 2026-01-05T00:00:00Z\n"
    body = """given:
  - {at: 0s, customer: c1, event: signup.created, data: {plann: pro}}
  - {at: 1s, customer: c1, event: auth.logn}
  - {at: 2s, customer: c1, event: consent.changed, data: {chanel: email}}
expect: {states: {c1: {onbording: activated}}}
"""
    told = run(tmp_path, body, head).problems

    assert [line.split(":", 1)[1].split("  ")[0] for line in told] == ["5:57", "6:35", *["7:58"] * 4, "8:35"]
    assert "auth.logn'; did you mean 'auth.login'?" in told[1]
    assert any("chanel: no such field; did you mean 'channel'?" in line for line in told)


def test_topologies_that_are_not_there_are_a_problem_of_that_line(tmp_path: Path) -> None:
    head = "scenario: x\ntopologies: nowhere\nstart: 2026-01-05T00:00:00Z\n"
    result = run(tmp_path, "expect: {}\n", head)

    assert ":2:13 " in result.problems[0]
    assert "next: give a topologies folder" in result.problems[0]

"""The states as a graph: reach, ways out, loops, limits (rules W8; rulings A79-A82)."""

from __future__ import annotations

import pytest

from orchestrator.language import codes
from tests.language.texts import POLICY, journey, lines, problems


def states(block: str) -> str:
    return journey("start: a\nstates:\n" + "".join(f"  {line.strip()}\n" for line in block.strip().splitlines()))


def found(block: str) -> list[tuple[int, str]]:
    return [(problem.place.line, problem.code) for problem in problems(states(block))]


def test_a79_a_final_state_has_no_steps_and_no_handlers() -> None:
    assert lines(states("a: {final: true, steps: [{id: s, delay: 1d}]}")) == [
        "j.yaml:8:20  ORC-162  state 'a' is final, so its steps would never run: drop them or `final: true`"
    ]
    assert lines(states("a: {final: true, on: [{event: auth.login, go: a}]}")) == [
        "j.yaml:8:20  ORC-162  state 'a' is final, so its handlers would never run: drop them or `final: true`"
    ]


def test_a79_final_excludes_rest_and_an_outcome_needs_final() -> None:
    assert found("a: {final: true, rest: true}") == [(8, codes.CONFLICT)]
    assert found("a: {rest: true, outcome: x}") == [(8, codes.CONFLICT)]


def test_a_state_that_nothing_leads_to_is_named() -> None:
    assert lines(states("a: {final: true}\nb: {final: true}")) == [
        "j.yaml:9:3  ORC-160  no way leads to state 'b': name it in a `go`, or drop it"
    ]


def test_a_state_behind_a_step_that_never_runs_is_not_reached() -> None:
    block = "a: {steps: [{id: s, go: z}, {id: t, go: b}]}\nb: {final: true}\nz: {final: true}"
    assert found(block) == [(8, codes.UNREACHABLE_STEP), (9, codes.UNREACHABLE_STATE)]


def test_a_condition_on_a_step_lets_the_next_one_run() -> None:
    block = "a: {steps: [{id: s, go: z, when: event.plan == 'x'}, {id: t, go: b}]}\nb: {final: true}\nz: {final: true}"
    assert found(block) == []


def test_a_misspelt_state_is_told_once() -> None:
    block = "a: {steps: [{id: s, go: actvated}]}\nactivated: {final: true}"
    assert found(block) == [(8, codes.UNKNOWN_STATE)]


@pytest.mark.parametrize(
    "state",
    [
        "a: {steps: [{id: s, delay: 1d}]}",
        "a: {}",
        "a: {on: [{event: auth.login, go: a}]}",
        "a: {steps: [{id: s, send: {channel: email, template: t}}]}",
    ],
)
def test_a81_a_state_without_a_way_out_is_refused_unless_it_rests(state: str) -> None:
    block = state + "\nz: {final: true}"
    assert (8, codes.NO_WAY_OUT) in found(block)
    resting = state.replace("{}", "{rest: true}").replace("a: {s", "a: {rest: true, s").replace("a: {o", "a: {rest: true, o")
    assert (8, codes.NO_WAY_OUT) not in found(resting + "\nz: {final: true}")


@pytest.mark.parametrize(
    "state",
    [
        "a: {steps: [{id: s, go: z}]}",
        "a: {on: [{event: auth.login, go: z}]}",
        "a: {steps: [{id: s, hold_until: [{on: auth.login, go: z}], timeout: 1d}]}",
        "a: {steps: [{id: s, hold_until: [{on: auth.login}], timeout: 1d, on_timeout: z}]}",
        "a: {steps: [{id: s, send: {channel: email, template: t, on_suppressed: z}}]}",
        "a: {steps: [{id: s, split: [{when: event.plan == 'x', go: z}, {else: continue}]}]}",
    ],
)
def test_a81_any_go_on_or_handler_is_a_way_out(state: str) -> None:
    assert found(state + "\nz: {final: true}") == []


def test_a81_an_end_is_a_way_out_and_an_exit_or_lifetime_is_none() -> None:
    assert found("a: {steps: [{id: s, end: {outcome: x}}]}") == []
    text = journey("start: a\nstates:\n  a: {}\n", more="exit: [{on: account.closed}]\n")
    assert [problem.code for problem in problems(text)] == [codes.NO_WAY_OUT]


def test_a80_a_loop_without_a_wait_is_refused() -> None:
    assert lines(states("a: {steps: [{id: s, go: b}]}\nb: {steps: [{id: t, go: c}]}\nc: {steps: [{id: u, go: b}]}")) == [
        "j.yaml:8:3  ORC-163  states go round for ever without a wait: a -> b -> c -> b"
    ]
    split = "b: {steps: [{id: t, split: [{when: event.plan == 'x', go: a}, {else: b}]}]}"
    assert [code for _, code in found("a: {steps: [{id: s, go: b}]}\n" + split)] == [codes.LOOP]


@pytest.mark.parametrize(
    "b",
    [
        "b: {steps: [{id: w, delay: 1d}, {id: t, go: a}]}",  # waits
        "b: {steps: [{id: t, go: a, when: event.plan == 'x'}], rest: true}",  # may stop
        "b: {steps: [{id: t, split: [{when: event.plan == 'x', go: a}, {else: z}]}]}",  # may leave
        "b: {steps: [{id: t, split: [{when: event.plan == 'x', go: a}, {else: continue}]}, {id: e, end: {}}]}",  # may end
        "b: {steps: [{id: w, hold_until: [{on: auth.login, go: a}], timeout: 1d, on_timeout: a}]}",
    ],
)
def test_a80_a_loop_that_can_be_left_or_waits_is_allowed(b: str) -> None:
    found_codes = [
        code for _, code in found(f"a: {{steps: [{{id: s, go: b}}]}}\n{b}\nz: {{rest: true, on: [{{event: auth.login, go: a}}]}}")
    ]
    assert codes.LOOP not in found_codes


@pytest.mark.parametrize(
    ("limit", "block", "message"),
    [
        (
            "branches: 1",
            "a: {steps: [{id: s, hold_until: [{on: auth.login, go: z}, {on: payment.failed, go: z}], timeout: 1d}]}",
            "2 branches",
        ),
        ("branches: 1", "a: {steps: [{id: s, split: [{when: true, go: z}, {when: true, go: z}, {else: z}]}]}", "2 branches"),
        ("steps: 2", "a: {steps: [{id: s, delay: 1d}, {id: t, delay: 1d}, {id: u, go: z}]}", "3 steps"),
        ("states: 1", "a: {steps: [{id: s, go: z}]}", "2 states"),
    ],
)
def test_a82_limits_of_branches_steps_and_states(limit: str, block: str, message: str) -> None:
    text = states(block + "\nz: {final: true}")
    key, value = limit.split(": ")
    refused = problems(text, policy=f"{POLICY}limits: {{{limit}}}\n")
    assert [problem.code for problem in refused] == [codes.LIMIT]
    assert refused[0].message == f"{message} are more than limits.{key} allows, {value}"
    assert problems(text, policy=f"{POLICY}limits: {{{key}: {message.split(maxsplit=1)[0]}}}\n") == []


def test_a82_the_else_of_a_split_is_no_branch() -> None:
    text = states("a: {steps: [{id: s, split: [{when: true, go: z}, {else: z}]}]}\nz: {final: true}")
    assert problems(text, policy=f"{POLICY}limits: {{branches: 1}}\n") == []


@pytest.mark.parametrize(
    "step", ["{id: s, delay: 401d}", "{id: s, hold_until: [{on: auth.login}], timeout: 401d}"], ids=["delay", "hold_until"]
)
def test_w8_a_wait_over_the_limit_is_refused(step: str) -> None:
    text = states(f"a: {{steps: [{step}, {{id: t, go: z}}]}}\nz: {{final: true}}")
    refused = problems(text)
    assert [(each.code, each.message) for each in refused] == [
        (codes.WAIT_TOO_LONG, "a wait of 401d is longer than limits.wait, 400d")
    ]
    assert problems(text.replace("401d", "400d")) == []


def test_w8_a_wait_over_the_lifetime_is_refused() -> None:
    text = journey(
        "start: a\nstates:\n  a: {steps: [{id: s, delay: 3d}, {id: t, go: z}]}\n  z: {final: true}\n", more="lifetime: 2d\n"
    )
    assert [(each.code, each.place.line) for each in problems(text)] == [(codes.WAIT_TOO_LONG, 9)]
    assert problems(text.replace("3d", "2d")) == []


def test_a75_each_wait_counts_alone_with_its_smoothing() -> None:
    two = "a: {steps: [{id: s, delay: 300d}, {id: t, delay: 300d}, {id: u, go: z}]}\nz: {final: true}"
    assert found(two) == []
    smooth = "a: {steps: [{id: s, delay: 300d, smooth_over: 101d}, {id: u, go: z}]}\nz: {final: true}"
    assert (8, codes.WAIT_TOO_LONG) in found(smooth)

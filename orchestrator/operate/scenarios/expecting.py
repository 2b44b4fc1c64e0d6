"""The `expect` section of a scenario: which fields may be named, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.language import codes
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, described
from orchestrator.operate.scenarios.scenario import (
    ACTION_FIELDS,
    DECISION_FIELDS,
    INCIDENT_FIELDS,
    KINDS,
    TIMES,
    Expectations,
    Expected,
    ExpectedCount,
    ExpectedShare,
    ExpectedState,
    Span,
)
from orchestrator.operate.scenarios.values import plain, read_time


def read_expectations(node: Node, problems: Problems, start: int) -> Expectations:
    """Read the section; what is wrong is a problem."""
    fields = Fields(node, problems, "`expect`")
    expect = Expectations(
        place=node.place,
        actions=_listed(fields, "actions", "an expected action", ACTION_FIELDS, start),
        cancels=_listed(fields, "cancels", "an expected cancel command", ACTION_FIELDS, start),
        incidents=_listed(fields, "incidents", "an expected incident", INCIDENT_FIELDS, start),
        decisions=_listed(fields, "decisions", "an expected decision", DECISION_FIELDS, start) or (),
        states=tuple(_states(fields)),
        counts=tuple(_counts(fields)),
        shares=tuple(_shares(fields)),
    )
    fields.close()
    _check_kinds(expect, problems)
    return expect


def _listed(fields: Fields, key: str, what: str, known: Sequence[str], start: int) -> tuple[Expected, ...] | None:
    node = fields.node(key)
    if node is None:
        return None
    if not isinstance(node.value, list):
        fields.problems.error(
            node.place, codes.WRONG_TYPE, f"`{key}` must be a list, not {described(node)}; nothing at all is []"
        )
        return None
    return tuple(_expected(item, fields.problems, what, known, start) for item in node.value)


def _expected(node: Node, problems: Problems, what: str, known: Sequence[str], start: int) -> Expected:
    fields = Fields(node, problems, what)
    fields.allow(*known)
    found: dict[str, Any] = {}
    for name in list(fields):
        value = fields.node(name) if name in known else None
        if value is None:
            continue
        found[name] = _span(value, problems, start) if name in TIMES else plain(value)
    customer = fields.text("customer")
    fields.close()
    return Expected(node.place, customer, found)


def _span(node: Node, problems: Problems, start: int) -> Span:
    bounds = node.value if isinstance(node.value, list) else [node, node]
    if len(bounds) != 2:
        problems.error(node.place, codes.WRONG_TYPE, "a range of times is [from, to], both included")
        return Span(0, 0)
    first, last = (read_time(bound, problems, start) or 0 for bound in bounds)
    if first > last:
        problems.error(node.place, codes.OUT_OF_RANGE, "this range ends before it begins")
    return Span(first, last)


def _states(fields: Fields) -> Iterator[ExpectedState]:
    customers = fields.fields("states", "`states`")
    for customer in customers or ():
        journeys = customers.fields(customer, f"`states` of {customer}") if customers else None
        for journey in journeys or ():
            yield from _journey_states(journeys, customer, journey)


def _journey_states(journeys: Fields | None, customer: str, journey: str) -> Iterator[ExpectedState]:
    if journeys is None:
        return
    node = journeys.as_written(journey)
    if not isinstance(node.value, dict):
        yield _state(node, journeys, customer, journey, None)
        return
    for key, inner in node.value.items():
        yield _state(inner, journeys, customer, journey, key)


def _state(node: Node, fields: Fields, customer: str, journey: str, key: str | None) -> ExpectedState:
    if node.value is not None and not isinstance(node.value, str):
        message = f"the state of {journey} is a state's name, {{key: state}}, or null for never entered, not {described(node)}"
        fields.problems.error(node.place, codes.WRONG_TYPE, message)
    return ExpectedState(node.place, customer, journey, key, node.value if isinstance(node.value, str) else None)


def _counts(fields: Fields) -> Iterator[ExpectedCount]:
    counts = fields.fields("counts", "`counts`")
    if counts is None:
        return
    counts.allow(*sorted(KINDS))
    for kind in list(counts):
        if kind in KINDS:
            yield ExpectedCount(counts.key_at(kind), kind, counts.integer(kind, low=0, required=True))
    counts.close()


def _shares(fields: Fields) -> Iterator[ExpectedShare]:
    node = fields.node("shares")
    if node is None:
        return
    for item in node.value if isinstance(node.value, list) else [node]:
        share = Fields(item, fields.problems, "the share")
        experiment, arm = share.name("experiment", required=True), share.name("arm", required=True)
        bounds = share.items("between", required=True)
        share.close()
        numbers = [bound.value for bound in bounds if isinstance(bound.value, int | float) and not isinstance(bound.value, bool)]
        if len(bounds) != 2 or len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] <= 1:
            message = "`between` is [low, high], two parts of 1, such as [0.45, 0.55]"
            fields.problems.error(share.at("between"), codes.OUT_OF_RANGE, message)
            continue
        yield ExpectedShare(item.place, experiment, arm, float(numbers[0]), float(numbers[1]))


def _check_kinds(expect: Expectations, problems: Problems) -> None:
    for each in expect.decisions:
        kind = each.fields.get("kind")
        if kind is None:
            problems.error(each.place, codes.MISSING_KEY, "an expected decision needs `kind`")
        elif kind not in KINDS:
            problems.error(each.place, codes.BAD_CHOICE, f"there is no decision kind {kind!r}", word=str(kind), known=KINDS)

"""Comparing what a replay says with what the log has: records that are added, missing or changed, and where it began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Message

from orchestrator.engine.handling import Action, Decision, Handling
from orchestrator.operate.replay.comparing import Comparison, Cycles, Difference, Unmatched, What, by_customer
from orchestrator.operate.replay.shadow import Said
from orchestrator.wire.actions import ActionEncoder
from orchestrator.wire.handlings import HandlingEncoder
from orchestrator.wire.journal import JournalRecord, Run
from tests.wire.test_traces import GOOD

TOPIC, EVENTS = "transitions", "events"
WRITTEN = 1_000_000  # the first cycle; each takes a second
OF_CYCLE = {customer: cycle for cycle, customer in enumerate(("ann", "bob", "cy", "dan"), 1)}


class Records:
    """A log that is a list."""

    partition, topic = 0, TOPIC

    def __init__(self, said: Sequence[Said], *, low: int = 0) -> None:
        self.low, self.next = low, low
        self._left = [
            Message(
                topic=TOPIC,
                partition=0,
                offset=low + number,
                key=each.key,
                value=each.value,
                headers=each.headers,
                timestamp=(1, _time(each.cycle)),
            )
            for number, each in enumerate(said)
        ]

    def peek(self) -> Any:
        return self._left[0] if self._left else None

    def pop(self) -> Any:
        return self._left.pop(0) if self._left else None


def _time(cycle: int) -> int:
    return WRITTEN + cycle * 1_000


def _handling(customer: str, *reasons: str, at: int = 5) -> Said:
    decisions = [Decision("entry_refused", journey="j", version=1, reason=reason) for reason in reasons]
    handling = Handling(customer, at, "purchase.made", "e1", decisions=decisions)
    cycle = OF_CYCLE[customer]
    key, value, headers = HandlingEncoder().encode(handling, EVENTS, 0, cycle)
    return Said(TOPIC, key, value, list(headers), cycle, at, (EVENTS, cycle, "purchase.made"))


def _action(customer: str, template: str, trace: bytes = b"", *, is_traced: bool = False) -> Said:
    action = Action("send", f"id-{customer}", customer, "j", 1, "i", "mail", "email", 5, 9, template=template)
    came = [("traceparent", trace)] if trace else None
    key, value, headers = ActionEncoder("app", is_traced=is_traced).encode(action, came)
    return Said(TOPIC, key, value, list(headers), OF_CYCLE[customer], 5, None)


def _compared(
    replay: Sequence[Said], log: Sequence[Said], what: What = "decisions", hidden: Sequence[int] = (), low: int = 0
) -> tuple[list[Difference], Comparison]:
    comparison = Comparison(Records(log, low=low), what)  # type: ignore[arg-type]
    cycles = Cycles()
    for cycle in OF_CYCLE.values():
        record = JournalRecord(cycle, "w", "p", 0, 0, [Run(EVENTS, cycle, cycle + 1, 0)], {EVENTS: cycle + 1})
        cycles.add(record, _time(cycle), (EVENTS,), is_shown=cycle not in hidden)
        for said in replay:
            if said.cycle == cycle:
                comparison.expect(said, _time(cycle), is_shown=cycle not in hidden)
    comparison.finish(cycles)
    return comparison.differences, comparison


def _brief(differences: Sequence[Difference]) -> list[tuple[str, str, int]]:
    return sorted((each.kind, each.customer, each.cycle) for each in differences)


ALL = [_handling(customer, "cap") for customer in OF_CYCLE]


def test_r1_equal_lists_have_no_difference() -> None:
    differences, comparison = _compared(ALL, ALL)
    assert differences == []
    assert (comparison.compared, comparison.unmatched) == (4, Unmatched())


def test_r1_what_only_one_side_has_is_added_or_missing_and_the_rest_still_matches() -> None:
    differences, _ = _compared([ALL[0], ALL[2], ALL[3]], [ALL[0], ALL[1], ALL[3]])
    assert _brief(differences) == [("added", "cy", 3), ("missing", "bob", 2)]
    assert {each.cause for each in differences} == {"events/0/2 purchase.made", "events/0/3 purchase.made"}


def test_r1_a_changed_record_names_the_fields_and_has_both_sides() -> None:
    (changed,), _ = _compared([ALL[0], _handling("bob", "consent", "cap")], [ALL[0], _handling("bob", "consent", "suppression")])
    assert (changed.kind, changed.fields) == ("changed", ["decision 2 reason"])
    assert changed.log is not None and changed.log["decisions"][1]["reason"] == "suppression"
    assert changed.replay is not None and changed.replay["decisions"][1]["reason"] == "cap"


def test_r1_actions_are_matched_by_their_id() -> None:
    differences, _ = _compared([_action("ann", "a"), _action("bob", "b")], [_action("bob", "c"), _action("ann", "a")], "action")
    assert [(each.kind, each.customer, each.fields) for each in differences] == [("changed", "bob", ["template"])]


def test_r1_twice_the_same_in_the_log_is_one_too_many() -> None:
    differences, _ = _compared([ALL[0], ALL[1]], [ALL[0], ALL[0], ALL[1]])
    assert _brief(differences) == [("missing", "ann", 1)]


def test_r1_outside_of_the_window_nothing_is_a_difference() -> None:
    differences, _ = _compared([ALL[0], ALL[2], ALL[3]], [ALL[0], ALL[1], ALL[3]], hidden=(2, 3))
    assert differences == []


def test_r1_what_the_log_has_let_go_of_is_counted_and_not_added() -> None:
    differences, comparison = _compared(ALL, ALL[2:], low=2)
    assert differences == []
    assert (comparison.gone, comparison.compared) == (2, 2)
    differences, comparison = _compared(ALL, [], low=4)
    assert (differences, comparison.gone) == ([], 4)


def test_r1_the_first_of_a_customers_differences_is_the_cause() -> None:
    later, first = _handling("ann", "cap", at=9), _handling("ann", "consent", at=4)
    differences, _ = _compared([later, first, ALL[1]], [])
    grouped = by_customer(differences)
    assert [customer for _, customer in grouped] == ["ann", "bob"]
    assert [each.at for each in grouped[0, "ann"]] == [4, 9]


def test_that_the_worker_exported_spans_is_no_difference_but_another_trace_is() -> None:
    """Both ways on which records are compared: side by side, and found later."""
    for others in ([], [_action("bob", "hello", GOOD)]):
        expected = [*others, _action("ann", "hello", GOOD)]
        found = [_action("ann", "hello", GOOD, is_traced=True), *others]
        assert _compared(expected, found, "action")[0] == []
        spoilt = [_action("ann", "hello", GOOD.replace(b"0af7", b"0af8"), is_traced=True), *others]
        (difference,) = _compared(expected, spoilt, "action")[0]
        assert (difference.kind, difference.fields) == ("changed", ["headers"])

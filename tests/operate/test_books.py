"""The ledger's equations, each broken here on purpose; that they hold on a running system is for the contract tests."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.operate.sight.books import CYCLES, DECIDED, EMITTED, Books, Report

PLACE = {"journey": "j", "step": "s", "channel": "email"}


def _decision(kind: str, action_id: str = "", reason: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "action_id": action_id or None, "reason": reason or None, **PLACE, **more}


def _handling(*decisions: dict[str, Any], customer: str = "ann") -> dict[str, Any]:
    return {"customer": customer, "decisions": list(decisions)}


def _command(action_id: str, kind: str = "send") -> dict[str, Any]:
    return {"kind": kind, "action_id": action_id, "customer": "ann", **PLACE}


def _sound(*, is_whole: bool = True) -> Books:
    """One of each: answered, open, held, suppressed with and without an id, cancelled, parked, erased, a call of two attempts."""
    books = Books(3, is_whole=is_whole)
    for handling in (
        _handling(_decision("action_emitted", "answered"), _decision("action_emitted", "open")),
        _handling(_decision("action_held", "held", "quiet_hours"), _decision("action_suppressed", reason="consent")),
        _handling(_decision("action_held", "capped", "cap"), _decision("action_held", "gone", "cap")),
        _handling(_decision("action_suppressed", "capped", "cap"), _decision("action_cancelled", "gone", "exited")),
        _handling(_decision("action_held", "late", "rate")),
        _handling(_decision("action_released", "late"), _decision("action_emitted", "late"), customer="bob"),
        _handling(_decision("action_emitted", "large"), customer="cyd"),
        _handling(_decision("action_held", "erased", "cap"), customer="dee"),
        _handling(_decision("erased"), customer="dee"),
        _handling(_decision("action_emitted", "call"), _decision("outcome_received", "answered")),
        _handling(_decision("retry_scheduled", "call"), _decision("action_emitted", "call")),
        _handling(_decision("action_cancelled", "open", "consent")),
    ):
        books.handling(handling)
    for action_id in ("answered", "open", "late"):
        books.command(_command(action_id))
    books.command(_command("call", "call"))
    books.command(_command("call", "call"))
    books.command(_command("open", "cancel"))
    books.too_large("cyd", "j", "s")
    books.outcome("answered", Report("delivered", 0, "e-1", "ann"))
    books.outcome("answered", Report("delivered", 1, "e-1", "ann"))
    books.cycle(1, 10, 4, 0)
    books.cycle(2, 9, 2, 2)
    return books


def test_every_action_is_accounted_for_once() -> None:
    books = _sound()
    assert list(books.differences()) == []
    (sums,) = books.sums().values()
    assert sums.decided == 10
    assert (sums.emitted, sums.held, sums.parked, sums.unaccounted) == (4, 1, 1, 0)
    assert sums.suppressed == {"consent": 1, "cap": 1}
    assert sums.cancelled == {"exited": 1, "erased": 1}
    assert sums.decided == sums.emitted + sums.held + sums.suppressed.total() + sums.cancelled.total() + sums.parked
    assert (sums.acknowledged, sums.outstanding) == ({"delivered": 1}, 3)


def _send_again(books: Books, action_id: str) -> None:
    books.handling(_handling(_decision("action_emitted", action_id)))
    books.command(_command(action_id))


BREAKS: dict[str, tuple[Callable[[Books], None], str, str]] = {
    "a command is lost": (lambda b: b.handling(_handling(_decision("action_emitted", "x"))), DECIDED, "its command is not"),
    "a command nobody decided": (lambda b: b.command(_command("x")), DECIDED, "no decision emitted"),
    "a command twice": (lambda b: b.command(_command("answered")), DECIDED, "no decision emitted"),
    "an attempt is lost": (lambda b: b.handling(_handling(_decision("action_emitted", "call"))), DECIDED, "its command is not"),
    "sent twice": (lambda b: _send_again(b, "open"), DECIDED, "more than once"),
    "released to nowhere": (lambda b: b.handling(_handling(_decision("action_released", "held"))), DECIDED, "released and"),
    "an answer to nothing": (lambda b: b.outcome("x", Report("failed", 1, "e-2", "ann")), EMITTED, "never emitted"),
    "an answer that nobody gave": (
        lambda b: b.handling(_handling(_decision("outcome_received", "open"))), EMITTED, "no such report",
    ),
    "an answer that was not heard": (lambda b: b.outcome("open", Report("failed", 1, "e-2", "ann")), EMITTED, "knows nothing"),
    "a cycle's decisions are lost": (lambda b: b.cycle(3, 5, 0, 2), CYCLES, "5 more decisions"),
    "a cycle's commands are lost": (lambda b: b.cycle(3, 0, 1, 2), CYCLES, "1 more commands"),
    "decisions of no cycle": (lambda b: b.handling(_handling(_decision("entered"))), CYCLES, "1 fewer decisions"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_each_equation_is_seen_to_break(name: str) -> None:
    spoil, equation, what = BREAKS[name]
    books = _sound()
    spoil(books)
    found = [each for each in books.differences() if each.equation == equation and what in each.what]
    assert len(found) == 1, list(books.differences())
    assert found[0].partition == 3
    if equation != CYCLES:
        assert (found[0].customer, bool(found[0].action_id)) == ("ann", True)


def test_what_may_have_been_before_the_logs_begin_is_no_difference() -> None:
    books = _sound(is_whole=False)
    books.command(_command("x"))
    books.outcome("y", Report("failed", 1, "e-2", "ann"))
    books.handling(_handling(_decision("outcome_received", "z")))
    books.cycle(9, 1, 1, 2)
    assert list(books.differences()) == []
    books.handling(_handling(_decision("action_emitted", "lost")))
    assert [each.action_id for each in books.differences()] == ["lost"]


def test_an_answer_that_waits_to_be_handled_is_no_difference() -> None:
    books = _sound()
    books.outcome("open", Report("delivered", 2, "e-3", "ann"))
    assert list(books.differences()) == []


def _fill(books: Books, first: int, after: int) -> None:
    """Decide, send, report and log these actions, each of somebody else."""
    for number in range(first, after):
        action_id, customer = f"action-{number}", f"customer-{number}"
        books.handling(_handling(_decision("action_emitted", action_id), customer=customer))
        books.command(_command(action_id) | {"customer": customer})
        books.outcome(action_id, Report("delivered", number, f"event-{number}", customer))
        books.handling(_handling(_decision("outcome_received", action_id), customer=customer))


def _resident_kib() -> int:
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


def test_memory_is_bounded_however_many_actions_there_are() -> None:
    books = Books(3, is_whole=False)
    _fill(books, 0, 20_000)
    assert list(books.differences()) == []
    before = _resident_kib()
    _fill(books, 20_000, 120_000)
    books.command(_command("action-7"))
    (difference,) = books.differences()
    (sums,) = books.sums().values()
    grown = _resident_kib() - before
    assert (difference.action_id, difference.equation) == ("action-7", DECIDED)
    assert (sums.decided, sums.emitted, sums.acknowledged) == (120_000, 120_000, {"delivered": 120_000})
    assert grown < 8_000, f"{grown} KiB for 100,000 more"
    books.close()


def test_what_was_put_away_is_found_again_by_its_customer() -> None:
    books = Books(3, is_whole=False)
    books.handling(_handling(_decision("action_held", "held", "cap"), customer="dee"))
    _fill(books, 0, 12_000)
    books.handling(_handling(_decision("erased"), customer="dee"))
    (sums,) = books.sums().values()
    assert (sums.held, sums.cancelled) == (0, {"erased": 1})

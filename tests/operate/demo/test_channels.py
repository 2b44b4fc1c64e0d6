"""The channel simulator: each command carried out once, always with the same result."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from orchestrator.operate.demo.channels import Inbox, report_of

DAY = 86_400_000


def command(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "send",
        "action_id": str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))),
        "attempt": 1,
        "customer": "u1",
        "channel": "email",
        "purpose": "onboarding",
        "created_at": 1_000_000,
        "expires_at": 1_000_000 + DAY,
        **changes,
    }


def test_a_repeated_command_is_carried_out_once() -> None:
    inbox = Inbox()
    assert inbox.take(command()) is not None
    assert inbox.take(command()) is None
    assert inbox.take(command(attempt=2)) is not None
    assert inbox.take(command(2)) is not None


def call(number: int = 1, attempt: int = 1) -> dict[str, Any]:
    return command(number, kind="call", channel="case-desk", purpose="service", attempt=attempt)


def test_a_cancel_and_an_unknown_kind_are_left_alone() -> None:
    assert Inbox().take(command(kind="cancel")) is None
    assert Inbox().take(command(kind="unknown")) is None


def test_a_command_has_the_same_report_in_every_run() -> None:
    assert report_of(command()) == report_of(command())
    report = report_of(command())
    assert report.event_id == f"outcome-{report.action_id}-1"
    assert report.customer == "u1"
    assert report.at == 1_000_000
    assert 1_000_000 < report.occurred_at <= 1_000_000 + 5 * 60_000 + 1_000


def test_what_has_expired_by_then_is_not_sent() -> None:
    late = report_of(command(expires_at=1_000_500))
    assert (late.status, late.code) == ("failed", "expired")
    exactly = report_of(command(expires_at=report_of(command()).occurred_at))
    assert (exactly.status, exactly.code) == ("failed", "expired")


def test_most_are_delivered_and_a_few_are_not() -> None:
    found = Counter(report_of(command(number, purpose="winback")).status for number in range(5_000))
    assert set(found) == {"delivered", "bounced", "failed"}
    assert 0.96 < found["delivered"] / 5_000 < 0.995
    assert 0.010 < found["bounced"] / 5_000 < 0.026


@pytest.mark.parametrize("purpose", ["onboarding", "promotion"])
def test_what_shares_a_cap_with_others_always_arrives(purpose: str) -> None:
    # A message that fails gives its slot back, at a moment that depends on the machine.
    assert {report_of(command(number, purpose=purpose)).status for number in range(5_000)} == {"delivered"}


def test_the_case_desk_is_often_busy_each_attempt_anew_and_gives_a_case_number() -> None:
    firsts = [report_of(call(number)) for number in range(1_000)]
    assert {(report.status, report.code) for report in firsts} == {("succeeded", None), ("failed", "busy")}
    assert 0.3 < sum(report.status == "failed" for report in firsts) / 1_000 < 0.5
    assert all((report.status == "succeeded") == ("number" in report.data) for report in firsts)
    again = [report_of(call(number, 2)) for number, report in enumerate(firsts) if report.status == "failed"]
    assert {report.status for report in again} == {"succeeded", "failed"}

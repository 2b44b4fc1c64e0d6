"""What the customers of a partition share, through a worker that is killed and robbed of its state: the rate, and addresses."""

from __future__ import annotations

import shutil
import time
from typing import Any

from orchestrator.operate.demo.events import EventLine
from tests.contract.cdnow import assert_journal_is_one_chain
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.stage import Stage

CROWD = 25
SECOND = 1_000
OWN = {
    "policy.yaml": """
channels: {email: {topic: journeys.actions.email, rate: {limit: 1, per: 1s}, address: profile.email}}
purposes: {thanks: {consent: not_required, basis: contract}}
dedupe: {addresses: {channels: [email], window: 24h}}
""",
    "journeys/thanks.yaml": """
journey: thanks
version: 1
owner: tests
purpose: thanks
entry: {on: purchase.made, reentry: always}
start: s
states:
  s:
    steps:
      - {id: mail, send: {channel: email, template: thanks}}
      - {id: stop, end: {outcome: thanked}}
""",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def purchase(customer: str, at: int) -> EventLine:
    return EventLine(at, customer, "purchase.made", f"p-{customer}", {"quantity": 1, "price": 9.5})


def living(customer: str, at: int, email: str) -> EventLine:
    return EventLine(at, customer, "profile.updated", f"a-{customer}", {"email": email})


def reasons(stage: Stage, customer: str) -> list[tuple[str, str]]:
    decisions: list[dict[str, Any]] = [d for h in stage.handlings() if h["customer"] == customer for d in h["decisions"]]
    return [(d["kind"], d["reason"] or "") for d in decisions if d["kind"].startswith("action_")]


def test_x1_x2_claims_and_the_queue_survive_a_kill_and_the_loss_of_the_store(stage_on: MakeStage) -> None:
    """Twenty-five send at one instant, one a second may; the worker dies on the way, and two more ask while it is away."""
    stage = stage_on(journeys=(), partitions=1, own=OWN)
    worker = stage.worker()
    stage.wait_until("the worker is ready", lambda: "worker_ready" in worker.tail())
    crowd = [f"c{number:02}" for number in range(CROWD)]
    before = now_ms() - SECOND
    stage.produce([living("c00", before, "anna@example.com"), living("twin", before, " Anna@Example.com")])
    began = now_ms()
    stage.produce([purchase(customer, began) for customer in crowd])
    stage.wait_until("some have left", lambda: len(stage.actions()) >= 3)
    worker.kill()
    shutil.rmtree(stage.state_of("w0"))
    away = now_ms()
    assert away < began + (CROWD - 1) * SECOND, "this machine is too slow for the test: make the crowd larger"
    stage.produce([purchase("twin", away), purchase("late", away)])

    worker = stage.worker()
    stage.wait_until("all have left", lambda: len(stage.actions()) == CROWD + 1)
    assert [(action["customer"], action["created_at"] - began) for action in stage.actions()] == [
        (customer, place * SECOND) for place, customer in enumerate([*crowd, "late"])
    ]
    assert reasons(stage, "twin") == [("action_suppressed", "duplicate_address")]
    assert reasons(stage, "late") == [("action_held", "rate"), ("action_released", "rate"), ("action_emitted", "")]
    assert_journal_is_one_chain(stage)
    assert stage.incidents() == []
    assert worker.stop() == 0
    assert b"\x00rate:email" in stage.changelog_documents()
    assert stage.stored_documents("w0") == stage.changelog_documents()
    assert_exactly_once(stage)

"""A journey is changed while customers are on it: the old file goes to earlier/, and the worker is started again (rule V1)."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from orchestrator.operate.demo.events import EventLine
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once

FIRST = """
journey: greeting
version: 1
owner: tests
purpose: service
entry: {on: purchase.made}
start: s
states:
  s:
    on: [{event: auth.login, go: heard}]
    rest: true
  heard:
    steps:
      - {id: mail, send: {channel: email, template: first}}
      - {id: stop, end: {outcome: greeted}}
"""
SECOND = FIRST.replace("version: 1", "version: 2").replace("auth.login", "payment.failed").replace("first", "second")
POLICY = """
channels: {email: {topic: journeys.actions.email}}
purposes: {service: {consent: not_required, basis: contract}}
"""


def _event(customer: str, event: str, **data: object) -> EventLine:
    return EventLine(time.time_ns() // 1_000_000, customer, event, f"{event}-{customer}", dict(data))


def _purchase(customer: str) -> EventLine:
    return _event(customer, "purchase.made", quantity=1, price=9.5)


def test_v1_after_a_restart_with_a_newer_version_instances_go_on_and_entries_take_it(stage_on: MakeStage, tmp_path: Path) -> None:
    """Only version 1 listens to a login, so a worker that forgot it would pass the login over."""
    stage = stage_on(journeys=(), partitions=1, own={"policy.yaml": POLICY, "journeys/greeting.yaml": FIRST})
    worker = stage.worker()
    stage.produce([_purchase("ann")])
    stage.wait_until("ann has entered", lambda: stage.handled_records() == 1)
    assert worker.stop() == 0

    before = shutil.copytree(stage.topologies, tmp_path / "before")
    (stage.topologies / "earlier").mkdir()
    (stage.topologies / "journeys" / "greeting.yaml").rename(stage.topologies / "earlier" / "greeting.yaml")
    (stage.topologies / "journeys" / "greeting.yaml").write_text(SECOND)
    worker = stage.worker()
    failed = _event("bob", "payment.failed", amount=5.0, currency="AUD", attempt=1, reason="card")
    stage.produce([_purchase("bob"), _event("ann", "auth.login"), failed])
    stage.wait_until("all is handled", lambda: stage.handled_records() == 4)
    assert worker.stop() == 0

    sent = sorted((action["customer"], action["version"], action["template"]) for action in stage.actions())
    assert sent == [("ann", 1, "first"), ("bob", 2, "second")]
    assert [row.value for row in stage.incidents()] == []
    assert_exactly_once(stage, earlier=[before])

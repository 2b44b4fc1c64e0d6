"""Customers for the tests of operators' requests: a journey that waits, calls and parks, at the time of now."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from orchestrator import cli
from orchestrator.operate.demo.events import EventLine
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage

HELP = """
journey: help
version: 1
owner: care-team
purpose: service
entry: {on: signup.created, reentry: always}
exit: [{on: account.closed, outcome: closed}]
start: waiting
states:
  waiting:
    steps:
      - {id: ask, hold_until: [{on: auth.login, go: calling}], timeout: 30d, on_timeout: calling}
  calling:
    steps:
      - {id: open-case, call: {action: open-case, timeout: 2h, data: {plan: '"free"'}}}
      - {id: tell, send: {channel: email, template: case-opened, urgent: true}}
      - {id: over, end: {outcome: helped}}
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def make(stage_on: MakeStage, partitions: int) -> Stage:
    """A stage with that journey alone; few partitions are read sooner."""
    return stage_on(journeys=(), own={"journeys/help.yaml": HELP}, partitions=partitions)


def sign_up(stage: Stage, *customers: str) -> int:
    return stage.produce(EventLine(now_ms(), each, "signup.created", f"s-{each}", {"plan": "free"}) for each in customers)


def log_in(stage: Stage, *customers: str) -> int:
    return stage.produce(EventLine(now_ms() + 1, each, "auth.login", f"l-{each}", {"device": "web"}) for each in customers)


def fail_call(stage: Stage, customer: str, code: str = "desk-closed") -> int:
    """Report that the customer's latest call failed."""
    action = [each for each in stage.actions() if each["customer"] == customer][-1]["action_id"]
    given = {"action_id": action, "status": "failed", "code": code}
    return stage.produce([EventLine(now_ms(), customer, "action.outcome", f"o-{action}-{time.monotonic_ns()}", given)])


def wait_for_help(stage: Stage, state: str, *customers: str) -> None:
    """Wait until these customers have entered a state."""

    def entered() -> set[str]:
        found = [(each["customer"], one) for each in stage.handlings() for one in each["decisions"]]
        return {customer for customer, one in found if one["kind"] == "state_entered" and one["state"] == state}

    stage.wait_until(f"{customers} entered {state}", lambda: entered() >= set(customers))


class Shell:
    """Types commands against a stage; `json` gives what a command printed."""

    def __init__(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        self._there = ["--topologies", str(stage.topologies), "--bootstrap-server", stage.broker.bootstrap]
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *arguments: str) -> int:
        self._capsys.readouterr()
        status = cli.run([*arguments, *self._there])
        self.out, self.err = self._capsys.readouterr()
        return status

    def json(self, *arguments: str, status: int = 0) -> Any:
        assert self.run(*arguments, "--json") == status, self.err
        return json.loads(self.out)

    def do(self, *arguments: str, status: int = 0) -> Any:
        """Execute, as somebody with a reason."""
        return self.json(*arguments, "--execute", "--reason", "ticket 4711", "--by", "olga", "--wait", "120", status=status)


def kinds(answer: Any) -> list[tuple[str, str]]:
    return [(each["kind"], each["reason"] or each["outcome"] or "") for each in answer["decisions"]]

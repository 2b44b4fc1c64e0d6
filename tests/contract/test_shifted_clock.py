"""A worker whose wall clock is set back, ahead and right again while it runs, and ahead when it starts anew after a kill."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from orchestrator.operate.demo.events import EventLine
from tests.checker import check
from tests.contract.conftest import MakeStage
from tests.contract.shifted.sitecustomize import SHIFT_BYTES
from tests.contract.stage import Stage, WorkerProcess

SECOND, HOUR = 1_000, 3_600_000
DAY = 24 * HOUR
OWN = {
    "policy.yaml": """
channels: {email: {topic: journeys.actions.email}}
purposes: {service: {consent: not_required, basis: contract}}
""",
    "journeys/reminder.yaml": """
journey: reminder
version: 1
owner: tests
purpose: service
entry: {on: purchase.made, reentry: always}
start: s
states:
  s:
    steps:
      - {id: quiet, hold_until: [{on: account.closed}], timeout: 1h}
      - {id: mail, send: {channel: email, template: quiet}}
      - {id: stop, end: {outcome: over}}
""",
}


class Clock:
    """The wall clock of the stage's workers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shift"
        self.path.touch()
        self.set(0)

    def set(self, shift_ms: int) -> None:
        with self.path.open("r+b") as file:  # the same file: workers have it in memory
            file.write(shift_ms.to_bytes(SHIFT_BYTES, "big", signed=True))

    def worker(self, stage: Stage) -> WorkerProcess:
        return stage.worker(PYTHONPATH=str(Path(__file__).with_name("shifted")), SHIFTED_CLOCK=str(self.path))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _purchase(customer: str, at: int) -> EventLine:
    return EventLine(at, customer, "purchase.made", f"p-{customer}", {"quantity": 1, "price": 9.5})


def _fired(stage: Stage) -> dict[str, int]:
    """Whose timer fired, and the instant for which it stands; once each."""
    fired = [(h["customer"], h["at"]) for h in stage.handlings() if not h["event"]]
    assert max(Counter(customer for customer, _ in fired).values(), default=1) == 1
    return dict(fired)


def _until(stage: Stage, what: str, is_true: Callable[[], bool]) -> None:
    stage.wait_until(what, is_true, 120)


def test_t5_t6_a_worker_under_a_clock_set_back_and_ahead_fires_every_timer_once_and_none_early(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(journeys=(), partitions=1, own=OWN)
    clock = Clock(stage.folder)
    worker = clock.worker(stage)
    _until(stage, "the worker is ready", lambda: "worker_ready" in worker.tail())

    clock.set(-HOUR)
    now = _now()
    bought = {"soon": now - HOUR + 2 * SECOND, "later": now}
    stage.produce([_purchase(customer, at) for customer, at in bought.items()])
    _until(stage, "both wait", lambda: stage.handled_records() == 2)
    _until(stage, "a right clock would have fired the first", lambda: _now() > bought["soon"] + HOUR + 3 * SECOND)
    assert _fired(stage) == {}

    clock.set(0)
    _until(stage, "the first has fired", lambda: "soon" in _fired(stage))
    assert _fired(stage) == {"soon": bought["soon"] + HOUR}

    clock.set(DAY)
    _until(stage, "the second has fired, by the clock ahead", lambda: "later" in _fired(stage))

    clock.set(0)
    bought["after"] = _now()
    stage.produce([_purchase("after", bought["after"])])
    _until(stage, "a third waits", lambda: stage.handled_records() == 3)
    worker.kill()
    assert "after" not in _fired(stage), "what the clock showed once made a later timer early"

    clock.set(2 * HOUR)
    worker = clock.worker(stage)
    _until(stage, "the third has fired", lambda: "after" in _fired(stage))
    assert _fired(stage) == {customer: at + HOUR for customer, at in bought.items()}
    assert sorted(action["customer"] for action in stage.actions()) == sorted(bought)
    assert worker.stop() == 0
    report = check(stage.broker.bootstrap, stage.topologies, state_dirs=[stage.state_of("w0")])
    # By the brokers' clock, which was right all along, the two sweeps by a clock ahead came early; and nothing else is wrong.
    assert len(report.differences) == 2, report
    assert all("before their time" in line for line in report.differences), report

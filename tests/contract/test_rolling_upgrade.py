"""An upgrade under traffic: workers of an older release are replaced one after the other by ones of this, on a real Kafka."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from orchestrator import compiled
from orchestrator.engine.storing import decode, encode
from orchestrator.operate.demo.events import EventLine
from tests.checker import Demands
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.stage import Stage, WorkerProcess
from tests.contract.test_versions import FIRST, POLICY, SECOND

PARTITIONS = 4
OF_OLDER = {"PYTHONPATH": str(Path(__file__).with_name("older")), "OLDER_RELEASE": "1", compiled.VARIABLE: "1"}


class Traffic:
    """Customers who come while workers are replaced; each is heard once, later, by what its version listens to."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.sent = 0
        self.customers: list[str] = []

    def comes(self, count: int) -> None:
        names = [f"c{len(self.customers) + each}" for each in range(count)]
        self.customers += names
        self._send([_event(name, "purchase.made", quantity=1, price=9.5) for name in names])

    def is_heard(self) -> None:
        """Either version's event for everybody: the other's is passed over."""
        failed = {"amount": 5.0, "currency": "AUD", "attempt": 1, "reason": "card"}
        self._send([_event(name, "auth.login") for name in self.customers])
        self._send([_event(name, "payment.failed", **failed) for name in self.customers])

    def is_handled(self) -> None:
        self._stage.wait_until("all is handled", lambda: self._stage.handled_records() == self.sent)

    def _send(self, lines: list[EventLine]) -> None:
        self.sent += self._stage.produce(lines)


def _event(customer: str, event: str, **fields: object) -> EventLine:
    return EventLine(time.time_ns() // 1_000_000, customer, event, f"{event}-{customer}", dict(fields))


def _older(stage: Stage) -> int:
    """How many documents of the changelog are in the older form."""
    return sum(encode(decode(stored)) != stored for stored in stage.changelog_documents().values())


def _replaced(stage: Stage, old: WorkerProcess, name: str, traffic: Traffic) -> WorkerProcess:
    assert old.stop() == 0
    traffic.comes(20)
    new = stage.worker(name)
    traffic.comes(20)
    traffic.is_handled()
    return new


@pytest.mark.long
def test_v1_workers_of_an_older_release_are_replaced_one_by_one_under_traffic(stage_on_kafka: MakeStage, tmp_path: Path) -> None:
    stage = stage_on_kafka(journeys=(), partitions=PARTITIONS, own={"policy.yaml": POLICY, "journeys/greeting.yaml": FIRST})
    traffic = Traffic(stage)
    first, second = (stage.worker(name, **OF_OLDER) for name in ("w0", "w1"))
    traffic.comes(40)
    traffic.is_handled()
    assert _older(stage) == 40, "the older release writes all documents in its own form"

    before = shutil.copytree(stage.topologies, tmp_path / "before")
    (stage.topologies / "earlier").mkdir()
    (stage.topologies / "journeys" / "greeting.yaml").rename(stage.topologies / "earlier" / "greeting.yaml")
    (stage.topologies / "journeys" / "greeting.yaml").write_text(SECOND)
    second = _replaced(stage, second, "w1", traffic)
    stood = _older(stage)
    assert stood >= 40, "what nobody touches stays as it is"
    first = _replaced(stage, first, "w0", traffic)
    traffic.is_heard()
    traffic.is_handled()
    assert [first.stop(), second.stop()] == [0, 0]

    assert _older(stage) == 0, "who is touched by the newer release is written in its form"
    sent = Counter(action["customer"] for action in stage.actions())
    assert sent == Counter(traffic.customers), "everybody is greeted once, by the version that they entered"
    by_version = Counter((action["version"], action["template"]) for action in stage.actions())
    assert by_version.keys() == {(1, "first"), (2, "second")}
    assert stage.incidents() == []
    assert len({record.program for record, _ in stage.journal()}) == 2
    assert_exactly_once(stage, earlier=[before], demands=Demands(has_older_documents=True))

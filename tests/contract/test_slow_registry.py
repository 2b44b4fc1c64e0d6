"""A registry that takes its time holds the partition that needs the schema, and no other (fault matrix row 18, rule B1)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.operate.contract.subjects import schema_text
from orchestrator.wire import framing
from orchestrator.wire.partitioning import partition_for
from tests.brokers import Broker, fill
from tests.contract.stage import Stage
from tests.stream.stub import Stub
from tests.wire.messages import SCHEMAS

AT = 1_767_571_200_000
HANGS_S = 300.0


@pytest.fixture
def stage(broker: Broker, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(broker, tmp_path, partitions=2)
    yield made
    made.close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.close()


def customer_in(partition: int) -> str:
    return next(name for n in range(100) if partition_for((name := f"c{n}").encode(), 2) == partition)


def event(customer: str, event_id: str, *, by_id: bool) -> dict[str, Any]:
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    value = schema.encode(customer, event_id, AT, {"quantity": 1, "price": 9.5})
    if by_id:
        value = framing.confluent(7) + value[len(schema.frame) :]
    return {"key": customer.encode(), "value": value, "timestamp": AT}


def ids(stage: Stage) -> list[str]:
    return [handling["event_id"] for handling in stage.handlings() if handling["event_id"]]


def test_b1_while_the_registry_hangs_only_the_partition_that_asks_waits(stage: Stage, stub: Stub) -> None:
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    may_answer = threading.Event()
    stub.answer = lambda: (may_answer.wait(HANGS_S), (200, {"schema": schema_text(schema)}))[1]
    waits, goes = customer_in(0), customer_in(1)
    worker = stage.worker("w0", "--set", f"registry.url={stub.url}", "--set", f"registry.timeout={HANGS_S}")
    fill(stage.broker.bootstrap, stage.events, [event(waits, "e1", by_id=True), event(waits, "e2", by_id=False)])
    stage.wait_until("the registry is asked", lambda: stub.asked > 0)
    for number in range(3, 6):  # one after the other: the loop goes on, it does not only get to the end of what it has
        fill(stage.broker.bootstrap, stage.events, [event(goes, f"e{number}", by_id=False)])
        stage.wait_until("the other partition is handled", lambda number=number: f"e{number}" in ids(stage))  # type: ignore[misc]
    stage.wait_until("it says that it waits", lambda: "registry_away" in worker.log.read_text())
    assert ids(stage) == ["e3", "e4", "e5"], "one connection still waits for its first answer"
    assert stub.asked == 1
    may_answer.set()
    stage.wait_until("it goes on, in its order", lambda: [i for i in ids(stage) if i in {"e1", "e2"}] == ["e1", "e2"])
    assert stage.incidents() == []
    assert worker.stop() == 0

"""The example producer: what it writes is where a customer's events belong, and a worker takes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from confluent_kafka import Message

from orchestrator.engine.record import Record
from orchestrator.wire.gate import Gate
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import load_schemas
from tests.brokers import read_to_end
from tests.contract.conftest import MakeStage

ROOT = Path(__file__).parents[2]
PARTITIONS = 8  # enough that librdkafka's own hash would put one of the three elsewhere


def test_the_example_producer_puts_events_where_they_belong_and_they_are_taken(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=PARTITIONS)
    schema = ROOT / "schemas" / "avro" / "events" / "purchase.made.avsc"
    said = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "producer.py"), stage.broker.bootstrap, stage.events, str(schema)],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip

    rows = read_to_end(stage.broker.bootstrap, stage.events)
    assert sorted(row.key or b"" for row in rows) == [b"ada", b"ben", b"cleo"]
    assert sorted(said.splitlines()) == sorted(f"{stage.events}/{row.partition} at {row.offset}" for row in rows)
    gate = Gate(load_schemas(), stage.topology.streams, lambda _: True)
    for row in rows:
        assert row.partition == partition_for(row.key or b"", PARTITIONS)
        place = {"topic": stage.events, "partition": row.partition, "offset": row.offset}
        message = Message(**place, key=row.key, value=row.value, timestamp=(1, row.timestamp))
        taken = gate.admit(message, row.timestamp)
        assert isinstance(taken, Record), taken
        assert (taken.type, taken.payload["quantity"]) == ("purchase.made", 1)

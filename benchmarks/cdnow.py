"""The CDNOW run: 69,659 purchases through one worker on a real Kafka, exactly once, with the whole win-back journey.

A purchase costs more than one handling: it ends the instance that waited, begins the next, and most lead to a timer or two.
So three figures are given: purchases, handlings (purchases and timers) and decisions a second. The floor beside it is a loop on
confluent-kafka and fastavro that only reads and decodes the same topic: no state, no outputs, no transaction.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median

import fastavro
import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from orchestrator.operate.demo.dataset import purchases
from orchestrator.wire.framing import SINGLE_OBJECT_LENGTH
from orchestrator.wire.schemas import load_schemas
from tests import proc
from tests.brokers import Broker
from tests.contract.cdnow import assert_as_the_oracle_says, wait_for_all
from tests.contract.stage import Stage, WorkerProcess

NAME = "cdnow"
NEEDS_BROKER = True
READY = "worker_ready"
_LOOK_S = 3.0  # the journal tells when things were done; looking takes a part of the cores that are measured


class Figures(msgspec.Struct):
    """One repeat. Times in seconds, from the worker's readiness on."""

    purchases: int
    handlings: int
    decisions: int
    until_records_s: float
    until_timers_s: float
    floor_s: float
    worker_cpu_s: float


def run(broker: Broker, repeats: int, say: Callable[[str], None], processes: int = 1) -> dict[str, float]:
    """Measure one worker, as so many processes; every repeat is checked against the oracle. Gives medians.

    A run before them is not counted: a broker that has just begun compiles itself on a sixth of the two cores.
    """
    found = []
    _once(broker, processes)
    for number in range(repeats):
        figures = _once(broker, processes)
        found.append(figures)
        say(
            f"  {number + 1}/{repeats}: {figures.purchases / figures.until_records_s:,.0f} purchases/s,"
            f" {figures.handlings / figures.until_timers_s:,.0f} handlings/s; floor {figures.purchases / figures.floor_s:,.0f}/s"
        )
    return {
        "purchases_per_s": median(f.purchases / f.until_records_s for f in found),
        "handlings_per_s": median(f.handlings / f.until_timers_s for f in found),
        "decisions_per_s": median(f.decisions / f.until_timers_s for f in found),
        "worker_cpu_us_per_purchase": median(f.worker_cpu_s / f.purchases * 1e6 for f in found),
        "worker_cpu_us_per_handling": median(f.worker_cpu_s / f.handlings * 1e6 for f in found),
        "floor_read_and_decode_per_s": median(f.purchases / f.floor_s for f in found),
        "ratio_to_floor": median(f.floor_s / f.until_records_s for f in found),
    }


def _once(broker: Broker, processes: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        return _on_stage(Stage(broker, Path(folder)), processes)


def _on_stage(stage: Stage, processes: int) -> Figures:
    try:
        records = stage.produce(purchases())
        floor_s = _read_and_decode(stage.broker.bootstrap, stage.events, stage.topology.streams.partitions)
        worker = stage.worker("w0", "--processes", str(processes))
        stage.wait_until("the worker is ready", lambda: worker.log.read_text(encoding="utf-8").count(READY) >= processes)
        starting_s = proc.cpu_seconds(worker.pid)
        wait_for_all(stage, records, every_s=_LOOK_S)
        cpu_s = proc.cpu_seconds(worker.pid) - starting_s
        assert worker.stop() == 0
        assert_as_the_oracle_says(stage)
        return _figures(stage, worker, records, floor_s, cpu_s)
    finally:
        stage.close()


def _figures(stage: Stage, worker: WorkerProcess, records: int, floor_s: float, cpu_s: float) -> Figures:
    ready = _ready_at(worker)
    rows = stage.rows(stage.topology.streams.journal)
    last_record = last_timer = 0
    for row, (record, _) in zip(rows, stage.journal(), strict=True):
        for each in record.runs:
            if each.topic == stage.events:
                last_record = max(last_record, row.timestamp)
            elif not each.topic and each.first:
                last_timer = max(last_timer, row.timestamp)
    handlings = stage.handlings()
    return Figures(
        purchases=records,
        handlings=len(handlings),
        decisions=sum(len(h["decisions"]) for h in handlings),
        until_records_s=(last_record - ready) / 1000,
        until_timers_s=(max(last_record, last_timer) - ready) / 1000,
        floor_s=floor_s,
        worker_cpu_s=cpu_s,
    )


def _ready_at(worker: WorkerProcess) -> float:
    for line in worker.log.read_text(encoding="utf-8").splitlines():
        if line.startswith("{") and (event := json.loads(line))["event"] == READY:
            return datetime.fromisoformat(event["at"]).timestamp() * 1000
    raise AssertionError("the worker never became ready")


def _read_and_decode(bootstrap: str, topic: str, partitions: int) -> float:
    """Read the topic once and decode every record; give the seconds."""
    event = load_schemas().get("purchase.made")
    assert event is not None
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "floor", "enable.partition.eof": True, "fetch.wait.max.ms": 50}
    )
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    ends, started = 0, 0.0
    while ends < partitions:
        for message in consumer.consume(4000, 0.05):
            started = started or time.perf_counter()
            if message.error():
                ends += 1
            else:
                fastavro.schemaless_reader(io.BytesIO(message.value()[SINGLE_OBJECT_LENGTH:]), event.writer, None)
    seconds = time.perf_counter() - started
    consumer.close()
    return seconds

"""Restore: empty stores filled from a changelog on a real Kafka, as a worker does that lost its disk.

The documents are those of the shipped journeys halfway through the invented cohort, 130 to 1,400 bytes, a third of them with a
deadline, under keys of their own in no order; every tenth comes twice, and every transaction has 20,000 of them. The floor
beside it reads the same topic with the same settings and touches neither keys nor values.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

from confluent_kafka import KafkaError, Producer, TopicPartition

from benchmarks.engine import records
from orchestrator import kafka
from orchestrator.engine.engine import Engine
from orchestrator.errors import Unreachable
from orchestrator.operate.demo.cohort import cohort
from orchestrator.simulate import Simulation
from orchestrator.stream import positions
from orchestrator.stream.restore import Restorer, Source, open_all
from orchestrator.wire.journal import JournalRecord, encode_journal
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace
from tests.brokers import Broker
from tests.contract.stage import SHIPPED, Stage

NAME = "restore"
NEEDS_BROKER = True

DOCUMENTS = 600_000
PARTITIONS = 4
_TRANSACTION = 20_000
_SEED = 7
_FOR_EVER_MS = 1 << 62


def shipped_documents() -> list[bytes]:
    """What customers of the shipped journeys look like while much of it is under way."""
    simulation = Simulation(Engine(Workspace.load(SHIPPED).topology))
    events = list(records(cohort(), load_schemas()))
    for record in events[: len(events) // 2]:
        simulation.feed(record)
    return [customer.stored for customer in simulation.customers.values() if customer.stored is not None]


def run(broker: Broker, repeats: int, say: Callable[[str], None], documents: int = DOCUMENTS) -> dict[str, float]:
    """Measure. Gives medians; memory is the growth of the process's peak over the first restore, in MB."""
    found: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        stage = Stage(broker, Path(folder), partitions=PARTITIONS)
        written, size = _fill(stage, documents)
        _wait_for_the_coordinator(stage)
        say(f"  {written:,} records of {size:.0f} bytes in {PARTITIONS} partitions")
        before_mb, grown_mb = _peak_mb(), 0.0
        for number in range(repeats):
            restore_s, cpu_s = _restore(stage, Path(folder) / f"state-{number}", written)
            grown_mb = grown_mb or _peak_mb() - before_mb
            floor_s = _fetch_only(stage, written)
            found.append((restore_s, floor_s))
            say(
                f"  {number + 1}/{repeats}: {written / restore_s:,.0f} documents/s, {cpu_s / written * 1e6:.2f} us of CPU each;"
                f" fetched only {written / floor_s:,.0f}/s"
            )
    return {
        "documents_per_s": median(written / restore_s for restore_s, _ in found),
        "floor_fetch_only_per_s": median(written / floor_s for _, floor_s in found),
        "ratio_to_floor": median(floor_s / restore_s for restore_s, floor_s in found),
        "document_bytes": size,
        "peak_memory_grown_mb": grown_mb,
    }


def _fill(stage: Stage, documents: int) -> tuple[int, float]:
    """Write the changelog and a journal record a partition, as committed cycles; give how many records and their mean size."""
    streams, shipped = stage.topology.streams, shipped_documents()
    client = {"bootstrap.servers": stage.broker.bootstrap, "compression.type": "lz4", "linger.ms": 5, "batch.size": 262_144}
    producer = Producer({**client, "transactional.id": streams.app, "queue.buffering.max.messages": 1_000_000})
    producer.init_transactions(30)
    for keys in _transactions(documents):
        producer.begin_transaction()
        for number in keys:
            value = shipped[number % len(shipped)]
            customer = b"%08x-customer" % (number * 2_654_435_761 % (1 << 32))
            producer.produce(streams.changelog, value, customer, number % PARTITIONS)
        for partition in range(PARTITIONS):
            value = encode_journal(JournalRecord(1, "w", "p", partition, 0, [], {stage.events: 0}, previous=0))
            producer.produce(streams.journal, value, b"%d" % partition, partition)
        producer.commit_transaction(60)
    return documents + documents // 10, mean(len(each) for each in shipped)


def _transactions(documents: int) -> Iterator[list[int]]:
    """Numbers of customers, a tenth of them twice."""
    dice = random.Random(_SEED)
    numbers = [*range(documents), *dice.sample(range(documents), documents // 10)]
    dice.shuffle(numbers)
    for start in range(0, len(numbers), _TRANSACTION):
        yield numbers[start : start + _TRANSACTION]


def _source(stage: Stage) -> Source:
    streams = stage.topology.streams
    client = {"bootstrap.servers": stage.broker.bootstrap, "group.id": streams.app}
    return Source("bench", streams.app, [stage.events], streams.changelog, streams.journal, client, _FOR_EVER_MS)


def _wait_for_the_coordinator(stage: Stage) -> None:
    """A group that nobody asked for before takes the broker a while, which is no part of a restore."""
    source = _source(stage)
    reader = kafka.consumer(Restorer.reader_config(source))
    while True:
        try:
            positions.committed(reader, source.topics, 0)
            break
        except Unreachable:
            time.sleep(0.2)
    reader.close()


def _restore(stage: Stage, state_dir: Path, written: int) -> tuple[float, float]:
    """Open all partitions from nothing; give the seconds, of the clock and of the CPU. Every document must be there after."""
    started, cpu = time.perf_counter(), time.process_time()
    stores = open_all(_source(stage), state_dir, range(PARTITIONS), lambda: False).values()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    restored = sum(1 for store in stores for _ in store.documents())
    assert restored == written * 10 // 11, f"{restored} of {written * 10 // 11} documents"
    for store in stores:
        store.close()
    return seconds, cpu_s


def _fetch_only(stage: Stage, written: int) -> float:
    """Read the changelog and touch nothing of it; give the seconds."""
    started, ends, read = time.perf_counter(), 0, 0
    reader = kafka.consumer(Restorer.reader_config(_source(stage)))
    reader.assign([TopicPartition(stage.topology.streams.changelog, partition, 0) for partition in range(PARTITIONS)])
    while ends < PARTITIONS:
        messages = reader.consume(10_000, 0.1)
        ended = sum(1 for m in messages if (e := m.error()) is not None and e.code() == KafkaError._PARTITION_EOF)
        ends, read = ends + ended, read + len(messages) - ended
    reader.close()
    assert read == written, f"{read} of {written} records"
    return time.perf_counter() - started


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

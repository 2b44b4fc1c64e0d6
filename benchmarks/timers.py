"""A million timers of one second on a real Kafka: all fire once, and other events hardly notice; before that, what waiting costs.

The customers' documents are made by the engine and written to the changelog, from where the worker restores them; each waits on
a `hold_until` that times out at one second, the same for all. While they wait, two workers, one with and one without them, take
the same unrelated events in turns. When they fall due, a probe produces events of other customers and reads their decisions,
read_committed, as they come.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec import Struct

from orchestrator.engine.engine import Customer, Engine
from orchestrator.engine.identity import instance_id, uuid_text
from orchestrator.engine.record import Record
from orchestrator.names import Kind
from orchestrator.operate.demo.events import EventLine
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.partitioning import partition_for
from tests import proc
from tests.brokers import Broker, unique
from tests.contract.stage import Stage, WorkerProcess

NAME = "timers"
NEEDS_BROKER = True
CUSTOMERS = 1_000_000

_EVENT = "e1"  # the same for all: it is told apart by customer
_HOLD_MS = 24 * 3_600_000
_UNRELATED = 20_000  # events in each turn of the comparison
_TURNS = 5
_CALM_S = 30.0  # before all fall due, nothing else is done
_PROBE_EVERY_S = 0.02
_QUIET_S = 1.0
_GIVE_UP_S = 900.0
_OWN = {
    "policy.yaml": """
channels: {email: {topic: journeys.actions.email}}
purposes: {service: {consent: not_required, basis: contract}}
""",
    "journeys/reminder.yaml": """
journey: reminder
version: 1
owner: benchmarks
purpose: service
entry: {on: purchase.made, reentry: always}
start: s
states:
  s:
    steps:
      - {id: quiet, hold_until: [{on: account.closed}], timeout: 24h}
      - {id: stop, end: {outcome: over}}
""",
    "journeys/other.yaml": """
journey: other
version: 1
owner: benchmarks
purpose: service
entry: {on: auth.login, reentry: always}
start: s
states:
  s:
    steps:
      - {id: stop, end: {outcome: seen}}
""",
}


class Pending(Struct):
    """What the comparison found. Rates in events a second, processor time in seconds an event, memory in bytes."""

    rate_without: float
    rate_with: float
    cpu_without: float
    cpu_with: float
    memory_without: int
    memory_with: int


class Firing(Struct):
    """What the firing found. Times in seconds."""

    seconds: float
    cpu: float
    latencies: list[float]
    fired: list[bytes]


def run(broker: Broker, repeats: int, say: Callable[[str], None], customers: int = CUSTOMERS) -> dict[str, float]:
    """Measure once, whatever `repeats` says: it is long. Every timer must fire exactly once, or AssertionError."""
    del repeats
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        without, stage = (Stage(broker, _made(Path(folder) / name), journeys=(), own=_OWN) for name in ("without", "with"))
        try:
            due, instances = _fill(stage, customers, say)
            seen = _Seen(stage)  # from the beginning: on a slow machine all fall due before the worker is ready
            ready = [_ready(without), _ready(stage)]
            pending = _compare((without, ready[0]), (stage, ready[1]), due, say)
            assert ready[0].stop() == 0
            say(f"  {due / 1000 - time.time():.0f} s left until all fall due")
            firing = _fire(stage, ready[1], seen, due, customers)
            memory = _memory(ready[1])
            assert ready[1].stop() == 0
            _check(firing.fired + [value for key, value, _ in seen.rest() if key.startswith(b"c")], due, instances)
        finally:
            stage.close()
            without.close()
    p99 = quantiles(firing.latencies, n=100)[98]
    return {
        "timers": customers,
        "fired_after_s": firing.seconds,
        "fired_per_s": customers / firing.seconds,
        "worker_cpu_us_per_timer": firing.cpu / customers * 1e6,
        "other_events": len(firing.latencies),
        "other_event_median_s": median(firing.latencies),
        "other_event_p99_s": p99,
        "other_event_latest_s": max(firing.latencies),
        "rate_without_pending_per_s": pending.rate_without,
        "rate_with_pending_per_s": pending.rate_with,
        "rate_ratio": pending.rate_with / pending.rate_without,
        "cpu_us_per_event_without": pending.cpu_without * 1e6,
        "cpu_us_per_event_with": pending.cpu_with * 1e6,
        "memory_of_pending_mb": (pending.memory_with - pending.memory_without) / 1e6,
        "memory_after_firing_mb": memory / 1e6,
    }


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _fill(stage: Stage, customers: int, say: Callable[[str], None]) -> tuple[int, set[str]]:
    """Write the documents of customers who wait until one second; give its first instant and the instances."""
    engine, streams = Engine(stage.topology), stage.topology.streams
    producer = Producer({"bootstrap.servers": stage.broker.bootstrap, "linger.ms": 50, "compression.type": "lz4"})
    began = time.monotonic()
    # Far enough away for the documents, their restore and the comparison, on a machine that does other things too.
    due = (int(time.time() + customers * 150e-6 + 20 * _TURNS) + 1) * 1000
    made = [_waiting(engine, number, due + number) for number in range(min(1000, customers))]
    instances = set()
    for number in range(customers):
        key = b"c%07d" % number
        stored, first = made[number % 1000]
        own = instance_id("reminder", key.decode(), "", _EVENT)
        instances.add(uuid_text(own))
        _produce(producer, streams.changelog, stored.replace(first, own), key, partition_for(key, streams.partitions))
    assert producer.flush(60) == 0
    again, _ = _waiting(engine, customers - 1, due + (customers - 1) % 1000)
    assert again == stored.replace(first, own), "what is written is not what the engine makes"
    say(f"  {customers:,} documents made and written in {time.monotonic() - began:.0f} s")
    return due, instances


def _waiting(engine: Engine, number: int, due: int) -> tuple[bytes, bytes]:
    """Give the document of a customer who waits until `due`, and the id of the instance in it."""
    customer = Customer(f"c{number:07}", None)
    record = Record("purchase.made", customer.id, _EVENT, due - _HOLD_MS, {"quantity": 1, "price": 9.5})
    (handling,) = engine.handle(customer, record, record.time)
    assert customer.stored is not None
    return customer.stored, UUID(handling.decisions[0].instance).bytes


def _produce(producer: Producer, topic: str, value: bytes | None, key: bytes, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition)
            return
        except BufferError:
            producer.poll(0.1)


def _ready(stage: Stage) -> WorkerProcess:
    worker = stage.worker()
    stage.wait_until("the worker is ready", lambda: "worker_ready" in worker.log.read_text(encoding="utf-8"), _GIVE_UP_S)
    return worker


# What waiting costs


def _compare(
    without: tuple[Stage, WorkerProcess], loaded: tuple[Stage, WorkerProcess], due: int, say: Callable[[str], None]
) -> Pending:
    """Take turns for as long as there is time before `due`, which a busy machine may not leave: then there are no figures."""
    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(_TURNS):
        if time.time() + _CALM_S > due / 1000:
            break
        for name, (stage, worker) in {"without": without, "with": loaded}.items():
            found.setdefault(name, []).append(_rate(stage, worker, turn))
        say(f"  {turn + 1}/{_TURNS}: " + ", ".join(f"{name} {rates[-1][0]:,.0f} events/s" for name, rates in found.items()))
    if not found:
        return Pending(nan, nan, nan, nan, 0, 0)
    rate, cpu = ({name: median(each[n] for each in turns) for name, turns in found.items()} for n in (0, 1))
    return Pending(rate["without"], rate["with"], cpu["without"], cpu["with"], _memory(without[1]), _memory(loaded[1]))


def _rate(stage: Stage, worker: WorkerProcess, turn: int) -> tuple[float, float]:
    """Produce events of customers who have nothing else; give how many were handled a second, and the processor time of each."""
    seen = _Seen(stage)
    now, left = time.time_ns() // 1_000_000, _UNRELATED
    began, cpu = time.monotonic(), proc.cpu_seconds(worker.pid)
    stage.produce(EventLine(now, f"u{n}", "auth.login", f"u{turn}-{n}", {"device": "app"}) for n in range(_UNRELATED))
    while left:
        left -= sum(key.startswith(b"u") for key, _, _ in seen.decisions(left))
    seen.close()
    return _UNRELATED / (time.monotonic() - began), (proc.cpu_seconds(worker.pid) - cpu) / _UNRELATED


def _memory(worker: WorkerProcess) -> int:
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


class _Seen:
    """Reads the decisions from now on, read_committed, as another team's service would."""

    def __init__(self, stage: Stage) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": stage.broker.bootstrap, "group.id": unique("seen"), "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10, "enable.auto.commit": False,
            }
        )  # fmt: skip
        streams = stage.topology.streams
        parts = [TopicPartition(streams.transitions, number) for number in range(streams.partitions)]
        for part in parts:
            part.offset = self._consumer.get_watermark_offsets(part, timeout=10)[1]
        self._consumer.assign(parts)

    def decisions(self, count: int) -> Iterator[tuple[bytes, bytes, float]]:
        """Give customer, record and time of each of the next `count` decisions as it comes."""
        deadline = time.monotonic() + _GIVE_UP_S
        while count > 0:
            assert time.monotonic() < deadline, f"{count} decisions have not come in {_GIVE_UP_S:.0f} s"
            found = self._poll(min(count, 5_000), 0.01)
            count -= len(found)
            yield from found

    def rest(self) -> Iterator[tuple[bytes, bytes, float]]:
        """Give what else is there."""
        while found := self._poll(5_000, _QUIET_S):
            yield from found
        self.close()

    def close(self) -> None:
        """Read no more."""
        self._consumer.close()

    def _poll(self, count: int, timeout_s: float) -> list[tuple[bytes, bytes, float]]:
        messages, now = self._consumer.consume(count, timeout_s), time.time()
        assert not any(message.error() for message in messages)
        return [(message.key() or b"", message.value() or b"", now) for message in messages]


# Firing


def _fire(stage: Stage, worker: WorkerProcess, seen: _Seen, due: int, customers: int) -> Firing:
    """From the second on until all have fired: probe with other events, and see everything come out."""
    probe, fired = _Probe(stage), list[bytes]()
    time.sleep(max(0.0, due / 1000 - time.time()))
    began, cpu = time.time(), proc.cpu_seconds(worker.pid)
    came: dict[bytes, float] = {}
    probe.start()
    while len(fired) < customers:
        for key, value, at in seen.decisions(customers - len(fired)):
            if key.startswith(b"p"):
                came[key] = at
            elif key.startswith(b"c"):
                fired.append(value)
    seconds, cpu = time.time() - began, proc.cpu_seconds(worker.pid) - cpu
    probe.end()
    while len(came) < len(probe.sent):
        came.update((key, at) for key, _, at in seen.decisions(len(probe.sent) - len(came)))
    return Firing(seconds, cpu, [came[key] - at for key, at in probe.sent.items()], fired)


class _Probe(threading.Thread):
    """Produces an event of an unrelated customer now and then, on all partitions in turn; `sent` tells when."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.sent: dict[bytes, float] = {}
        self.done = threading.Event()
        self._stage = stage
        partitions = stage.topology.streams.partitions
        self._names = [_names_on(number, partitions) for number in range(partitions)]

    def run(self) -> None:
        """Go on until `done`."""
        producer, number = self._stage.producer(), 0
        while not self.done.wait(_PROBE_EVERY_S):
            name = next(self._names[number % len(self._names)])
            self.sent[name.encode()] = at = time.time()
            producer.send(EventLine(int(at * 1000), name, "auth.login", name, {"device": "app"}))
            producer.serve()
            number += 1
        producer.close()

    def end(self) -> None:
        """Send no more, and wait until Kafka has what was sent."""
        self.done.set()
        self.join()


def _names_on(partition: int, partitions: int) -> Iterator[str]:
    return (name for name in map("p{}".format, itertools.count()) if partition_for(name.encode(), partitions) == partition)


def _check(fired: list[bytes], due: int, instances: set[str]) -> None:
    """Every instance timed out once, at its own instant, and nothing else came of it."""
    left, wrong = set(instances), 0
    for handling in map(decode_handling, fired):
        ended = [d["instance"] for d in handling["decisions"] if d["kind"] == Kind.ENDED]
        on_time = handling["at"] == due + int(handling["customer"][1:]) % 1000
        if len(ended) != 1 or ended[0] not in left or not on_time:
            wrong += 1
        left.difference_update(ended)
    assert not wrong, f"{wrong} handlings fired a timer again, or not at its instant"
    assert not left, f"{len(left)} timers never fired"

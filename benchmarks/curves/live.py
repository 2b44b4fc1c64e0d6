"""Curves of real workers on a real Kafka: latency under load, one and two workers, start-up, memory, idle CPU."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks import restore
from benchmarks.curves.curve import Curve
from benchmarks.w1 import ours
from benchmarks.w1.contestant import Job, Process
from benchmarks.w1.workload import PARTITIONS, EventRecord, encoded, events
from orchestrator.wire.actions import decode_action
from tests.brokers import Broker, unique

_LOADS = (10, 50, 90)  # per cent
_BACKLOG = 100_000  # events, for the capacity
_WARM_S, _LOAD_S = 3.0, 12.0
_BROKER_WARM_S = 60.0  # a new broker compiles its own code for that long, on the cores that the worker needs
_WARMING_RATE = 5_000.0  # events a second
_QUIET_S = 5.0
_TICK_S = 0.005
_IDLE_S = 20.0
_GIVE_UP_S = 180.0


class Fleet:
    """Workers on W1's topology, the topic that they read, and a reader of what they commit."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.job = Job(broker, unique("w1-events"), unique("w1"), folder)
        broker.create_topic(self.job.topic, PARTITIONS, retention_ms="-1")
        ours.lay(self.job)
        self.workers: list[Process] = []
        self.producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "linger.ms": 2})
        client = {"bootstrap.servers": broker.bootstrap, "group.id": unique("seen"), "isolation.level": "read_committed"}
        self.reader = Consumer({**client, "enable.auto.commit": False, "fetch.wait.max.ms": 10, "fetch.queue.backoff.ms": 5})
        self.reader.assign([TopicPartition(self.job.actions_topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])

    def start(self, count: int) -> float:
        """Start workers and wait until all partitions have one; give the seconds."""
        began = time.monotonic()
        self.workers += [ours.worker(self.job, f"w{number}") for number in range(count)]
        for worker in self.workers:
            while "worker_ready" not in worker.log.read_text(encoding="utf-8"):
                assert time.monotonic() - began < _GIVE_UP_S, worker.log.read_text(encoding="utf-8")[-2000:]
                worker.cpu_seconds()  # which fails if it has ended
                time.sleep(0.02)
        return time.monotonic() - began

    def cpu_seconds(self) -> float:
        """Give the CPU that the threads of all workers have had. The kernel's ticks of 10 ms are too coarse for idling."""
        tasks = (task for worker in self.workers for task in Path(f"/proc/{worker.pid}/task").glob("*/schedstat"))
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def send(self, ready: list[dict[str, object]]) -> None:
        """Produce encoded records, all at once."""
        for given in ready:
            while True:
                try:
                    self.producer.produce(self.job.topic, **given)
                    break
                except BufferError:
                    self.producer.poll(0.05)
        assert self.producer.flush(60) == 0

    def close(self) -> None:
        """End all."""
        self.reader.close()
        for worker in self.workers:
            worker.stop()
            worker.end()


@contextmanager
def _fleet(broker: Broker) -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-curve-") as folder:
        fleet = Fleet(broker, Path(folder))
        try:
            yield fleet
        finally:
            fleet.close()


def workers(broker: Broker, repeats: int) -> Curve:
    """Events a second of one worker and of two, which share the partitions; in turns."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for count, rates in found.items():
            with _fleet(broker) as fleet:
                fleet.start(count)
                if count > 1:
                    _wait_until_shared(fleet)
                rates.append(_rate(fleet, list(events(_BACKLOG))))
    pairs = [two / one for one, two in zip(found[1], found[2], strict=True)]
    return Curve(
        "workers", "W1 with one worker and with two, broker on the same two cores", "workers", "events a second", [1, 2],
        {"events a second": [median(rates) for rates in found.values()]}, {"two to one": median(pairs)}, logarithmic=False,
    )  # fmt: skip


def _wait_until_shared(fleet: Fleet) -> None:
    """The first worker has all partitions until the second has joined: it is ready once more after that."""
    began = time.monotonic()
    while sum(worker.log.read_text(encoding="utf-8").count("worker_ready") for worker in fleet.workers) < len(fleet.workers) + 1:
        if time.monotonic() > began + 10:  # they joined together
            return
        time.sleep(0.1)


def _rate(fleet: Fleet, given: list[EventRecord]) -> float:
    """Send all at once, encoded before; give events a second from the first one sent to the last action read."""
    ready = list(encoded(given))
    began = time.time()
    fleet.send(ready)
    last = began
    for _, last in _until_quiet(fleet, lambda: True):  # noqa: B007
        pass
    return len(given) / (last - began)


def latency(broker: Broker, repeats: int) -> Curve:
    """From an event's production to its action as a read_committed consumer has it, at 10, 50 and 90 % of a worker's capacity."""
    found: dict[int, list[list[float]]] = {load: [] for load in _LOADS}
    capacities = []
    with _fleet(broker) as fleet:
        fleet.start(1)
        warming = list(events(int(_WARMING_RATE * _BROKER_WARM_S)))
        first = len(warming)
        _paced(fleet, warming, _WARMING_RATE)
        for _ in range(repeats):
            backlog = list(events(_BACKLOG, first=first))
            first += len(backlog)
            capacities.append(_rate(fleet, backlog))
            for load in _LOADS:
                rate = capacities[-1] * load / 100
                given = list(events(int(rate * (_WARM_S + _LOAD_S)), first=first))
                first += len(given)
                taken = sorted(_paced(fleet, given, rate))
                parts = quantiles(taken, n=100)
                found[load].append([each * 1000 for each in (parts[49], parts[94], parts[98], taken[-1])])
    medians = [[median(each) for each in zip(*found[load], strict=True)] for load in _LOADS]
    series = dict(zip(("p50", "p95", "p99", "max"), map(list, zip(*medians, strict=True)), strict=True))
    return Curve(
        "latency", f"Event to read_committed action; 100 % is {median(capacities):,.0f} events a second", "load, %", "ms",
        [*_LOADS], series, {"p99 at half load, ms": series["p99"][1]}, logarithmic=False,
    )  # fmt: skip


def _until_quiet(fleet: Fleet, is_sent: Callable[[], bool]) -> Iterator[tuple[int, float]]:
    """Give actions as they come, the event's time and when it was read, until all is sent and none has come for a while."""
    last = time.time()
    began = last
    while not is_sent() or time.time() - last < (_QUIET_S if last > began else _GIVE_UP_S):
        messages, now = fleet.reader.consume(1_000, 0.005), time.time()
        for message in messages:
            last = now
            yield decode_action(message.value() or b"")["created_at"], now


def _paced(fleet: Fleet, given: list[EventRecord], rate: float) -> list[float]:
    """Send evenly; give the seconds that each action took to come, those of events of the warm-up left out."""
    sent: dict[int, float] = {}
    ready = list(zip(given, encoded(given), strict=True))
    producing = threading.Thread(target=_produce, args=(fleet, ready, rate, sent))
    measured_from = time.time() + _WARM_S
    producing.start()
    came = list(_until_quiet(fleet, lambda: not producing.is_alive()))
    producing.join()
    return [now - sent[at] for at, now in came if sent.get(at, 0.0) > measured_from]


def _produce(fleet: Fleet, ready: list[tuple[EventRecord, dict[str, object]]], rate: float, sent: dict[int, float]) -> None:
    began, done = time.time(), 0
    while done < len(ready):
        due = min(len(ready), int((time.time() - began) * rate))
        for record, message in ready[done:due]:
            sent[record.at] = time.time()
            fleet.producer.produce(fleet.job.topic, **message)
        done = due
        fleet.producer.poll(0)
        time.sleep(_TICK_S)
    assert fleet.producer.flush(30) == 0


def start_up(broker: Broker, repeats: int) -> Curve:
    """A worker from its start to readiness, stores empty; its memory then and after 100,000 events; its CPU while idle."""
    seconds, before, after, idle = [], [], [], []
    for _ in range(repeats):
        with _fleet(broker) as fleet:
            seconds.append(fleet.start(1))
            before.append(_memory_mb(fleet.workers[0]))
            _rate(fleet, list(events(_BACKLOG)))
            after.append(_memory_mb(fleet.workers[0]))
            time.sleep(2)
            cpu = fleet.cpu_seconds()
            time.sleep(_IDLE_S)
            idle.append((fleet.cpu_seconds() - cpu) / _IDLE_S * 100)
    return Curve(
        "start_up", "One worker: from start to readiness", "start", "seconds", [*range(1, repeats + 1)], {"seconds": seconds},
        {
            "seconds to readiness": median(seconds), "memory when ready, MB": median(before),
            "memory after 100,000 events, MB": median(after), "CPU while idle, %": median(idle),
        },
        logarithmic=False, is_drawn=False,
    )  # fmt: skip


def _memory_mb(worker: Process) -> float:
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def restoring(broker: Broker, repeats: int) -> Curve:
    """How long empty stores take to fill from the changelog: 20 thousand to 600 thousand documents, see `benchmarks restore`."""
    counts, seconds = (20_000, 100_000, 600_000), []
    for count in counts:
        figures = restore.run(broker, repeats, lambda _: None, count)
        seconds.append(count * 1.1 / figures["documents_per_s"])
    return Curve(
        "restoring", "Restore of empty stores, 4 partitions, from a broker on the same machine", "documents, log", "seconds",
        [*counts], {"seconds": seconds}, {"600,000 to 100,000": seconds[2] / seconds[1]},
    )  # fmt: skip


CURVES: dict[str, Callable[[Broker, int], Curve]] = {
    "restoring": restoring,
    "latency": latency,
    "workers": workers,
    "start_up": start_up,
}

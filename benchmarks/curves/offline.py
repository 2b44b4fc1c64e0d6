"""Curves of the fold without Kafka: CPU an event against journeys, customers, partitions, instances a customer, block size.

All points of a curve take turns, 4,000 records each, so that whatever else the machine does hits them alike. A point is the lower
quartile of its turns; ratios are medians over turns of one point's cost to another's in the same turn. The first turns warm up.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import process_time

from confluent_kafka import Message
from msgspec import Struct

from benchmarks import fold
from benchmarks.collector import calm
from benchmarks.curves.curve import Curve
from benchmarks.w1.workload import CUSTOMERS, HERE, PARTITIONS, SCHEMAS, EventRecord, events
from orchestrator.stream.store import Position
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace

RECORDS = 100_000
_TURN = 4_000  # records
_WARM = 0.2  # of the turns
_BATCH = 50_000  # documents written at once

# Hears of a type that nobody sends.
_IGNORES = """\
journey: other-{n}
version: 1
owner: benchmarks
purpose: service
entry: {{on: never.sent, reentry: always}}
start: s
states:
  s: {{steps: [{{id: stop, end: {{outcome: over}}}}]}}
"""
# Asks a condition of each login, which never holds.
_LISTENS = _IGNORES.replace("on: never.sent", "on: auth.login, when: event.amount > {n}000.0")
# Is entered at sign-up and waits for a type that nobody sends.
_WAITS = """\
journey: other-{n}
version: 1
owner: benchmarks
purpose: service
entry: {{on: signup.created, reentry: never}}
start: s
states:
  s:
    on: [{{event: never.sent, go: over}}]
  over: {{final: true, outcome: over}}
"""


class Point(Struct):
    """One setting of a curve: a topology, stores, and events in turns of cycles."""

    ours: fold.Ours
    turns: list[list[list[list[Message]]]]
    costs: list[float] = []  # CPU seconds of each turn


class Bench:
    """Builds points in a folder that is gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def point(
        self,
        given: Sequence[EventRecord],
        *,
        others: Iterable[str] = (),
        partitions: int = PARTITIONS,
        cycle: int = _TURN,
        stores: Path | None = None,
    ) -> Point:
        """Make one. `others` are further journeys, `cycle` how many records are folded before each write."""
        self._made += 1
        folder = self._folder / str(self._made)
        topologies, known = folder / "topologies", folder / "schemas"
        shutil.copytree(HERE / "topologies", topologies)
        shutil.copytree(SCHEMAS, known)
        sent = (known / "events/page.viewed.avsc").read_text(encoding="utf-8")
        (known / "events/never.sent.avsc").write_text(
            sent.replace("page.viewed", "never.sent").replace("PageViewed", "NeverSent"), encoding="utf-8"
        )
        policy = topologies / "policy.yaml"
        policy.write_text(policy.read_text(encoding="utf-8") + "\nlimits: {instances_per_customer: 100}\n", encoding="utf-8")
        streams = (topologies / "streams.yaml").read_text(encoding="utf-8").replace("partitions: 4", f"partitions: {partitions}")
        streams = streams.replace("page.viewed]", "page.viewed, never.sent]")
        (topologies / "streams.yaml").write_text(streams, encoding="utf-8")
        for number, text in enumerate(others, 1):
            (topologies / f"journeys/other-{number}.yaml").write_text(text.format(n=number), encoding="utf-8")
        topology = Workspace.load(topologies, known).topology
        ours = fold.Ours(topology, stores or folder / "state", load_schemas(known))
        return Point(ours, turns_of(given, partitions, cycle))


def turns_of(given: Sequence[EventRecord], partitions: int, cycle: int) -> list[list[list[list[Message]]]]:
    """Cut events into turns, each of them into cycles, each of them into a block a partition."""
    made = [iter(each) for each in fold.messages_of(given, partitions)]
    where = [partition_for(record.customer.encode(), partitions) for record in given]
    found = []
    for first in range(0, len(given), _TURN):
        cycles = []
        for begin in range(first, min(first + _TURN, len(given)), cycle):
            blocks: list[list[Message]] = [[] for _ in range(partitions)]
            for number in where[begin : min(begin + cycle, first + _TURN)]:
                blocks[number].append(next(made[number]))
            cycles.append(blocks)
        found.append(cycles)
    return found


def measure(points: Mapping[float, Point]) -> None:
    """Let the points take turns."""
    with calm():
        for number in range(min(len(point.turns) for point in points.values())):
            for point in points.values():
                began = process_time()
                for blocks in point.turns[number]:
                    point.ours.cycle(blocks)
                point.costs.append(process_time() - began)
    for point in points.values():
        point.ours.close()


def us(point: Point) -> float:
    """Give microseconds of CPU an event."""
    return quantiles(_warm(point), n=4)[0] / _TURN * 1e6


def ratio(one: Point, other: Point) -> float:
    """Give how many times the other's cost the one's is."""
    return median(a / b for a, b in zip(_warm(one), _warm(other), strict=True))


def _warm(point: Point) -> list[float]:
    return point.costs[int(len(point.costs) * _WARM) :]


def _measured(name: str, title: str, x_label: str, points: Mapping[float, Point], *compared: tuple[float, float]) -> Curve:
    """Let the points take turns; give their curve, and the ratios of those that are compared."""
    measure(points)
    return Curve(
        name, title, x_label, "us an event", [*points], {"fold": [us(point) for point in points.values()]},
        {f"{one:,} to {other:,}": ratio(points[one], points[other]) for one, other in compared},
    )  # fmt: skip


def journeys(folder: Path) -> Curve:
    """Journeys loaded: 1 to 200, the further ones deaf to all events, or asking a condition of each login."""
    bench, counts, given = Bench(folder), (1, 5, 20, 50, 200), list(events(RECORDS))
    found = {
        name: {count: bench.point(given, others=[text] * (count - 1)) for count in counts}
        for name, text in {"hear none of the events": _IGNORES, "ask a condition of 40 % of them": _LISTENS}.items()
    }
    measure(dict(enumerate(point for points in found.values() for point in points.values())))
    return Curve(
        "journeys", "CPU an event against journeys loaded", "journeys loaded, log", "us an event", [*counts],
        {name: [us(point) for point in points.values()] for name, points in found.items()},
        {f"200 to 5, {name}": ratio(points[200], points[5]) for name, points in found.items()},
    )  # fmt: skip


def instances(folder: Path) -> Curve:
    """Instances that a customer has at once: 1 to 50, all but one of them waiting for something else."""
    bench, counts, customers = Bench(folder), (1, 5, 20, 50), 1_000
    first = [
        EventRecord("signup.created", f"c{number}", f"first-{number}", 1_767_225_600_000 + number) for number in range(customers)
    ]
    given = first + list(events(RECORDS // 2, customers, customers))
    points = {count: bench.point(given, others=[_WAITS] * (count - 1)) for count in counts}
    return _measured("instances", "CPU an event against instances a customer", "instances a customer, log", points, (50, 1))


def partitions(folder: Path) -> Curve:
    """Partitions of one worker: 1 to 32, the same events in each."""
    bench, counts, given = Bench(folder), (1, 2, 4, 8, 16, 32), list(events(RECORDS))
    points = {count: bench.point(given, partitions=count) for count in counts}
    return _measured(
        "partitions", "CPU an event against partitions, 4,000 records a cycle", "partitions, log", points, (32, 1)
    )  # fmt: skip


def blocks(folder: Path) -> Curve:
    """Records a cycle: 100 to 4,000, in 4 partitions."""
    bench, sizes, given = Bench(folder), (100, 250, 500, 1_000, 2_000, 4_000), list(events(RECORDS))
    points = {size: bench.point(given, cycle=size) for size in sizes}
    return _measured("blocks", "CPU an event against records a cycle", "records a cycle, log", points, (100, 4_000))


def customers(folder: Path) -> Curve:
    """Customers with a document on disk: 20 thousand, 200 thousand, 2 million; events are of customers drawn at random."""
    bench, counts = Bench(folder), (20_000, 200_000, 2_000_000)
    documents = _documents(folder / "sample")
    points = {}
    for count in counts:
        stores = folder / f"stores-{count}"
        _fill(stores, count, documents)
        points[count] = bench.point(list(events(RECORDS, count, 10_000_000)), stores=stores)
    return _measured(
        "customers", "CPU an event against customers with state on disk", "customers, log", points,
        (200_000, 20_000), (2_000_000, 20_000),
    )  # fmt: skip


def _documents(folder: Path) -> list[bytes]:
    """Give what customers look like after some twenty events each."""
    point = Bench(folder).point(list(events(CUSTOMERS, 1_000)), stores=folder / "state")
    for turn in point.turns:
        for blocks in turn:
            point.ours.cycle(blocks)
    point.ours.close()
    found = []
    for number in range(PARTITIONS):
        store = fold.store_of(folder / "state", number)
        found += [stored for _, stored in store.documents()]
        store.close()
    return found


def _fill(folder: Path, count: int, documents: list[bytes]) -> None:
    """Give each customer one of the documents, in stores that are then in order."""
    dice, shares = random.Random(count), [dict[bytes, bytes | None]() for _ in range(PARTITIONS)]
    stores = [fold.store_of(folder, number) for number in range(PARTITIONS)]
    for number in range(count):
        name = f"c{number}".encode()
        shares[partition_for(name, PARTITIONS)][name] = dice.choice(documents)
    for store, share in zip(stores, shares, strict=True):
        names = list(share)
        with store.bulk():
            for first in range(0, len(names), _BATCH):
                store.write_restored({name: share[name] for name in names[first : first + _BATCH]}, Position())
        store._db.compact_range(None, None)  # RocksDB does it in its own time, in threads that would be counted
        store.close()


CURVES: dict[str, Callable[[Path], Curve]] = {
    "journeys": journeys, "customers": customers, "partitions": partitions, "instances": instances, "blocks": blocks,
}  # fmt: skip


def run(name: str) -> Curve:
    """Measure one."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-curve-") as folder:
        return CURVES[name](Path(folder))

"""W1: the same small job done by ours and by peers, on one topic of a real Kafka, each result held against one oracle.

The topic has 400,000 records of five types in 4 partitions, for 20,000 customers drawn at random; 1 % repeat the id of their
customer's previous record. The job: leave page views alone; of the rest drop an id that is among the customer's last 16;
follow the customer through four states, by sign-up, login, failed and settled payment; count its changes of state, and send a
message with that count at each.

Throughput is taken from the first action to the last as a read_committed reader sees them, so start-up is left out, and a result
counts only if its actions are the oracle's, customer by customer and in order. Contestants run in turns; slow Faust has the
first twentieth of the records. Ours, Kafka Streams and Quix share the partitions among as many processes or threads as they are
told; the raw loop, which restores nothing, and Faust are one process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from msgspec import Struct

from benchmarks.w1 import faust_table, kafka_streams, ours, quix, raw_loop
from benchmarks.w1.contestant import CannotRun, Contestant, Job
from benchmarks.w1.oracle import digest, expected
from benchmarks.w1.workload import PARTITIONS, EventRecord, encoded, events
from tests.brokers import Broker, KafkaUnavailable, fill, unique

NAME = "w1"
NEEDS_BROKER = True
RECORDS = 400_000
CONTESTANTS: tuple[Contestant, ...] = (
    ours, raw_loop, kafka_streams, quix, faust_table.at_least_once, faust_table.exactly_once,
)  # fmt: skip

_GIVE_UP_S = 300.0


class Run(Struct, frozen=True):
    """One run of a contestant: how long from its first action to its last, and the CPU it took meanwhile, in seconds."""

    records: int
    seconds: float
    cpu_s: float

    @property
    def events_per_s(self) -> float:
        """Throughput."""
        return self.records / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU an event, in microseconds."""
        return self.cpu_s / self.records * 1e6


class Feed(Struct, frozen=True):
    """A topic and what is in it."""

    topic: str
    given: list[EventRecord]


def run(
    broker: Broker, repeats: int, say: Callable[[str], None], records: int = RECORDS, only: Sequence[str] = (), processes: int = 1
) -> dict[str, float]:
    """Measure. Gives, for each contestant, events a second and microseconds of CPU an event, and ours as a ratio to its speed.

    `only` names the contestants that run beside ours; none for all. Those that can have so many `processes`, or threads.
    """
    contestants = [each for each in those_here(say) if not only or each is ours or each.NAME in only]
    feeds = {one_in: _fed(broker, records // one_in) for one_in in {each.ONE_IN for each in contestants}}
    found: dict[str, list[Run]] = {}
    # A new broker compiles its own code at first, on the cores that whoever comes first needs: this run is not counted.
    _once(broker, raw_loop, feeds[raw_loop.ONE_IN], processes)
    for number in range(repeats):
        for contestant in contestants:
            result = _once(broker, contestant, feeds[contestant.ONE_IN], processes)
            found.setdefault(contestant.NAME, []).append(result)
            say(
                f"  {number + 1}/{repeats} {contestant.NAME:13} {result.events_per_s:9,.0f} events/s"
                f"  {result.cpu_us:6.1f} us CPU an event"
            )
    figures: dict[str, float] = {}
    for name, runs in found.items():
        figures[f"{name}_events_per_s"] = median(each.events_per_s for each in runs)
        figures[f"{name}_cpu_us"] = median(each.cpu_us for each in runs)
    for name, runs in found.items():
        pairs = zip(found[ours.NAME], runs, strict=True)
        figures[f"ours_to_{name}"] = median(own.events_per_s / other.events_per_s for own, other in pairs)
    return {name: value for name, value in figures.items() if name != f"ours_to_{ours.NAME}"}


def those_here(say: Callable[[str], None]) -> tuple[Contestant, ...]:
    """Leave out those that cannot be had here, for want of Java, Maven or a package registry, and say so."""
    found = []
    for contestant in CONTESTANTS:
        try:
            contestant.prepare()
            found.append(contestant)
        except (CannotRun, KafkaUnavailable) as error:
            say(f"  {contestant.NAME} is left out: {error}")
    return tuple(found)


def _fed(broker: Broker, records: int) -> Feed:
    feed = Feed(unique("w1-events"), list(events(records)))
    broker.create_topic(feed.topic, PARTITIONS, retention_ms="-1")
    fill(broker.bootstrap, feed.topic, encoded(feed.given))
    return feed


def _once(broker: Broker, contestant: Contestant, feed: Feed, processes: int) -> Run:
    wanted = expected(feed.given)
    with tempfile.TemporaryDirectory(prefix=f"w1-{contestant.NAME}-") as folder:
        job = Job(broker, feed.topic, unique("w1"), Path(folder), processes)
        process = contestant.start(job)
        try:
            seconds, cpu_s = _watch(job, len(wanted), process.cpu_seconds)
            process.stop()
        finally:
            process.end()
        told = contestant.actions(job)
    assert digest(told) == digest(wanted), f"{contestant.NAME} has other actions than the oracle: {len(told)}, not {len(wanted)}"
    return Run(len(feed.given), seconds, cpu_s)


def _watch(job: Job, count: int, cpu_seconds: Callable[[], float]) -> tuple[float, float]:
    """Read the actions as they are committed; give the seconds from the first to the last, and of CPU between."""
    client = {"bootstrap.servers": job.broker.bootstrap, "group.id": unique("watch"), "isolation.level": "read_committed"}
    consumer = Consumer({**client, "enable.auto.commit": False, "fetch.queue.backoff.ms": 5})
    consumer.assign([TopicPartition(job.actions_topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    began, cpu, seen, deadline = 0.0, 0.0, 0, time.monotonic() + _GIVE_UP_S
    while seen < count:
        assert time.monotonic() < deadline, f"{seen} of {count} actions in {_GIVE_UP_S:.0f} s"
        arrived = [message for message in consumer.consume(5000, 0.1) if message.error() is None]
        if not began:
            cpu = cpu_seconds()  # which fails if the process has ended
            began = time.monotonic() if arrived else 0.0
        seen += len(arrived)
    seconds, cpu = time.monotonic() - began, cpu_seconds() - cpu
    consumer.close()
    return seconds, cpu

"""W1: the same small job done by ours and by peers, on one topic of a real Kafka, each result held against one oracle.

The topic has 400,000 records of five types in 4 partitions, for 20,000 customers drawn at random; 1 % repeat the id of their
customer's previous record. The job: leave page views alone; of the rest drop an id that is among the customer's last 16;
follow the customer through four states, by sign-up, login, failed and settled payment; count its changes of state, and send a
message with that count at each.

Throughput is taken from the first action to the last as a read_committed reader sees them, so start-up is left out, and a result
counts only if its actions are the oracle's, customer by customer and in order. Contestants run in turns.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from msgspec import Struct

from benchmarks.w1 import kafka_streams, ours, raw_loop
from benchmarks.w1.contestant import Contestant, Job
from benchmarks.w1.oracle import digest, expected
from benchmarks.w1.workload import PARTITIONS, EventRecord, encoded, events
from tests.brokers import Broker, KafkaUnavailable, fill, unique

NAME = "w1"
NEEDS_BROKER = True
RECORDS = 400_000
CONTESTANTS: tuple[Contestant, ...] = (ours, raw_loop, kafka_streams)

_GIVE_UP_S = 300.0


class Run(Struct, frozen=True):
    """One run of a contestant: how long from its first action to its last, and the CPU it took meanwhile, in seconds."""

    seconds: float
    cpu_s: float


def run(broker: Broker, repeats: int, say: Callable[[str], None], records: int = RECORDS) -> dict[str, float]:
    """Measure. Gives, for each contestant, events a second and microseconds of CPU an event, and its speed as a ratio to ours."""
    contestants = those_here(say)
    given = list(events(records))
    topic = unique("w1-events")
    broker.create_topic(topic, PARTITIONS, retention_ms="-1")
    fill(broker.bootstrap, topic, encoded(given))
    found: dict[str, list[Run]] = {}
    for number in range(repeats):
        for contestant in contestants:
            result = _once(broker, contestant, topic, given)
            found.setdefault(contestant.NAME, []).append(result)
            say(
                f"  {number + 1}/{repeats} {contestant.NAME:13} {records / result.seconds:9,.0f} events/s"
                f"  {result.cpu_s / records * 1e6:6.1f} us CPU an event"
            )
    figures: dict[str, float] = {}
    for name, runs in found.items():
        figures[f"{name}_events_per_s"] = records / median(each.seconds for each in runs)
        figures[f"{name}_cpu_us"] = median(each.cpu_s for each in runs) / records * 1e6
    for name, runs in found.items():
        pairs = zip(found[ours.NAME], runs, strict=True)
        figures[f"ours_to_{name}"] = median(other.seconds / own.seconds for own, other in pairs)
    return {name: value for name, value in figures.items() if name != f"ours_to_{ours.NAME}"}


def those_here(say: Callable[[str], None]) -> tuple[Contestant, ...]:
    """Leave Kafka Streams out where Java or Maven is missing, and say so."""
    try:
        kafka_streams.class_path()
    except KafkaUnavailable as error:
        say(f"  {kafka_streams.NAME} is left out: {error}")
        return tuple(each for each in CONTESTANTS if each is not kafka_streams)
    return CONTESTANTS


def _once(broker: Broker, contestant: Contestant, topic: str, given: list[EventRecord]) -> Run:
    wanted = expected(given)
    with tempfile.TemporaryDirectory(prefix=f"w1-{contestant.NAME}-") as folder:
        job = Job(broker, topic, unique("w1"), Path(folder))
        process = contestant.start(job)
        try:
            seconds, cpu_s = _watch(job, len(wanted), process.cpu_seconds)
            process.stop()
        finally:
            process.end()
        told = contestant.actions(job)
    assert digest(told) == digest(wanted), f"{contestant.NAME} has other actions than the oracle: {len(told)}, not {len(wanted)}"
    return Run(seconds, cpu_s)


def _watch(job: Job, count: int, cpu_seconds: Callable[[], float]) -> tuple[float, float]:
    """Read the actions as they are committed; give the seconds from the first to the last, and of CPU between."""
    client = {"bootstrap.servers": job.broker.bootstrap, "group.id": unique("watch"), "isolation.level": "read_committed"}
    consumer = Consumer({**client, "enable.auto.commit": False, "fetch.queue.backoff.ms": 5})
    consumer.assign([TopicPartition(job.actions_topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    began, cpu, seen, deadline = 0.0, 0.0, 0, time.monotonic() + _GIVE_UP_S
    while seen < count:
        assert time.monotonic() < deadline, f"{seen} of {count} actions in {_GIVE_UP_S:.0f} s"
        arrived = [message for message in consumer.consume(5000, 0.1) if message.error() is None]
        if arrived and not began:
            began, cpu = time.monotonic(), cpu_seconds()
        seen += len(arrived)
    seconds, cpu = time.monotonic() - began, cpu_seconds() - cpu
    consumer.close()
    return seconds, cpu

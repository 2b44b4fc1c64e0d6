"""A short run of one partition as evidence in memory: real cycles of the worker's own parts over logs that are lists.

The runtime is what is under judgement here, so this room imports it; the checker's own rooms do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Message

from orchestrator.operate.demo.broken import broken
from orchestrator.operate.demo.cohort import cohort
from orchestrator.operate.demo.feed import interleaved
from orchestrator.operate.produce import Encoder
from orchestrator.stream.producing import Produce
from orchestrator.wire.gate import Gate
from orchestrator.wire.lines import EventLine
from tests.checker.evidence import Evidence, Log, Topics
from tests.checker.programs import Program, Programs
from tests.checker.stores import Store, read_store
from tests.stream.bench import ENGINE, NUMBER, SCHEMAS, STREAMS, TOPICS, TOPOLOGY, Bench, block

APP_TOPICS: Final = Topics.of(TOPOLOGY)
PROGRAMS: Final = Programs(
    TOPOLOGY,
    {
        "digest": Program(
            TOPOLOGY,
            ENGINE,
            Gate(SCHEMAS, STREAMS, ENGINE.hears, reads=ENGINE.reads),
            {n: c.topic for n, c in TOPOLOGY.policy.channels.items()},
        )
    },
)
CUSTOMERS: Final = 100
_HOUR: Final = 3_600_000
_BLOCK: Final = 15
_TURNS_A_CYCLE: Final = 3
_SWEEP: Final = 25


class Recorder:
    """A bench whose cycles go into logs. `hurry_ms` is how far its clock is ahead of the brokers'."""

    def __init__(self, folder: Path, hurry_ms: int = 0) -> None:
        self.evidence = Evidence({(topic, NUMBER): Log() for topic in (*TOPICS, *APP_TOPICS.outputs)})
        self.bench = Bench(folder)
        self.bench.store.position.sources = dict.fromkeys(TOPICS, 0)  # as an opening settles it
        self.bench.partition.dropped()
        self._folder = folder
        self._hurry_ms = hurry_ms
        self._source()

    def _source(self) -> None:
        """Append lives, cut off in the middle, and broken payloads to the source logs, in time order."""
        encoder = Encoder(SCHEMAS, STREAMS)
        lives = cohort(1, CUSTOMERS)
        for each in interleaved(lives[: len(lives) // 2], broken(lambda line: encoder.encode(line)[1])):
            if isinstance(each, EventLine):
                topic, value = encoder.encode(each)
                self._append(topic, each.customer.encode(), value, None, each.at)
                self.bench.now = each.at + _HOUR  # soon after the last one: many timers are still to come
            else:
                self._append(STREAMS.events[0].topic, each.key, each.value, list(each.headers), each.at)

    def _append(self, topic: str, key: bytes | None, value: bytes | None, headers: Any, at: int) -> None:
        log = self.evidence.logs[topic, NUMBER]
        place: Any = {"topic": topic, "partition": NUMBER, "offset": log.high}
        message: Any = Message(**place, key=key, value=value, headers=headers or None, timestamp=(1, at))
        log.records.append(message)
        log.high += 1
        log.stable = log.high

    def run(self) -> None:
        """Handle everything, in blocks, a few a cycle, with sweeps of timers between them; then fire what the wall clock lets."""
        for turn, part in enumerate(self.blocks(), 1):
            self.bench.partition.handle(part, self.bench.outbox)
            self.bench.partition.fire(_SWEEP, self.bench.outbox)
            if turn % _TURNS_A_CYCLE == 0:
                self.commit()
        self.catch_up()

    def blocks(self) -> Iterator[Any]:
        for topic in TOPICS:
            records: Any = self.evidence.of(topic, NUMBER).records
            for start in range(0, len(records), _BLOCK):
                yield block(*records[start : start + _BLOCK], topic=topic)

    def catch_up(self) -> None:
        """Stand at the end of all sources and fire until nothing is due."""
        self.bench.caught_up()
        while self.bench.partition.fire(_SWEEP, self.bench.outbox) or self.bench.partition.has_work:
            self.commit()

    def commit(self) -> None:
        """End a cycle as a transaction does: its records, then one marker in each log that it wrote to; then the store."""
        records = self.bench.say()
        self._land(records)
        changelog = self.evidence.logs[STREAMS.changelog, NUMBER]
        self.bench.partition.written(changelog.high - 1 if any(r.topic == STREAMS.changelog for r in records) else None)
        partition = self.bench.partition
        for topic in TOPICS:
            self.evidence.committed[topic, NUMBER] = (partition.next_offsets[topic], partition.offset_metadata)

    def _land(self, records: list[Produce]) -> None:
        for each in records:
            self._append(each.topic, each.key, each.value, each.headers, each.at or self.bench.now - self._hurry_ms)
        for topic in {each.topic for each in records}:
            log = self.evidence.logs[topic, NUMBER]
            log.high += 1
            log.stable = log.high

    def close(self) -> Store:
        """Close the store and read it as the checker does."""
        self.bench.close()
        store = read_store(self._folder / "0")
        assert store is not None
        return store


def copied(evidence: Evidence) -> Evidence:
    """Give evidence whose lists may be changed."""
    logs = {place: Log(list(log.records), log.low, log.stable, log.high) for place, log in evidence.logs.items()}
    return Evidence(logs, dict(evidence.committed), evidence.group_state)


def altered(message: Any, **changes: Any) -> Message:
    """Give a record with some of its parts exchanged."""
    parts = {name: getattr(message, name)() for name in ("topic", "partition", "offset", "key", "value", "headers", "timestamp")}
    return Message(**{**parts, **changes})

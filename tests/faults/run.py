"""A run: stretches of rounds on topics of their own; after each the faults end, the lag goes to 0, and the checker judges."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource  # type: ignore[attr-defined]
from msgspec import Struct, field

from orchestrator import kafka
from orchestrator.operate.demo.feed import SETTINGS as FEED_SETTINGS
from tests.brokers import Broker
from tests.checker import LiveReader, check
from tests.checker.evidence import Topics
from tests.contract.stage import Stage
from tests.faults.feed import RATE, Feed
from tests.faults.fleet import SETTINGS as WORKER_SETTINGS
from tests.faults.fleet import Fleet
from tests.faults.injection import Injector
from tests.faults.line import Line
from tests.faults.network import IMPATIENT
from tests.faults.schedule import Fault

JOURNEYS: Final = ("winback", "onboarding", "payment-recovery")
QUIET_S: Final = 1.5
SETTLE_LIMIT_S: Final = 240.0
PROGRESS_LIMIT_S: Final = 90.0
ASK_TIMEOUT_S: Final = 30.0

Say = Callable[[str], None]


class Verdict(Struct):
    """What came of a stretch."""

    rounds: int
    seconds: float
    sent: int  # source records
    differences: list[str]
    ends: Counter[str]  # why workers ended by themselves
    missed: int  # failpoints that nobody came by
    settled_s: float  # from the last fault until nothing was left to do
    summary: str = ""
    counts: dict[str, int] = field(default_factory=dict)


class Stretch:
    """Workers, a feed and a reader on topics of their own, and the faults that befall them. A context manager."""

    def __init__(
        self,
        kafka_at: Broker | Line,
        folder: Path,
        seed: int,
        workers: int = 3,
        settings: Iterable[str] | None = None,
        rate: int = RATE,
    ) -> None:
        """Take the brokers, or the line that workers reach them by, the workers' settings, and the feed's rate."""
        line = kafka_at if isinstance(kafka_at, Line) else None
        broker = line.broker if line else kafka_at
        self.stage = Stage(broker, folder, journeys=JOURNEYS, address=line.bootstrap if line else "")
        if settings is None:
            settings = (*WORKER_SETTINGS, *(IMPATIENT if line else ()))
        _let_big_records_in(self.stage)
        self._topics = Topics.of(self.stage.topology)
        self._partitions = self.stage.topology.streams.partitions
        self.reader = LiveReader(broker.bootstrap, self._topics.outputs, self._partitions)
        self.fleet = Fleet(self.stage, workers, settings)
        self.injector = Injector(self.fleet, broker, self.stage.topology, line)
        self.feed = Feed(self.stage, seed, rate=rate)
        self._gauge = kafka.consumer(
            {"bootstrap.servers": broker.bootstrap, "group.id": self.stage.topology.streams.app, "enable.auto.commit": False}
        )

    def __enter__(self) -> Stretch:
        self.reader.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.stage.close()
        self.reader.stop()
        self._gauge.close()

    def committed(self) -> int | None:
        """Give how many source records are committed, None while no broker tells."""
        try:
            return sum(max(part.offset, 0) for part in self._positions())
        except KafkaException:
            return None

    def wait_for_progress(self, records: int = 200) -> None:
        """Wait until so many more source records are committed."""
        deadline, goal = time.monotonic() + PROGRESS_LIMIT_S, 0
        while not goal or (self.committed() or 0) < goal:
            assert time.monotonic() < deadline, f"{records} records were not handled in {PROGRESS_LIMIT_S:.0f} s"
            time.sleep(0.1)
            before = None if goal else self.committed()
            goal = goal if before is None else before + records

    def lag(self) -> int | None:
        """Give how many source records are not committed, None while no broker tells."""
        try:
            ends = [self._gauge.get_watermark_offsets(part, timeout=ASK_TIMEOUT_S) for part in self._places()]
            positions = self._positions()
        except KafkaException:
            return None
        return sum(max(0, high - max(low, part.offset)) for (low, high), part in zip(ends, positions, strict=True))

    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic in self._topics.sources for number in range(self._partitions)]

    def _positions(self) -> list[TopicPartition]:
        found: list[TopicPartition] = self._gauge.committed(self._places(), timeout=ASK_TIMEOUT_S)
        return found

    def settle(self) -> float:
        """Let the work go on undisturbed until nothing is left to do and for a moment nothing is done; give the seconds."""
        started = moved = time.monotonic()
        before = None
        while time.monotonic() - moved < QUIET_S:
            time.sleep(0.25)
            self.fleet.tend()
            lag = self.lag()
            state = (lag, self._journal_ends() if lag == 0 else [])
            if state != before or lag != 0:
                before, moved = state, time.monotonic()
            if moved - started > SETTLE_LIMIT_S:
                self.fleet.troubles.append(f"{lag} records are not handled {SETTLE_LIMIT_S:.0f} s after the last fault")
                break
        return time.monotonic() - started

    def _journal_ends(self) -> list[int]:
        journal = self._topics.journal
        return [
            self._gauge.get_watermark_offsets(TopicPartition(journal, n), timeout=ASK_TIMEOUT_S)[1]
            for n in range(self._partitions)
        ]

    def end(self) -> Verdict:
        """Stop feeding, wait until all is done, stop the workers, and judge."""
        sent = self.feed.stop()
        settled_s = self.settle()
        self.fleet.end_all()
        report = check(
            self.stage.broker.bootstrap, self.stage.topologies, state_dirs=self.fleet.state_dirs, live=[self.reader]
        )  # fmt: skip
        differences = [*self.fleet.troubles, *self.reader.trouble, *report.differences]
        return Verdict(
            0, 0.0, sent, differences, self.fleet.ends, self.injector.missed, settled_s, report.summary, dict(report.counts)
        )  # fmt: skip


def _let_big_records_in(stage: Stage) -> None:
    """Some of the broken payloads are larger or later than a topic takes by default; the gate is what shall refuse them."""
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in _LENIENT.items()]
    resource = ConfigResource(ConfigResource.Type.TOPIC, stage.events, incremental_configs=entries)
    client = kafka.admin({"bootstrap.servers": stage.broker.bootstrap})
    client.incremental_alter_configs([resource])[resource].result(ASK_TIMEOUT_S)


_LENIENT: Final = {
    "max.message.bytes": str(FEED_SETTINGS["message.max.bytes"]),
    "message.timestamp.after.max.ms": str(1 << 60),
}


def run_stretch(
    kafka_at: Broker | Line, folder: Path, seed: int, workers: int, faults: Sequence[tuple[int, Fault]], say: Say
) -> Verdict:
    """Inject numbered faults one after the other, and judge."""
    started = time.monotonic()
    with Stretch(kafka_at, folder, seed, workers) as stretch:
        for number, fault in faults:
            began = time.monotonic()
            stretch.injector.inject(fault)
            took = time.monotonic() - began
            lag = stretch.lag()
            behind = "    no answer" if lag is None else f"  lag {lag:>6,}"
            say(f"round {number:>3}  {fault.told():<66} {took:5.1f} s  sent {stretch.feed.sent:>7,}{behind}")
            if stretch.fleet.troubles:
                break
        verdict = stretch.end()
    verdict.rounds, verdict.seconds = len(faults), time.monotonic() - started
    return verdict

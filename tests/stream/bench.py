"""One partition on a bench: the shipped win-back journey, real messages, a real store, a wall clock to set."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka import Message

from orchestrator.engine.engine import Engine
from orchestrator.language.model import Topology
from orchestrator.stream.blocks import Block
from orchestrator.stream.breaker import DEFAULT_BREAKER, BreakerLimits
from orchestrator.stream.outbox import Outbox
from orchestrator.stream.partition import Partition, Parts
from orchestrator.stream.producing import Produce
from orchestrator.stream.store import FORMAT, Identity, PartitionStore
from orchestrator.wire.gate import Gate
from orchestrator.wire.journal import JournalRecord, decode_journal
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace

SHIPPED = Path(__file__).parents[2] / "topologies"
EVENTS, OUTCOMES = "customer.events", "journeys.outcomes"
DAY = 86_400_000
START = 1_767_571_200_000  # 2026-01-05T00:00:00Z
NUMBER = 3

TOPOLOGY = Workspace.load(SHIPPED).topology
SCHEMAS = load_schemas()
ENGINE = Engine(TOPOLOGY)
STREAMS = TOPOLOGY.streams
TOPICS = STREAMS.sources


class Bench:
    """A partition, and what its cycles want to say."""

    def __init__(self, folder: Path, topology: Topology = TOPOLOGY, breaker: BreakerLimits = DEFAULT_BREAKER) -> None:
        """A bench on the same folder goes on where the one before was closed. Streams are the shipped ones."""
        self.now = START + 400 * DAY
        self._folder = folder
        self.deadly: set[tuple[str, int, int]] = set()
        engine = ENGINE if topology is TOPOLOGY else Engine(topology)
        gate = Gate(SCHEMAS, STREAMS, engine.hears, reads=engine.reads)
        self._parts = Parts(engine, gate, lambda: self.now, "w0", "digest", STREAMS.partitions, self.deadly, breaker)
        self.outbox = Outbox(topology, lambda: self.now)
        self.open()

    def open(self) -> None:
        self.store = PartitionStore(self._folder / "0", Identity(FORMAT, "cluster", "app", NUMBER))
        self.partition = Partition(NUMBER, self.store, TOPICS, self._parts)

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def close(self) -> None:
        self.store.close()

    def say(self) -> list[Produce]:
        """Close the cycle and give its records."""
        self.partition.close_cycle(self.outbox)
        return self.outbox.take()

    def commit(self) -> list[Produce]:
        """A whole cycle's end: produced, landed, written."""
        records = self.say()
        self.partition.written(None)
        return records

    def caught_up(self) -> None:
        for topic in TOPICS:
            self.partition.handle(block(topic=topic, at_end=True), self.outbox)


def purchase(customer: str, at: int, offset: int, event_id: str = "") -> Message:
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    value = schema.encode(customer, event_id or f"e{offset}", at, {"quantity": 1, "price": 9.5})
    return raw(value, customer.encode(), at, offset)


def raw(value: bytes | None, key: bytes | None, at: int, offset: int, topic: str = EVENTS) -> Message:
    return Message(topic=topic, partition=NUMBER, offset=offset, key=key, value=value, headers=None, timestamp=(1, at))


def block(*messages: Message, topic: str = EVENTS, at_end: bool = False) -> Block:
    made = Block(topic, NUMBER, 1)
    made.extend(messages)
    made.at_end = at_end
    return made


def to(records: list[Produce], topic: str) -> list[Produce]:
    return [record for record in records if record.topic == topic]


def journal_of(records: list[Produce]) -> JournalRecord:
    """The cycle's journal record, which must come after everything that it counts."""
    assert records[-1].topic == STREAMS.journal
    assert records[-1].value is not None
    return decode_journal(records[-1].value)


def as_documents_go(record: Produce) -> tuple[bool, bytes]:
    """Documents of a cycle are in no order; all else keeps its own."""
    is_document = record.topic == STREAMS.changelog
    return is_document, (record.key or b"") if is_document else b""

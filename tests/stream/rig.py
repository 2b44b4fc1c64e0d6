"""A worker without its loop: two partitions on a real broker, cycles by hand, and producers that lose answers."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from faust.types import TP

from orchestrator.errors import WorkerFenced
from orchestrator.stream.blocks import Block
from orchestrator.stream.commit import TransactionalProducer
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.worker import JourneyWorker
from orchestrator.wire.schemas import load_schemas
from tests.contract.stage import Stage
from tests.stream.bench import DAY, START, block

NO_ANSWER = KafkaException(KafkaError(KafkaError._TRANSPORT, "the answer was lost"))


class Lossy:
    """A producer that loses the answer to one commit, before the request went out or after the broker did it."""

    def __init__(self, producer: Any, *, after: bool) -> None:
        self._producer = producer
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, timeout: float) -> None:
        if self._after:
            self._producer.commit_transaction(timeout)
        raise NO_ANSWER


class Broken(Lossy):
    """A producer that a fatal error ended, told of as confluent-kafka does: with a SystemError that the exception has caused."""

    def __init__(self, producer: Any, call: str) -> None:
        super().__init__(producer, after=False)
        self._call = call

    def __getattribute__(self, name: str) -> Any:
        return _break if name == object.__getattribute__(self, "_call") else object.__getattribute__(self, name)


def _break(*_: Any, **__: Any) -> None:
    fatal = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence desynchronization", fatal=True)
    raise SystemError("a method returned a result with an exception set") from KafkaException(fatal)


class Stuck(Lossy):
    """A producer whose sending of offsets never comes back, as librdkafka's when the group's coordinator was struck off."""

    def __init__(self, producer: Any) -> None:
        super().__init__(producer, after=False)
        self.let_go = Event()

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self.let_go.wait()


class FakeApp:
    """The little that a worker asks of its app while it commits."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._client = Consumer({**config, "group.id": config["group.id"]})
        self.read_from: list[dict[TP, int]] = []
        self.fenced: list[WorkerFenced] = []
        self.consumer = SimpleNamespace(
            group_metadata=self._client.consumer_group_metadata(), epoch=0, lost_sight=False, read_from=self.reads, handled=print,
            join_anew=self.fenced.append, left_group=lambda: None, looked=lambda *_: None,
        )  # fmt: skip
        self.should_stop = False

    def reads(self, offsets: dict[TP, int]) -> None:
        self.read_from.append(dict(offsets))

    def close(self) -> None:
        self._client.close()


class Rig:
    """A worker without its loop: two partitions opened on a real broker, cycles by hand."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        kafka = {"bootstrap.servers": stage.broker.bootstrap}
        streams = stage.topology.streams
        self.app = FakeApp({**kafka, "group.id": streams.app})
        self.identity = WorkerIdentity(folder, "w0")
        self.worker = JourneyWorker(self.app, WorkerConfig(stage.topology, load_schemas(), "p", kafka, self.identity, "c"))
        self.worker._may_open = True
        self.worker._committer.producer.open()
        self.partitions = self.worker._restore([0, 1])
        self.worker._partitions = self.partitions

    def blocks(self, offset: int) -> list[Block]:
        """One purchase on each of the partitions."""
        schema = load_schemas().get("purchase.made")
        assert schema is not None
        found = []
        for number in self.partitions:
            customer, at = f"c{number}", START + offset * DAY
            value = schema.encode(customer, f"e{number}-{offset}", at, {"quantity": 1, "price": 9.5})
            record = Message(
                topic=self.stage.events, partition=number, offset=offset, key=customer.encode(), value=value, timestamp=(1, at)
            )
            one = block(record, topic=self.stage.events)
            one.partition = number
            found.append(one)
        return found

    def handle(self, offset: int) -> None:
        """Handle one purchase on each of the partitions."""
        for one in self.blocks(offset):
            self.partitions[one.partition].handle(one, self.worker._outbox)

    async def commit(self) -> None:
        self.worker._begin_commit(list(self.partitions.values()), 0.0)
        await self.worker._settle()

    def lose_the_answer(self, *, after: bool) -> None:
        self.spoil(Lossy(self.worker._committer.producer._producer, after=after))

    def spoil(self, client: Any) -> None:
        """Let the next cycle go through this client, however slow the one before was."""
        self.worker._committer.producer._producer, self.worker._committer.producer._is_worn = client, False

    @property
    def cycles(self) -> list[int]:
        return [partition.store.position.cycle for partition in self.partitions.values()]

    def close(self) -> None:
        for partition in self.worker._partitions.values():
            partition.store.close()
        self.app.close()
        self.identity.release()
        self.worker._committer.close()
        self.worker._restore_thread.shutdown()


def producer_of(stage: Stage) -> TransactionalProducer:
    """Give an open producer of the stage's app."""
    config = {"bootstrap.servers": stage.broker.bootstrap, "transactional.id": stage.topology.streams.app}
    made = TransactionalProducer(config, stage.topology.streams.changelog)
    made.open()
    return made


def group_of(stage: Stage) -> Any:
    """Give what a transaction says of the stage's group; nobody is a member."""
    client = Consumer({"bootstrap.servers": stage.broker.bootstrap, "group.id": stage.topology.streams.app})
    try:
        return client.consumer_group_metadata()
    finally:
        client.close()

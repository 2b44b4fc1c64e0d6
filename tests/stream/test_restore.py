"""Opening a partition against a broker: whatever the local store is, afterwards it is what the changelog says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from orchestrator.engine.engine import Customer, next_due
from orchestrator.engine.record import Record
from orchestrator.errors import PositionLost
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.positions import metadata_of
from orchestrator.stream.restore import Restorer, Source
from orchestrator.stream.store import FORMAT, Identity, PartitionStore
from orchestrator.wire.journal import JournalRecord, chain_of, encode_journal
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.stream.bench import DAY, ENGINE, START

WEEK_MS = 7 * DAY


def document(customer: str, at: int) -> bytes:
    """A customer's document, waiting for 60 days from `at`."""
    made = Customer(customer, None)
    ENGINE.handle(made, Record("purchase.made", customer, "e", at, {"quantity": 1, "price": 1.0}), at)
    assert made.stored is not None
    return made.stored


class Log:
    """A partition's changelog, journal and source as an earlier worker would leave them, in transactions of its own."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.streams = stage.topology.streams
        self.cycle = self.chain = self.handled = 0
        self.documents: dict[bytes, bytes] = {}
        client = {"bootstrap.servers": stage.broker.bootstrap, "compression.type": "lz4"}
        self._producer = Producer({**client, "transactional.id": self.streams.app})
        self._producer.init_transactions(30)
        self.source = Source(
            "cluster", self.streams.app, [stage.events], self.streams.changelog, self.streams.journal,
            {"bootstrap.servers": stage.broker.bootstrap, "group.id": self.streams.app}, WEEK_MS,
        )  # fmt: skip

    def cycle_with(self, documents: Mapping[bytes, bytes | None]) -> None:
        """One committed cycle that handled one record and left these documents."""
        self._producer.begin_transaction()
        self.cycle += 1
        self._producer.produce(self.stage.events, b"?", b"c", 0)
        self.handled += 1
        for customer, stored in documents.items():
            self._producer.produce(self.streams.changelog, stored, customer, 0)
            self.documents.pop(customer, None)
            if stored is not None:
                self.documents[customer] = stored
        sources = {self.stage.events: self._end_of_source()}
        value = encode_journal(JournalRecord(self.cycle, "w", "p", 0, START, [], sources, previous=self.chain))
        self.chain = chain_of(value)
        self._producer.produce(self.streams.journal, value, b"0", 0)
        self._producer.commit_transaction(30)

    def _end_of_source(self) -> int:
        """A record and the marker of its transaction take an offset each; the embedded broker writes no markers."""
        return self.handled if self.stage.broker.kind == "embedded" else self.handled * 2

    def abort_with(self, documents: Mapping[bytes, bytes | None]) -> None:
        self._producer.begin_transaction()
        for customer, stored in documents.items():
            self._producer.produce(self.streams.changelog, stored, customer, 0)
        self._producer.flush(10)
        self._producer.abort_transaction(30)

    def open(self, **changes: Any) -> PartitionStore:
        return self.open_partition(0, **changes)

    def open_partition(self, number: int, **changes: Any) -> PartitionStore:
        source = msgspec.structs.replace(self.source, **changes)
        restorer = Restorer(source, self.folder, lambda: False)
        try:
            return restorer.open(number)
        finally:
            restorer.close()

    @property
    def moved_aside(self) -> bool:
        return any((self.folder / "partitions").glob("0.bad-*"))

    def assert_level(self, store: PartitionStore) -> None:
        """The store is the changelog's compacted view, its position Kafka's, and every deadline stands in the calendar."""
        assert dict(store.documents()) == self.documents
        assert (store.position.cycle, store.position.chain, store.position.newest) == (self.cycle, self.chain, START)
        assert store.position.sources == {self.stage.events: self._end_of_source()}
        deadlines = {(next_due(stored), customer) for customer, stored in self.documents.items()}
        assert deadlines <= set(store.due((store.position.timers_from, b""), START + 999 * DAY, 100_000))
        store.close()


@pytest.fixture
def log(stage_on: MakeStage, tmp_path: Path) -> Log:
    made = Log(stage_on(partitions=1), tmp_path / "state")
    made.cycle_with({b"a": document("a", START), b"b": document("b", START + DAY)})
    made.cycle_with({b"a": None, b"c": document("c", START + 2 * DAY)})
    return made


def test_t6_without_a_store_everything_is_restored_tombstones_included(log: Log) -> None:
    log.assert_level(log.open())
    assert not log.moved_aside


def test_t6_a_store_that_is_behind_gets_the_rest(log: Log) -> None:
    log.open().close()
    log.cycle_with({b"b": None, b"d": document("d", START - DAY)})
    log.cycle_with({b"c": document("c", START + 9 * DAY)})
    log.assert_level(log.open())
    assert not log.moved_aside


def test_a_store_that_is_level_is_left_as_it_is(log: Log) -> None:
    log.open().close()
    log.assert_level(log.open())
    assert not log.moved_aside


def _forged(log: Log, change: Callable[[Any], None], identity: Identity | None = None) -> None:
    """Change a level store's position behind its back, and put a customer into it that never was."""
    log.open().close()
    path = log.folder / "partitions" / "0"
    store = PartitionStore(path, Identity(FORMAT, "cluster", log.streams.app, 0))
    if identity is not None:
        store.identity = identity
    position = store.position
    change(position)
    store.write({b"ghost": document("ghost", START)}, (), (), position)
    store.close()


FORGERIES: dict[str, Callable[[Any], None]] = {
    "ahead of Kafka": lambda position: setattr(position, "cycle", 99),
    "of another history": lambda position: setattr(position, "chain", 1),
    "with a changelog offset that the log has not": lambda position: setattr(position, "changelog", 10_000),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_t6_a_store_that_cannot_be_true_is_rebuilt(log: Log, forge: Callable[[Any], None]) -> None:
    _forged(log, forge)
    log.assert_level(log.open())
    assert log.moved_aside


def test_t6_the_store_of_another_partition_is_rebuilt(log: Log) -> None:
    _forged(log, lambda position: None, Identity(FORMAT, "cluster", log.streams.app, 7))
    log.assert_level(log.open())
    assert log.moved_aside


def test_t6_a_store_that_may_have_missed_tombstones_is_rebuilt(log: Log) -> None:
    _forged(log, lambda position: None)
    log.assert_level(log.open(max_age_ms=-1))
    assert log.moved_aside


def test_t6_a_store_found_damaged_in_use_is_rebuilt(log: Log) -> None:
    log.open().close()
    (log.folder / "partitions" / "0.damaged").touch()
    log.assert_level(log.open())
    assert log.moved_aside
    log.assert_level(log.open())


def test_t6_an_opening_called_off_leaves_a_store_that_can_be_opened(log: Log) -> None:
    """A rebalance may take the partition away while it is restored; coming back must not cost a rebuild."""
    for asked in range(1, 4):
        answers = iter([False] * asked + [True] * 100)
        restorer = Restorer(log.source, log.folder, lambda answers=answers: next(answers))
        try:
            restorer.open(0).close()
        except Interrupted:
            pass
        finally:
            restorer.close()
    log.assert_level(log.open())
    assert not log.moved_aside


def test_i3_an_aborted_transaction_leaves_nothing(stage_on_kafka: MakeStage, tmp_path: Path) -> None:
    log = Log(stage_on_kafka(partitions=1), tmp_path / "state")
    log.cycle_with({b"a": document("a", START)})
    log.abort_with({b"a": None, b"ghost": document("ghost", START)})
    log.assert_level(log.open())


def test_offsets_and_journal_of_different_histories_stop_the_worker(stage_on_kafka: MakeStage, tmp_path: Path) -> None:
    from confluent_kafka import Consumer, TopicPartition

    log = Log(stage_on_kafka(partitions=1), tmp_path / "state")
    log.cycle_with({b"a": document("a", START)})
    consumer = Consumer(dict(log.source.client))
    offset = TopicPartition(log.stage.events, 0, 1, metadata_of(0 + 1, 12345, START))
    consumer.commit(offsets=[offset], asynchronous=False)
    consumer.close()
    log.cycle_with({})
    with pytest.raises(PositionLost, match="offsets are of cycle 1, the journal ends with cycle 2"):
        log.open()


def test_a_source_that_lost_what_comes_next_stops_the_worker(log: Log) -> None:
    log.handled = 500
    log.cycle_with({})
    with pytest.raises(PositionLost) as caught:
        log.open()
    assert log.stage.events in str(caught.value)
    assert "decide" in str(caught.value)


def test_brokers_that_are_away_are_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.errors import Unreachable
    from orchestrator.stream import patience, positions

    monkeypatch.setattr(patience, "REACH_TIMEOUT_S", 1.0)
    monkeypatch.setattr(patience, "_PAUSE_S", 0.1)
    monkeypatch.setattr(positions, "_TIMEOUT_S", 0.3)
    client = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0}
    source = Source("cluster", "app", ["events"], "changelog", "journal", client, WEEK_MS)
    restorer = Restorer(source, tmp_path, lambda: False)
    with pytest.raises(Unreachable) as caught:
        restorer.open(0)
    restorer.close()
    assert caught.value.next_step

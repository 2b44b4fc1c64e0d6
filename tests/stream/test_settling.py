"""A commit of unknown fate is settled whatever else goes on, and what fenced, slow or stuck producers leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from orchestrator.errors import Unreachable, WorkerFenced
from orchestrator.stream import commit as commit_module
from orchestrator.stream import committer, positions
from orchestrator.stream.commit import TRANSACTION_TIMEOUT_S, Interrupted, TransactionalProducer
from orchestrator.stream.worker import JourneyWorker
from tests.brokers import Broker, fill
from tests.contract.stage import Stage
from tests.stream.bench import block
from tests.stream.rig import Lossy, Rig

NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "transactional.id": "t"}


async def _first_cycle(rig: Rig) -> None:
    rig.handle(0)
    await rig.commit()
    rig.handle(1)


def _forget_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "committed", lambda *_: None)


@pytest.mark.parametrize("landed", [True, False])
def test_i3_where_offsets_are_forgotten_the_journal_tells_whether_a_commit_landed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    async def scenario() -> None:
        await _first_cycle(rig)
        _forget_offsets(monkeypatch)
        rig.lose_the_answer(after=landed)
        await rig.commit()

    asyncio.run(scenario())
    assert rig.cycles == ([2, 2] if landed else [1, 1])
    assert len(rig.stage.journal()) == (4 if landed else 2)
    assert len(rig.app.read_from) == (0 if landed else 1)


@pytest.fixture
def embedded_rig(embedded: Broker, tmp_path: Path) -> Iterator[Rig]:
    """A rig on the broker that forgets every offset by itself."""
    (tmp_path / "stage").mkdir()
    made = Rig(Stage(embedded, tmp_path / "stage", partitions=2), tmp_path / "state")
    yield made
    made.close()


def test_i3_a_broker_that_keeps_no_offsets_settles_a_commit_that_landed(embedded_rig: Rig) -> None:
    async def scenario() -> None:
        await _first_cycle(embedded_rig)
        embedded_rig.lose_the_answer(after=True)
        await embedded_rig.commit()

    asyncio.run(scenario())
    assert embedded_rig.cycles == [2, 2]


def _reopened(rig: Rig) -> list[int]:
    """The cycles at which the stores stand after the next start. The records that the rig made up must be there for that."""
    fill(rig.stage.broker.bootstrap, rig.stage.events, [{"partition": n, "value": b"x"} for n in (0, 1) for _ in range(2)])
    found = rig.worker._restore([0, 1])
    try:
        return [partition.store.position.cycle for partition in found.values()]
    finally:
        for partition in found.values():
            partition.store.close()


class Away:
    """Kafka's answer to which cycle was the last, which does not come until `back` is called."""

    def __init__(self, rig: Rig) -> None:
        self._ask = rig.worker._committer.last_cycle
        self._is_back = Event()
        self.asked = Event()
        rig.worker._committer.last_cycle = self  # type: ignore[method-assign, assignment]

    def __call__(self, number: int) -> positions.Committed | None:
        self.asked.set()
        if not self._is_back.is_set():
            raise Unreachable("no broker answers")
        return self._ask(number)

    def back(self) -> None:
        self._is_back.set()


async def _until(event: Event) -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, event.wait, 60)


def test_i3_sigterm_ends_a_settling_and_the_next_start_finds_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "RETRY_S", 0.01)
    away = Away(rig)

    async def scenario() -> None:
        await _first_cycle(rig)
        rig.lose_the_answer(after=True)
        cycle = asyncio.create_task(rig.worker._unless_interrupted(rig.commit()))
        await _until(away.asked)
        rig.app.should_stop = True
        await asyncio.wait_for(cycle, 30)

    asyncio.run(scenario())
    assert rig.worker._partitions == {}
    rig.app.should_stop = False
    assert _reopened(rig) == [2, 2]


def test_i3_a_rebalance_waits_for_a_settling_and_what_landed_is_written_first(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "RETRY_S", 0.01)
    away = Away(rig)
    written: list[list[int]] = []

    async def commit() -> None:
        async with rig.worker._turn_lock:
            await rig.commit()
            written.append(rig.cycles)

    async def scenario() -> None:
        await _first_cycle(rig)
        rig.lose_the_answer(after=True)
        cycle = asyncio.create_task(commit())
        await _until(away.asked)
        revoked = asyncio.create_task(rig.worker.close_partitions(commit=True))
        done, _ = await asyncio.wait([cycle, revoked], timeout=0.3)
        assert done == set()
        away.back()
        await asyncio.wait_for(asyncio.gather(cycle, revoked), 60)

    asyncio.run(scenario())
    assert written == [[2, 2]]
    assert rig.worker._partitions == {}


# Producers that are not used again


def test_i3_after_a_lost_connection_the_stores_are_written_and_the_next_cycle_has_a_new_producer(rig: Rig) -> None:
    """What the old one may still have under way ends nothing any more (KAFKA-17754)."""
    old: list[Any] = []

    async def scenario() -> None:
        rig.handle(0)
        old.append(rig.worker._committer.producer._producer)
        await rig.commit()
        rig.worker._committer.producer._on_lost_connection()
        assert rig.cycles == [1, 1]
        rig.handle(1)
        await rig.commit()

    asyncio.run(scenario())
    assert rig.cycles == [2, 2]
    assert rig.worker._committer.producer._producer is not old[0]
    old[0].begin_transaction()
    old[0].produce(rig.stage.topology.streams.journal, b"late", b"0", 0)
    with pytest.raises(KafkaException) as caught:
        old[0].commit_transaction(30)
    assert caught.value.args[0].code() in commit_module._FENCED


def test_a_failed_commit_has_a_new_producer_after_it(rig: Rig) -> None:
    async def scenario() -> Any:
        await _first_cycle(rig)
        rig.lose_the_answer(after=False)
        lossy = rig.worker._committer.producer._producer
        await rig.commit()
        return lossy

    lossy = asyncio.run(scenario())
    assert isinstance(lossy, Lossy)
    assert not isinstance(rig.worker._committer.producer._producer, Lossy)
    assert not rig.worker._committer.producer._is_worn


# Fenced


@pytest.mark.parametrize(("seconds", "is_own_doing"), [(1.0, False), (TRANSACTION_TIMEOUT_S + 1.0, True)])
def test_a_fencing_after_the_transactions_own_time_out_is_explained_by_it(seconds: float, is_own_doing: bool) -> None:
    producer = TransactionalProducer(NOWHERE, "c")
    producer._began = commit_module.time()
    with pytest.raises(WorkerFenced) as caught:
        producer._check_fenced(KafkaError(KafkaError._FENCED), monotonic() - seconds)
    assert caught.value.is_own_doing is is_own_doing


def test_a_host_that_slept_is_seen_by_the_wall_clock() -> None:
    producer = TransactionalProducer(NOWHERE, "c")
    producer._began = commit_module.time() - TRANSACTION_TIMEOUT_S - 1
    with pytest.raises(WorkerFenced) as caught:
        producer._check_fenced(KafkaError(KafkaError._FENCED), monotonic())
    assert caught.value.is_own_doing


def test_a_fenced_worker_drops_everything_and_asks_to_join_anew(rig: Rig) -> None:
    second = TransactionalProducer(rig.worker._committer.producer._config, rig.stage.topology.streams.changelog)

    async def scenario() -> None:
        await _first_cycle(rig)
        rig.spoil(rig.worker._committer.producer._producer)
        second.open()
        await rig.worker._unless_interrupted(rig.commit())

    asyncio.run(scenario())
    assert rig.worker._partitions == {}
    assert len(rig.worker._outbox) == 0
    assert len(rig.stage.journal()) == 2
    (error,) = rig.app.fenced
    assert not error.is_own_doing
    rig.worker._committer.producer.open_if_closed()
    assert _reopened(rig) == [1, 1]


def test_an_opening_that_failed_is_tried_again_by_the_next_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_module, "_INIT_TRY_S", 0.2)
    producer = TransactionalProducer(NOWHERE, "c", lambda: True)
    for _ in range(2):
        with pytest.raises(Interrupted):
            producer.open_if_closed()


# Calls that never come back


def test_calls_that_hang_are_counted_and_too_many_end_the_worker() -> None:
    producer, over = TransactionalProducer(NOWHERE, "c"), Event()
    threads = [Thread(target=over.wait) for _ in range(commit_module.MOST_LEFT_BEHIND + 1)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            came_back = Thread(target=int)
            came_back.start()
            came_back.join()
            producer._leave_behind(came_back)
        for thread in threads[:-1]:
            producer._leave_behind(thread)
        with pytest.raises(Unreachable, match="9 calls of librdkafka hang"):
            producer._leave_behind(threads[-1])
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_stopping", [False, True], ids=["no partition is open", "it is told to stop"])
def test_others_have_their_turns_while_a_block_waits_that_nobody_takes(embedded_rig: Rig, *, is_stopping: bool) -> None:
    """As it may come between two assignments, or with the order to stop: the loop then turned for itself alone, for ever."""
    worker = embedded_rig.worker
    worker._inbox.append(block())
    worker.app.should_stop = is_stopping
    opened = worker._partitions
    worker._partitions = opened if is_stopping else {}

    async def story() -> None:
        turning = asyncio.create_task(JourneyWorker._run.fun(worker))  # type: ignore[attr-defined]
        for _ in range(20):
            await asyncio.sleep(0.001)
        turning.cancel()
        await asyncio.wait([turning])

    try:
        asyncio.run(story())
    finally:
        worker._partitions = opened

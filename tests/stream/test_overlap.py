"""The next cycle is folded while a commit is under way: the same as one after the other, and dropped with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from faust.types import TP

from orchestrator.engine.engine import NEVER, next_due
from orchestrator.errors import StoreDamaged
from orchestrator.observe import tally
from orchestrator.stream import worker as worker_module
from orchestrator.stream.partition import Partition
from orchestrator.stream.producing import Produce
from tests.stream.bench import DAY, EVENTS, NUMBER, START, STREAMS, Bench, as_documents_go, block, purchase, raw, to
from tests.stream.rig import Lossy, Rig


def _histories(bench: Bench, seed: int, *, overlap: bool) -> tuple[list[Produce], list[tuple[bytes, bytes]], list[Any], int]:
    """Cycles of purchases, spoiled records and timers; with `overlap` each is written when the next has handled its records."""
    rng, offset, said = random.Random(seed), 0, list[Produce]()
    under_way = False
    for cycle in range(25):
        records = []
        for _ in range(rng.randrange(1, 8)):
            customer, at = f"c{rng.randrange(12)}", START + cycle * 9 * DAY + rng.randrange(9 * DAY)
            records.append(purchase(customer, at, offset) if rng.random() < 0.95 else raw(b"?", customer.encode(), at, offset))
            offset += 1
        bench.partition.handle(block(*records), bench.outbox)
        if under_way:
            bench.partition.written(cycle)
            under_way = False
        if rng.random() < 0.7:
            bench.partition.fire(rng.randrange(1, 9), bench.outbox)
        said += sorted(bench.say(), key=as_documents_go)
        under_way = overlap
        if not overlap:
            bench.partition.written(cycle + 1)
    if under_way:
        bench.partition.written(25)
    return said, list(bench.store.documents()), bench.store.due((0, b""), NEVER, 1000), bench.store.position.chain


@pytest.mark.parametrize("seed", range(20))
def test_t6_i3_overlapping_cycles_say_and_keep_what_cycles_one_after_the_other_do(tmp_path: Path, seed: int) -> None:
    one_by_one, overlapping = Bench(tmp_path / "a"), Bench(tmp_path / "b")
    expected = _histories(one_by_one, seed, overlap=False)
    assert _histories(overlapping, seed, overlap=True) == expected
    assert len(to(expected[0], "journeys.actions.email")) > 0
    for name, document in expected[1]:
        assert next_due(document) == NEVER or (next_due(document), name) in expected[2], "no timer is lost"
    one_by_one.close()
    overlapping.close()


def test_i3_a_cycle_on_top_of_one_that_did_not_land_is_dropped_with_it(bench: Bench) -> None:
    def work() -> list[Produce]:
        bench.partition.handle(block(purchase("c1", START, 0), raw(b"?", b"c1", START, 1)), bench.outbox)
        first = bench.say()
        bench.partition.handle(block(purchase("c1", START + DAY, 2), purchase("c2", START + DAY, 3)), bench.outbox)
        return first

    first = work()
    bench.partition.dropped()
    bench.outbox.dropped()
    assert not bench.partition.has_work
    assert bench.partition.documents([b"c1", b"c2"]) == [None, None]
    assert bench.partition.next_offsets.get(EVENTS, 0) == 0
    assert work() == first
    bench.partition.written(None)
    second = bench.say()
    bench.partition.written(None)
    assert bench.store.position.cycle == 2
    assert [record.key for record in to(second, STREAMS.changelog)] == [b"c1", b"c2"]


def test_b2_a_stop_in_the_running_cycle_outlives_the_landing_of_the_closed_one(bench: Bench) -> None:
    breaker = bench.partition.breaker
    breaker.note("t", 0)
    breaker.close()
    for offset in range(1, 150):
        breaker.note("t", offset)
    assert breaker.is_open and not breaker.stops
    breaker.keep()
    assert breaker.is_open and breaker.tripped is not None
    breaker.close()
    assert breaker.stops
    breaker.drop()
    assert not breaker.is_open
    breaker.note("t", 100)
    assert not breaker.is_open, "what the dropped cycle counted comes again"


class Held(Lossy):
    """A producer whose commit waits until it is let go, and whose answer may then be lost before the broker heard of it."""

    def __init__(self, producer: Any, *, lands: bool) -> None:
        super().__init__(producer, after=False)
        self.lands = lands
        self.asked, self.let_go = Event(), Event()

    def commit_transaction(self, timeout: float) -> None:
        self.asked.set()
        assert self.let_go.wait(60)
        if self.lands:
            self._producer.commit_transaction(timeout)
        else:
            super().commit_transaction(timeout)


def _put(rig: Rig, offset: int) -> None:
    for found in rig.blocks(offset):
        rig.worker._inbox.append(found)


def _entries() -> int:
    return sum(tally.totals("journey_entries").values())


async def _while_the_first_commits(rig: Rig, *, lands: bool, then: Callable[[], None]) -> None:
    """A first cycle that is held in its commit, a second that handles its records meanwhile; `then` is before the first ends."""
    held = Held(rig.worker._committer.producer._producer, lands=lands)
    rig.spoil(held)
    _put(rig, 0)
    await rig.worker._cycle()
    _put(rig, 1)
    second = asyncio.create_task(rig.worker._unless_interrupted(rig.worker._cycle()))
    while not (held.asked.is_set() and all(p.has_work for p in rig.partitions.values())):
        await asyncio.sleep(0.01)
    assert rig.cycles == [0, 0]
    assert [p.cycle for p in rig.partitions.values()] == [2, 2]
    then()
    held.let_go.set()
    await asyncio.wait_for(second, 60)


def test_i3_records_are_handled_while_a_commit_is_under_way_and_written_by_the_next(rig: Rig) -> None:
    before = _entries()

    def nothing_is_counted_yet() -> None:
        assert _entries() == before

    async def story() -> None:
        await _while_the_first_commits(rig, lands=True, then=nothing_is_counted_yet)
        assert _entries() > before
        await rig.worker._settle()

    asyncio.run(story())
    assert rig.cycles == [2, 2]
    assert sorted(each.cycle for each, _ in rig.stage.journal()) == [1, 1, 2, 2]
    assert rig.app.read_from == []


def test_i3_where_a_commit_does_not_land_the_records_on_top_of_it_are_read_again(rig: Rig) -> None:
    before = _entries()

    async def story() -> None:
        await _while_the_first_commits(rig, lands=False, then=lambda: None)
        assert rig.cycles == [0, 0]
        assert len(rig.worker._outbox) == 0
        assert rig.app.read_from == [{TP(topic, n): 0 for topic in rig.worker.topics for n in (0, 1)}]
        for offset in (0, 1):
            _put(rig, offset)
            await rig.worker._cycle()
        await rig.worker._settle()

    asyncio.run(story())
    assert rig.cycles == [2, 2]
    assert _entries() == before + 4, "each purchase begins anew, and is counted once"


class _Spoiled:
    """A partition whose store is found damaged as it handles a block. A compiled one takes no other method."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partition, name)

    def handle(self, *_: Any) -> Any:
        raise StoreDamaged("spoiled", where="here")


def test_i3_a_damaged_store_is_closed_only_when_the_commit_under_way_is_over(rig: Rig) -> None:
    opened: list[set[TP]] = []
    rig.worker.open_partitions = opened.append  # type: ignore[method-assign]
    rig.app.consumer.assignment = lambda: {TP("t", NUMBER)}

    def damage() -> None:
        rig.partitions[0] = _Spoiled(rig.partitions[0])  # type: ignore[assignment]
        _put(rig, 2)
        rig.worker._wake.set()

    asyncio.run(_while_the_first_commits(rig, lands=True, then=damage))
    assert rig.worker._partitions == {}
    assert not rig.worker._committer.is_busy
    assert len(opened) == 1
    assert [each.cycle for each, _ in rig.stage.journal()] == [1, 1], "Kafka has it: the stores are brought level with that"


def test_i3_a_revocation_waits_for_the_commit_under_way_and_what_landed_is_written_first(rig: Rig) -> None:
    async def story() -> None:
        held = Held(rig.worker._committer.producer._producer, lands=True)
        rig.spoil(held)
        _put(rig, 0)
        await rig.worker._cycle()
        positions = [p.store for p in rig.partitions.values()]
        revoked = asyncio.create_task(rig.worker.close_partitions(commit=True))
        done, _ = await asyncio.wait([revoked], timeout=0.3)
        assert done == set()
        held.let_go.set()
        await asyncio.wait_for(revoked, 60)
        assert [store.position.cycle for store in positions] == [1, 1]

    asyncio.run(story())
    assert rig.worker._partitions == {}


def test_t8_no_timer_fires_while_a_commit_is_under_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[bool] = []
    monkeypatch.setattr(worker_module.JourneyWorker, "_fire_timers", lambda self: fired.append(self._committer.is_busy) or 0)

    async def story() -> None:
        await _while_the_first_commits(rig, lands=True, then=lambda: None)
        await rig.worker._settle()

    asyncio.run(story())
    assert fired and not any(fired)

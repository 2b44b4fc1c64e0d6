"""Partitions that wait for a schema: each alone, in its order, and the loop for none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from orchestrator.stream import awaiting as room
from orchestrator.stream.awaiting import SchemaKeeper
from orchestrator.stream.blocks import Block
from orchestrator.stream.desk import awaiting_registry
from tests.stream.stub import Stub
from tests.stream.test_registry import message, schema

KNOWN = (200, {"schema": schema()})
PATIENCE_S = 30.0


def block(partition: int, schema_id: int | None = None) -> Block:
    made = Block("t", partition, 1)
    made.append(message(b"\xc3\x01" + bytes(9) if schema_id is None else b"\x00" + schema_id.to_bytes(4, "big") + b"x"))
    return made


async def until(is_true: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while not (found := is_true()):
            await asyncio.sleep(0.005)
    return found


def told(stub: Stub, story: Callable[[SchemaKeeper], Coroutine[Any, Any, None]], **settings: str) -> None:
    async def run() -> None:
        keeper = SchemaKeeper(stub.registry(**settings))
        try:
            await story(keeper)
        finally:
            keeper.close()

    asyncio.run(run())


def test_b1_only_the_partition_that_needs_the_schema_waits_and_keeps_its_order(stub: Stub) -> None:
    may_answer = threading.Event()
    stub.answer = lambda: (may_answer.wait(PATIENCE_S), KNOWN)[1]
    needs, behind, other = block(3, 7), block(3), block(2)

    async def story(keeper: SchemaKeeper) -> None:
        assert [keeper.keeps(each) for each in (needs, other, behind)] == [True, False, True]
        assert keeper.let_go() == []
        assert 3 not in keeper, "it is read on for a moment"
        may_answer.set()
        assert await until(keeper.let_go) == [needs, behind]
        assert not any(keeper.keeps(each) for each in (needs, behind))

    told(stub, story, timeout=str(PATIENCE_S))


def test_b1_one_that_waits_for_longer_stands_still_until_the_schema_is_there(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    may_answer = threading.Event()
    stub.answer = lambda: (may_answer.wait(PATIENCE_S), KNOWN)[1]
    monkeypatch.setattr(room, "GRACE_S", 0.0)

    async def story(keeper: SchemaKeeper) -> None:
        assert keeper.keeps(block(3, 7))
        assert await until(keeper.gave_up)
        assert (3 in keeper, 2 in keeper, keeper.gave_up(), keeper.came()) == (True, False, False, [])
        keeper.drop()
        assert 3 in keeper, "to read the others again is no reason to read it"
        may_answer.set()
        assert await until(keeper.came) == [3]
        assert (3 in keeper, keeper.keeps(block(3, 7)), keeper.let_go()) == (False, False, [])

    told(stub, story, timeout=str(PATIENCE_S))


def test_b1_partitions_wait_for_a_registry_that_is_away_together(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer = lambda: (503, b"")
    monkeypatch.setattr(room, "GRACE_S", PATIENCE_S)

    async def story(keeper: SchemaKeeper) -> None:
        assert keeper.keeps(block(3, 7))
        assert keeper.keeps(block(1, 8))
        assert await until(keeper.gave_up)
        assert (3 in keeper, 1 in keeper) == (True, True), "they wait for one registry: one reading again for both"
        assert awaiting_registry() == 2, "as `status` says it"
        await until(lambda: keeper.came() == [] and stub.asked > 4)
        stub.answer = lambda: KNOWN
        found: list[int] = []
        await until(lambda: found.extend(keeper.came()) or len(found) == 2)
        assert sorted(found) == [1, 3]
        assert awaiting_registry() == 0

    told(stub, story)


def test_b1_what_the_registry_does_not_have_is_let_through_to_become_incidents(stub: Stub) -> None:
    nowhere = block(3, 9)

    async def story(keeper: SchemaKeeper) -> None:
        assert keeper.keeps(nowhere)
        assert await until(keeper.let_go) == [nowhere]
        assert not keeper.keeps(nowhere)

    told(stub, story)


def test_b1_the_answer_wakes_the_loop(stub: Stub) -> None:
    stub.answer = lambda: KNOWN

    async def story() -> None:
        awake = asyncio.Event()
        keeper = SchemaKeeper(stub.registry(), awake.set)
        assert keeper.keeps(block(3, 7))
        await asyncio.wait_for(awake.wait(), PATIENCE_S)
        keeper.close()

    asyncio.run(story())


def test_b1_without_a_registry_there_is_nothing_to_know() -> None:
    keeper, names = SchemaKeeper(None), block(3, 7)
    assert (keeper.keeps(names), names.has_schemas) == (False, True)
    keeper.close()

"""Partitions that wait for schemas: each on its own, and the worker's loop for none of them.

    block names a schema that is not known ──► its partition's blocks are kept here, a thread asks the registry
                                                  │ within GRACE_S: the blocks go back to the inbox
                                                  └ later, or never: the partition stands still, its blocks are dropped,
                                                    and it is read again once the schema is there

Blocks are kept for a moment only, because fetched records count towards what may be under way for all partitions together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Final

from msgspec import Struct, field

from orchestrator.errors import Unreachable
from orchestrator.observe import metrics
from orchestrator.observe.logs import logger
from orchestrator.stream.blocks import Block
from orchestrator.stream.registry import Ref, Registry

log = logger(__name__)

GRACE_S: Final = 0.25
THREADS: Final = 4  # one partition's many unknown ids must not keep another's from being asked for


class _Wait(Struct):
    """One partition's: what it needs, the answer to come, and its blocks in their order, the one that needs it first."""

    refs: set[Ref]
    answer: Future[None]
    since: float
    blocks: list[Block] = field(default_factory=list)
    stands_still: bool = False


class SchemaKeeper:
    """Sees to it that the schemas of records at hand are known; where one is not yet, its partition alone has to wait.

    For the worker's loop, which none of it blocks; without a registry it has nothing to do.
    """

    def __init__(self, registry: Registry | None, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` is called in the loop whenever the registry has answered, or failed to."""
        self._registry = registry
        self._wake = wake
        self._threads = ThreadPoolExecutor(THREADS, "registry")
        self._waits: dict[int, _Wait] = {}

    def __contains__(self, partition: int) -> bool:
        """Tell whether a partition stands still, and is not to be read."""
        wait = self._waits.get(partition)
        return wait is not None and wait.stands_still

    def keeps(self, block: Block) -> bool:
        """Keep a block that must wait for a schema, or stands behind one; False where it can be handled now."""
        wait = self._waits.get(block.partition)
        if wait is None:
            missing = set() if block.has_schemas or self._registry is None else self._registry.missing(block)
            if not missing or self._registry is None:
                block.has_schemas = True
                return False
            wait = self._waits[block.partition] = _Wait(missing, self._ask(self._registry, missing), monotonic())
        wait.blocks.append(block)
        return True

    def _ask(self, registry: Registry, refs: set[Ref]) -> Future[None]:
        loop = asyncio.get_running_loop()

        def answered(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._wake)

        answer = self._threads.submit(registry.fetch, refs)
        answer.add_done_callback(answered)
        return answer

    def let_go(self) -> list[Block]:
        """Give the blocks whose wait is over, each partition's in their order."""
        found: list[Block] = []
        for partition, wait in tuple(self._waits.items()):
            if not wait.stands_still and wait.answer.done() and wait.answer.exception() is None:
                wait.blocks[0].has_schemas = True  # what the registry does not have is not asked for twice
                found += wait.blocks
                del self._waits[partition]
        return found

    def gave_up(self) -> bool:
        """Tell whether some partition has to stand still from now on; then all that wait do, since they wait for one registry.

        Their blocks are dropped: whoever reads again must leave out the partitions that are in here.
        """
        now = monotonic()
        moving = {number: wait for number, wait in self._waits.items() if not wait.stands_still}
        if not any(_has_failed(wait) or now - wait.since > GRACE_S for wait in moving.values()):
            return False
        for number, wait in moving.items():
            wait.stands_still = True
            wait.blocks.clear()
            why, advice = _trouble(wait)
            log.error("registry_away", partition=number, why=why, next=advice)
        self._count()
        return True

    def came(self) -> list[int]:
        """Give the partitions that stood still and need not any more; ask again for what could not be had."""
        found = []
        for number, wait in tuple(self._waits.items()):
            if not wait.stands_still or not wait.answer.done():
                continue
            if _has_failed(wait) and self._registry is not None:
                wait.answer = self._ask(self._registry, wait.refs)
            else:
                found.append(number)
                del self._waits[number]
        if found:
            self._count()
            log.info("registry_back", partitions=sorted(found))
        return sorted(found)

    def drop(self) -> None:
        """Forget the blocks kept here: all partitions but those that stand still are about to be read again."""
        self._waits = {number: wait for number, wait in self._waits.items() if wait.stands_still}

    def forget(self) -> None:
        """Forget all partitions: they are this worker's no more."""
        self._waits.clear()
        self._count()

    def _count(self) -> None:
        metrics.AWAITING_REGISTRY.set(sum(wait.stands_still for wait in self._waits.values()))

    def close(self) -> None:
        """End the connections, and what is being asked for."""
        if self._registry is not None:
            self._registry.give_up()
            self._threads.submit(self._registry.close)
        self._threads.shutdown(wait=False)


def _has_failed(wait: _Wait) -> bool:
    return wait.answer.done() and wait.answer.exception() is not None


def _trouble(wait: _Wait) -> tuple[str, str]:
    error = wait.answer.exception() if wait.answer.done() else None
    if isinstance(error, Unreachable):
        return error.what, error.next_step
    return "the schema registry has not answered yet", "nothing, unless it lasts: then see to the registry"

"""The worker: one loop over all assigned partitions, one transaction a cycle.

    blocks in ──► handle, fire timers ──► produce + offsets, commit ──► write the stores
                                           │ aborted: drop, read again from the stores' position
                                           └ unknown: ask Kafka whether it landed, then one of the two

The stores are written only after Kafka has the cycle, so they are never ahead of it. While a commit is under way, the next cycle
handles records, on top of what the closed one has, and is dropped with it; timers wait until the calendar is written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from time import monotonic, sleep
from typing import Any, Final

from confluent_kafka import TopicPartition
from faust.types import TP
from mode import Service

from orchestrator.errors import InvalidTopology, NotPublishable, OrchestratorError, StoreDamaged, Unreachable, WorkerFenced
from orchestrator.observe import metrics
from orchestrator.observe.logs import logger
from orchestrator.stream.attempts import Attempts
from orchestrator.stream.awaiting import SchemaKeeper
from orchestrator.stream.blocks import Block
from orchestrator.stream.clock import TICK_S
from orchestrator.stream.commit import INIT_TIMEOUT_S, Commit, Interrupted
from orchestrator.stream.committer import Committer
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.failpoints import Failpoint, reach
from orchestrator.stream.partition import Partition
from orchestrator.stream.quarantine import Quarantine
from orchestrator.stream.restore import Source, open_all
from orchestrator.stream.sources import check_together
from orchestrator.stream.stops import LOOK_EVERY_S, Stops
from orchestrator.stream.versions import Ready, Versions, brief_of, outbox_of, parts_of
from orchestrator.stream.watchdog import Watchdog

log = logger(__name__)

MAX_CYCLE_RECORDS: Final = 20_000
MAX_TURN_RECORDS: Final = 2_000  # then the loop breathes: the transport hands over, the pulse is felt
FIRES_A_TURN: Final = 2_000  # rule T8: of all partitions together; blocks are handled between batches of timers
FEW_RECORDS: Final = 500  # in one turn; with more of them there is a backlog of records
# A process that stood still for longer may have missed records that are older than the wall clock is now.
STALL_MS: Final = 2000


class JourneyWorker(Service):
    """A Faust service; started by the table manager, fed by the agent, told of partitions by the transport."""

    def __init__(self, app: Any, config: WorkerConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.config = config
        streams = config.topology.streams
        self.topics = list(streams.sources)
        self._attempts = Attempts(config.identity.state_dir)
        self._quarantine = Quarantine(
            self._attempts, brief_of(config), lambda: self._is_stopping or not self._may_open, config.registry
        )
        self._parts = parts_of(config, self._quarantine)
        self._stops = Stops(streams.app, streams.definitions, config.kafka, lambda: not self._may_open)
        self._versions = Versions(config, self._stops.programs, self._quarantine)
        self._opened_with: Ready | None = None  # what was published meanwhile, found while partitions were opened
        self._untold: dict[str, str] = {}  # ids of source topics that no cycle has told of yet
        self._outbox = outbox_of(config)
        self._closed_cycle_began = 0.0
        self._restore_thread = ThreadPoolExecutor(1, "restore")
        self._partitions: dict[int, Partition] = {}
        self._inbox: deque[Block] = deque()
        self._wake = asyncio.Event()
        self._schemas = SchemaKeeper(config.registry, self._wake.set)
        self._committer = Committer(config, self.topics, lambda: self._is_stopping, self._wake.set)
        self._turn_lock = asyncio.Lock()  # held while a cycle runs, so that a revocation waits for its end
        self._opening: asyncio.Task[None] | None = None
        self._may_open = self.is_ready = False  # ready: what was assigned is open
        self._pulse, self._stood_still, self._is_blind = config.wall(), False, False
        self._watchdog: Watchdog | None = None  # none yet where the start fails

    # Lifecycle

    async def on_start(self) -> None:
        """End what an earlier process of this worker left open."""
        await self._committer.open(INIT_TIMEOUT_S)
        Thread(target=self._beat, name="pulse", daemon=True).start()
        self._watchdog = Watchdog(asyncio.get_running_loop(), self.config.stuck_after_s, self._progress)
        self._watchdog.start()

    async def on_stop(self) -> None:
        """Let the running cycle end, then close the stores."""
        await self.close_partitions(commit=True)
        await self._committer.close_producer()
        self._committer.close()
        self._restore_thread.submit(self._stops.close)
        self._restore_thread.shutdown(wait=False)
        self._schemas.close()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self.config.tracer is not None:
            await asyncio.to_thread(self.config.tracer.close)

    def _progress(self) -> object:
        """Give what changes while one long turn works: what it has to say, and the blocks that wait."""
        return len(self._outbox), len(self._inbox)

    @property
    def _is_stopping(self) -> bool:
        return bool(self.should_stop or self.app.should_stop)

    async def _in(self, thread: ThreadPoolExecutor, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *args)

    # Partitions come and go

    def open_partitions(self, assigned: set[TP]) -> None:
        """Begin to open the stores of what was assigned; reading begins when all are level with Kafka."""
        reach(Failpoint.ASSIGNED)
        self._may_open = True
        self._opening = asyncio.get_running_loop().create_task(self._open(assigned))

    async def _open(self, assigned: set[TP]) -> None:
        numbers = sorted({tp.partition for tp in assigned})
        absent = set(self.topics) - {tp.topic for tp in assigned}
        if numbers and absent:
            # Deleted, or not yet known to the brokers: which, they must tell; the group is told of the topic's return.
            log.warning("source_topics_absent", topics=sorted(absent))
            self.app.consumer.sources.suspect()
            return
        try:
            check_together(self.topics, self._parts.partitions, assigned)
            await self._committer.open_if_closed()
            opened = await self._in(self._restore_thread, self._restore, numbers)
            reach(Failpoint.OPENED)
        except Interrupted:
            return
        except WorkerFenced as error:
            self.app.consumer.join_anew(error)
            return
        except Exception as error:  # whatever it is: a worker whose partitions never open must not look alive
            await self.app.crash(error)
            return
        self._partitions, self.is_ready = opened, True
        self._take_program(self._opened_with)
        self._read_again()
        log.info("worker_ready", partitions=numbers, worker=self.config.identity.id, program=self.config.program)

    def _restore(self, numbers: list[int]) -> dict[int, Partition]:
        streams = self.config.topology.streams
        source = Source(
            self.config.cluster, streams.app, self.topics, streams.changelog, streams.journal,
            {**self.config.kafka, "group.id": streams.app}, self.config.tombstones_kept_ms // 2, self._stops.rebuilt(),
        )  # fmt: skip
        stores = open_all(source, self.config.identity.state_dir, numbers, lambda: not self._may_open)
        opened = {number: Partition(number, store, self.topics, self._parts) for number, store in stores.items()}
        try:
            self._stops.apply_to(opened)
            self._untold = self._stops.strange_to(self.topics)
            self._opened_with = self._versions.newest()
        except BaseException:
            for store in stores.values():
                store.close()
            raise
        return opened

    async def close_partitions(self, *, commit: bool) -> None:
        """Finish the running cycle and close every store. With `commit` false its transaction will not be accepted any more."""
        reach(Failpoint.REVOKED)
        self._may_open = False
        if self._opening is not None:
            await asyncio.wait([self._opening])
        async with self._turn_lock:
            try:
                await self._unless_interrupted(self._settle())
            except Exception as error:  # as where a cycle of the loop ends with it
                await self.app.crash(error)
            closed = self._let_go()
        reach(Failpoint.LET_GO)
        if closed:
            log.info("partitions_closed", partitions=closed, lost=not commit)

    def _let_go(self) -> list[int]:
        """Close the stores and forget what is on its way; give the numbers of the partitions."""
        self._inbox.clear()
        self._schemas.forget()
        self._outbox.dropped()
        partitions, self._partitions, self.is_ready = self._partitions, {}, False
        for partition in partitions.values():
            partition.store.close()
        return sorted(partitions)

    def next_offset(self, tp: TP) -> int | None:
        """Give a source partition's next offset, None where it is not this worker's."""
        partition = self._partitions.get(tp.partition)
        return None if partition is None else partition.next_offsets.get(tp.topic)

    @property
    def partitions(self) -> Mapping[int, Partition]:
        """The partitions that are open here; for the loop's thread only."""
        return self._partitions

    # The loop

    async def receive(self, block: Block) -> None:
        """Take a block from the agent."""
        if block.epoch != self.app.consumer.epoch:
            return
        self._inbox.append(block)
        self._wake.set()

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            if not self._inbox and not self._committer.is_over and (self._committer.is_busy or not self._timers_due()):
                await self._wait_for_work()
            self._check_sight()
            async with self._turn_lock:
                if self._partitions and not self._is_stopping:
                    await self._unless_interrupted(self._cycle())
            await asyncio.sleep(0)  # else a block that no partition takes, or a stop, would leave nobody else a turn

    async def _wait_for_work(self) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), TICK_S)

    def _timers_due(self) -> bool:
        self._note_looks()
        return any(p.timers_due for p in self._partitions.values())

    def _note_looks(self) -> None:
        for number, partition in self._partitions.items():
            looked = self.app.consumer.looked(number, partition.next_offsets)
            if looked is not None:
                partition.clock.looked(looked)

    def _check_sight(self) -> None:
        """After a stall or a lost connection find the ends of the logs anew: what came meanwhile is older than the wall clock."""
        if self._feel_pulse() or self.app.consumer.lost_sight:
            self._is_blind = True
            for partition in self._partitions.values():
                partition.clock.lose_sight()
        if self._is_blind and not self.app.consumer.lost_sight and not self._turn_lock.locked():
            # Only now: an assignment made while no broker answers is not fetched for minutes.
            self._is_blind = self._stood_still = False
            if self._partitions:
                log.info("reading_again")
                self._read_again()

    def _feel_pulse(self) -> bool:
        """Tell whether the wall clock ran away from this process: it was stopped, the host slept, the clock was set forward."""
        now = self.config.wall()
        self._stood_still = self._stood_still or now - self._pulse > STALL_MS
        self._pulse = now
        return self._stood_still

    def _beat(self) -> None:
        """Feel the pulse in a thread of its own: a loop that is busy does not stand still, and librdkafka reads on beside it."""
        while not self.should_stop:
            self._feel_pulse()
            sleep(STALL_MS / 4000)

    def _read_again(self) -> None:
        """Read every partition from its position; what is on its way here is forgotten."""
        self._inbox.clear()
        self._schemas.drop()
        offsets: dict[TP, int] = {}
        for number, partition in self._partitions.items():
            partition.clock.lose_sight()
            if not partition.breaker.is_open and number not in self._schemas:
                offsets |= {TP(topic, number): offset for topic, offset in partition.next_offsets.items()}
        self.app.consumer.read_from(offsets)

    @Service.task
    async def _watch_definitions(self) -> None:
        while True:
            await self.sleep(LOOK_EVERY_S)
            if self._is_stopping:  # the thread may be gone by now
                return
            try:
                await self._in(self._restore_thread, self._stops.look)
                # Those whose stop was in Kafka before the topic is read.
                waiting = [p for p in self._partitions.values() if p.breaker.is_open and p.breaker.tripped is None]
                if waiting:
                    await self._release(waiting)
            except Unreachable as error:
                log.warning("definitions_unknown", why=error.what)
            if self._partitions and self._versions.is_behind:
                await self._switch()

    @Service.task
    async def _watch_registry(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_EVERY_S)
            if self._schemas.came():
                async with self._turn_lock:
                    self._read_again()

    async def _release(self, waiting: list[Partition]) -> None:
        """Let partitions go on that an operator has released. Raises Unreachable."""
        stopped = await self._in(self._restore_thread, self._stops.read)
        async with self._turn_lock:
            released = [p for p in waiting if p.number not in stopped and self._partitions.get(p.number) is p]
            for partition in released:
                partition.breaker.release()
                log.warning("partition_released", partition=partition.number)
            if released:
                self._read_again()

    async def _switch(self) -> None:
        """Run what was published from the next cycle on. What does not fit this worker stays out, and the log says so."""
        try:
            newest = await self._in(self._restore_thread, self._versions.newest)
        except (InvalidTopology, NotPublishable) as error:
            log.error("program_not_taken", code=error.code, why=error.what, where=error.where, next=error.next_step)
            return
        async with self._turn_lock:
            await self._unless_interrupted(self._settle())
            self._take_program(newest)

    def _take_program(self, newest: Ready | None) -> None:
        """Let all partitions run what was published last, those too that were opened with what ran before."""
        if newest is not None:
            self.config, self._parts = newest
            self._outbox = outbox_of(self.config)
            self._quarantine.brief = brief_of(self.config)
            log.info("program_taken", program=self.config.program, paused=sorted(self.config.paused))
        if self._versions.is_published:
            for partition in self._partitions.values():
                partition.switch(self._parts)

    async def _unless_interrupted(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do what may find out that the worker cannot go on as it was, and tell whether it did not."""
        try:
            await work
        except (Interrupted, WorkerFenced, StoreDamaged) as error:
            # A commit under way ends first; that may find out more, and deal with it.
            if await self._unless_interrupted(self._committer.forgotten()):
                await self._let_go_after(error)
            return False
        return True

    async def _let_go_after(self, error: Interrupted | OrchestratorError) -> None:
        self._let_go()
        if isinstance(error, WorkerFenced):
            await self._committer.close_producer()
            self.app.consumer.join_anew(error)
        elif isinstance(error, StoreDamaged):
            # The running cycle is dropped; if Kafka has the one before it, all stores are brought level with that.
            log.error("store_damaged", where=error.where, next="nothing: it is moved aside and rebuilt from Kafka")
            self.app.consumer.read_from({})
            if self._may_open:  # else a revocation waits for this cycle to end
                self.open_partitions(self.app.consumer.assignment())
        else:
            # What became of the commit is for the next start to find out: the stores stand before it in any case.
            log.warning("cycle_left_open", next="nothing: the next start settles it")

    async def _cycle(self) -> None:
        started, handled, has_fired = monotonic(), 0, False
        while True:
            if self._committer.is_over and not self._take_over():
                return
            if self._schemas.gave_up():
                self._read_again()  # of the others only
            self._inbox.extendleft(reversed(self._schemas.let_go()))
            await self._try_suspects()
            worked = self._handle_blocks()
            # In a backlog of records, one batch of timers a cycle: a customer's own fire before its records in any case (T3).
            if not self._committer.is_busy and (worked < FEW_RECORDS or not has_fired):
                worked += self._fire_timers()
                has_fired = True
            handled += worked
            if self._committer.is_busy:
                if not worked and not handled:
                    return
                await self._while_committing(worked, handled)
            elif not worked or monotonic() - started >= self.config.commit_interval_s or handled >= MAX_CYCLE_RECORDS:
                break
            else:
                await asyncio.sleep(0)  # lets the transport and the agent hand over what has come
        touched = [p for p in self._partitions.values() if p.has_work]
        if touched:
            reach(Failpoint.ENGINE_DONE)
            self._begin_commit(touched, started)

    async def _while_committing(self, worked: int, handled: int) -> None:
        """Go on with the running cycle when there is more to do, or when the one before it is over."""
        if handled >= MAX_CYCLE_RECORDS:
            await self._committer.over()
        elif not worked:
            await self._wait_for_work()
        else:
            await asyncio.sleep(0)

    async def _try_suspects(self) -> None:
        """Let records that processes died at be handled by another process first; the loop goes on meanwhile."""
        if not self._attempts.suspicions:
            return
        seen = set()
        for block in tuple(self._inbox):
            partition = self._partitions.get(block.partition)
            is_first = partition is not None and block.partition not in seen
            if is_first and block.has_schemas and self._quarantine.awaits(block):
                await self._in(self._restore_thread, self._quarantine.examine, block, partition)
            seen.add(block.partition)

    def _handle_blocks(self) -> int:
        """Handle what is in the inbox, up to some thousands, and give the number of records.

        All of it: while timers fire, turns are long and blocks small, and records would come faster than one block a turn leaves.
        """
        handled, later, held = 0, list[Block](), set[int]()
        while self._inbox and handled < MAX_TURN_RECORDS:
            block = self._inbox.popleft()
            if block.partition not in held and self._schemas.keeps(block):
                continue
            if block.partition in held or self._quarantine.awaits(block):
                held.add(block.partition)
                later.append(block)
                continue
            reach(Failpoint.BLOCK_TAKEN)
            partition = self._partitions.get(block.partition)
            if partition is not None:
                if block:
                    self._attempts.begin(block.topic, block.partition, block[0].offset(), block[-1].offset() + 1)
                partition.handle(block, self._outbox)
            self.app.consumer.handled(block)
            handled += len(block)
        self._attempts.over()
        self._inbox.extendleft(reversed(later))
        return handled

    def _fire_timers(self) -> int:
        if self._feel_pulse():
            return 0  # being caught up is old news now
        self._note_looks()
        due = [p for p in self._partitions.values() if p.timers_due]
        return sum(p.fire(-(-FIRES_A_TURN // len(due)), self._outbox) for p in due)

    def _begin_commit(self, touched: list[Partition], began: float) -> None:
        self._closed_cycle_began = began
        for partition in touched:
            partition.close_cycle(self._outbox)
        for topic, identity in self._untold.items():
            self._outbox.source(topic, identity)
        offsets = [
            TopicPartition(topic, p.number, offset, p.offset_metadata)
            for p in self._partitions.values()
            for topic, offset in p.next_offsets.items()
        ]
        self._committer.begin(touched, self._outbox.take(), offsets, self.app.consumer.group_metadata)

    async def _settle(self) -> None:
        """Wait until the commit under way is over, and write or drop its cycle."""
        await self._committer.over()
        if self._committer.is_over:
            self._take_over()

    def _take_over(self) -> bool:
        """Write the cycle whose commit is over, and say True; or drop it, and the running one."""
        ended = self._committer.take()
        if ended.landed:
            reach(Failpoint.COMMITTED)
            self._keep(ended.touched, ended.commit)
            metrics.CYCLE.observe(monotonic() - self._closed_cycle_began)
        else:
            self._drop(ended.commit)
        return ended.landed

    def _keep(self, touched: list[Partition], commit: Commit) -> None:
        self._untold = {}
        self._outbox.landed()
        stopped = [partition.number for partition in touched if partition.breaker.stops]
        for partition in touched:
            reach(Failpoint.STORE_BATCH_READY)
            partition.written(commit.changelog.get(partition.number))
            self._attempts.passed(partition.number, partition.store.position.sources)
            reach(Failpoint.STORE_BATCH_WRITTEN)
        for number in stopped:
            log.error("partition_stopped", partition=number, next=f"see why, then: orchestrator partitions resume {number}")
        if stopped:
            self._read_again()  # of the others only

    def _drop(self, commit: Commit) -> None:
        self._outbox.dropped()
        for partition in self._partitions.values():
            partition.dropped()
        if commit.left_group:
            # The group has moved on: reading stops until it tells this worker what is its own again.
            self.app.consumer.read_from({})
            self._let_go()
            self.app.consumer.left_group()
        else:
            self._read_again()

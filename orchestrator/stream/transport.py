"""Faust's transport over librdkafka, registered as `librdkafka://`.

It differs from Faust's own in one idea: what Faust sees as one message is a Block, all fetched records of one partition, so that
Faust's cost is paid once a block. Offsets, transactions and state are the worker's business, not Faust's: the commit and
seek calls that Faust makes do nothing here.

All calls to the librdkafka consumer are made in one thread, the poll thread: while it runs a rebalance callback, calls from any
other thread would dead-lock.
"""

from __future__ import annotations

import asyncio
import queue
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic, sleep
from typing import Any, ClassVar, Final

import confluent_kafka
from confluent_kafka import KafkaError, TopicPartition
from faust.transport import base
from faust.types import TP, ConsumerMessage
from mode import Service

from orchestrator import kafka
from orchestrator.errors import OrchestratorError, PositionLost, WorkerFenced
from orchestrator.observe.logs import logger
from orchestrator.stream.blocks import Block
from orchestrator.stream.calls import Call
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.ends import ASK_EVERY_S, LogEnds
from orchestrator.stream.fencing import Fencings
from orchestrator.stream.holder import holder_in_group
from orchestrator.stream.sources import LOOK_EVERY_S, UNKNOWN_TOPIC, SourceWatch

log = logger(__name__)

BLOCK_RECORDS: Final = 4000
# Records fetched and not yet handled, above which nothing more is taken from librdkafka's queues.
MAX_OUTSTANDING: Final = 20_000
SERVE_S: Final = 1.0  # yet so often librdkafka is polled all the same: it tells of errors and lost partitions only then
_IDLE_S: Final = 0.05
TOLD_S: Final = 6.0  # two heartbeats: after a refusal they tell of a new generation, if there is one
CLOSE_S: Final = 20.0  # longer than the running cycle takes, which a revocation waits for
CALM_S: Final = 1.0  # without an error for so long, the brokers count as back
SAY_EVERY_S: Final = 10.0


class Consumer(base.Consumer):
    """The one consumer of a worker: member of the group, reader of every source topic."""

    app: Any  # a JourneyApp
    consumer_stopped_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    group_metadata: Any = None
    sources: SourceWatch
    epoch: int = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client: Any = None
        self._subscribed = False
        self._owned: frozenset[TP] = frozenset()
        self._generation = 0
        self._reading_epoch = 0  # of the assignment that librdkafka reads now; only the poll thread touches it
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outstanding = 0
        self._under_way: Counter[int] = Counter()  # blocks handed over and not yet handled, by partition
        self._began = self._looked = 0  # wall times: of the latest poll, and of the latest that found all there was
        self._emptied = 0  # polls on end that left nothing in librdkafka's queue; a full one had stopped fetching
        self._ends: LogEnds
        self._failed_at = self._said_at = -SAY_EVERY_S
        self._polled_at = 0.0
        self._names: list[str] = []
        self._is_fenced = False  # and is about to join anew, or was told not to
        self._members: set[str] = set()  # the ids of group members that this process has been
        self._fencings: Fencings
        self._thread = ThreadPoolExecutor(1, "librdkafka-poll")

    async def on_start(self) -> None:
        """Make the client; it connects by itself."""
        worker = self.app.worker
        self.sources = SourceWatch(worker.topics, worker.config.kafka)
        self._ends = LogEnds(worker.config.kafka, worker.config.wall)
        self._client = self._new_client()
        conf, name = worker.config.kafka, worker.config.identity.id
        session_s = int(self.app.consumer_config()["session.timeout.ms"]) / 1000
        holder = holder_in_group(conf, worker.config.topology.streams.app, name)
        self._fencings = Fencings(name, holder, lambda: self._is_stopping, session_s)

    def _new_client(self) -> Any:
        return kafka.consumer(self.app.consumer_config(error_cb=self._on_error))

    async def on_stop(self) -> None:
        """Leave the group; static members keep their place in it for the session time-out."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        client, self._client = self._client, None
        # Seen once to stay away for ever, after another member of the name had fenced this one.
        if client is not None and not Call("consumer-close", client.close).is_over(CLOSE_S):
            log.warning("consumer_close_hangs", seconds=CLOSE_S, next="nothing: it is left behind until the process ends")

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group for these topics."""
        names = sorted(topics)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._subscribe, names)
        self._subscribed = True

    def _subscribe(self, names: list[str]) -> None:
        self._names = names
        self._client.subscribe(names, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    # What the worker calls, from the loop's thread.

    def read_from(self, offsets: Mapping[TP, int]) -> None:
        """Read each partition from its offset on; what was fetched before is stale from now on."""
        epoch = self._next_epoch()
        parts = [TopicPartition(tp.topic, tp.partition, offset) for tp, offset in offsets.items()]

        def assign() -> None:
            if epoch == self.epoch and self._client is not None:
                self._client.assign(parts)
                self._reading_epoch = epoch

        self._commands.put(assign)

    def _next_epoch(self) -> int:
        """Make stale whatever was fetched, and any assignment of positions that still waits for the poll thread."""
        self.epoch += 1
        self._outstanding = 0
        self._under_way.clear()
        self._ends.read_again()
        return self.epoch

    def handled(self, block: Block) -> None:
        """Note that a block left the inbox, so that as many records may be fetched."""
        if block.epoch == self.epoch:
            self._outstanding -= len(block)
            self._under_way[block.partition] -= 1
            if block.at_end:
                self._ends.read_to(TP(block.topic, block.partition), block.end)

    def read_to(self, tp: TP) -> int:
        """Give the end of a log that was reached and handled, 0 where the latest record has not been met with."""
        return self._ends.told(tp)

    def looked(self, partition: int, next_offsets: Mapping[str, int]) -> int | None:
        """Give the wall time (ms) of the last look at the logs all of whose finds in this partition are handled, if any."""
        found = None if self._under_way[partition] else self._looked
        asked = self._ends.all_handled_at(partition, next_offsets)
        return found if asked is None or (found is not None and found > asked) else asked

    @property
    def lost_sight(self) -> bool:
        """Whether some broker is out of reach, or was a moment ago: the ends of the logs are unknown then."""
        return monotonic() - self._failed_at < CALM_S

    # The poll thread.

    def _on_assign(self, client: Any, parts: list[TopicPartition]) -> None:
        self._generation += 1
        self.app.consumer_generation_id = self._generation
        self.group_metadata = client.consumer_group_metadata()
        self._members.add(client.memberid())
        self._owned = frozenset(TP(p.topic, p.partition) for p in parts)
        client.assign([])  # reading begins with `read_from`, once the stores are open
        if not self._is_stopping:
            self._on_loop(self.on_partitions_assigned(set(self._owned), self._generation))

    def _on_revoke(self, client: Any, parts: list[TopicPartition]) -> None:
        self._give_up(client, parts, lost=False)

    def _on_lost(self, client: Any, parts: list[TopicPartition]) -> None:
        self._give_up(client, parts, lost=True)

    def _give_up(self, client: Any, parts: list[TopicPartition], *, lost: bool) -> None:
        if not self._is_stopping:
            self._on_loop(self._revoke({TP(p.topic, p.partition) for p in parts}, lost=lost))
        self._owned = frozenset()
        client.unassign()

    async def _revoke(self, parts: set[TP], *, lost: bool) -> None:
        self.app.on_rebalance_start()
        await self.app.worker.close_partitions(commit=not lost)
        self._next_epoch()
        await self.on_partitions_revoked(parts)

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.app.loop).result()

    @property
    def _is_stopping(self) -> bool:
        return bool(self.should_stop or self.app.should_stop)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._report_fatal(error)
            return
        if error.code() in kafka.NOT_ALLOWED:
            self._report(kafka.not_allowed(error, ", ".join(self._names)))
            return
        self._failed_at = monotonic()
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._failed_at - self._said_at > SAY_EVERY_S:
            self._said_at = self._failed_at
            log.warning("brokers_unreachable", next="the worker goes on trying; check the cluster and the network")

    def _report_fatal(self, error: KafkaError) -> None:
        self.join_anew(
            WorkerFenced(f"Kafka ended this consumer: {error.str()}", next_step="look for a second worker with this --worker-id")
        )

    def join_anew(self, error: WorkerFenced) -> None:
        """Go on with a new client after a fencing, unless a second worker of this name lives; from any thread, returns at once.

        Consumer and producer are fenced one by one, and the consumer is told of it twice: the first to say so counts.
        """
        if not self._is_fenced:
            self._is_fenced = True
            self._commands.put(partial(self._join_anew, error))

    def left_group(self) -> None:
        """Note that the group refused this worker's offsets. It tells what is this worker's own next; else that is asked for."""
        self.app.loop.call_later(TOLD_S, self._join_unless_told, self._generation)

    def _join_unless_told(self, generation: int) -> None:
        if self._owned and generation == self._generation and not self._is_stopping:
            self.join_anew(WorkerFenced("the group refused the offsets, and has told nothing since", is_own_doing=True))

    def _join_anew(self, error: WorkerFenced) -> None:
        """Drop everything and join anew.

        A static member whose session timed out may fence itself: it forgets its id and may still send a heartbeat, without an
        id, before it joins again; the group takes that for a second member of its name (librdkafka's issue 3437).
        """
        if self._client is None:  # the worker stops
            return
        log.warning("fenced", why=error.what, next="nothing, unless it comes again: then look for a second worker of this name")
        self._members.add(self._client.memberid())
        self._close()
        if self._owned:  # the close did not say so
            self._on_loop(self._revoke(set(self._owned), lost=True))
            self._owned = frozenset()
        try:
            self._fencings.await_alone(error, self._members - {""})
        except Interrupted:
            return
        except WorkerFenced as end:
            self._report(end)
            return
        log.info("joining_anew")
        self._client, self._is_fenced = self._new_client(), False
        self._subscribe(self._names)

    def _report(self, error: Exception) -> None:
        asyncio.run_coroutine_threadsafe(self.app.crash(error), self.app.loop)

    def _fetch(self) -> list[Block]:
        """Run queued commands, serve callbacks, and give the fetched records by partition."""
        while not self._commands.empty():
            self._commands.get()()
        is_full = self._outstanding > MAX_OUTSTANDING
        if is_full and monotonic() - self._polled_at < SERVE_S:
            return []
        self._polled_at, self._began = monotonic(), self.app.worker.config.wall()
        emptied, self._emptied = self._emptied + 1, 0
        if self._client is None:  # fenced, and not to come back
            sleep(_IDLE_S)
            return []
        first = self._client.poll(_IDLE_S)
        if first is None:
            self._emptied = emptied
            return []
        more = () if is_full else self._client.consume(BLOCK_RECORDS, 0)
        if not is_full and len(more) < BLOCK_RECORDS:
            self._emptied = emptied
        return self._blocks([first, *more])

    def _blocks(self, messages: list[Any]) -> list[Block]:
        epoch = self._reading_epoch
        blocks: dict[tuple[str, int], Block] = {}
        block: Block | None = None  # the latest: records of a partition mostly come together
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                self._on_record_error(error, message)
                continue
            if block is None or message.partition() != block.partition or message.topic() != block.topic:
                topic, partition = message.topic(), message.partition()
                block = blocks.setdefault((topic, partition), Block(topic, partition, epoch))
            if error is None:
                block.append(message)
                block.at_end = False
            else:
                block.at_end, block.end = True, message.offset()
        return list(blocks.values())

    def _on_record_error(self, error: KafkaError, message: Any) -> None:
        where = f"{message.topic()}/{message.partition()}"
        if error.fatal() or error.code() == KafkaError._FATAL:  # a fenced static member is told here, not by `error_cb`
            self._report_fatal(error)
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._report(
                PositionLost(
                    "the position to read from is gone from the log", where=where, next_step="check the topic's retention"
                )
            )
        elif error.code() in kafka.NOT_ALLOWED:
            self._report(kafka.not_allowed(error, where))
        else:
            log.warning("fetch_error", error=error.name(), where=where)
            if error.code() in UNKNOWN_TOPIC:
                self.sources.suspect()

    @Service.task
    async def _watch_sources(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_EVERY_S)
            if not self.sources.is_suspicious:
                continue
            try:
                await asyncio.get_running_loop().run_in_executor(None, self.sources.look)
            except OrchestratorError as error:
                await self.app.crash(error)
                return

    @Service.task
    async def _ask_for_ends(self) -> None:
        while not self.should_stop:
            await self.sleep(ASK_EVERY_S)
            if self._owned and not self._emptied:
                await asyncio.get_running_loop().run_in_executor(None, self._ends.ask, self._owned)

    @Service.task
    async def _poll(self) -> None:
        # Begins with the first subscription: Faust starts its own fetcher only after an assignment, which needs polling.
        loop = asyncio.get_running_loop()
        while not self.should_stop:
            if not self._subscribed:
                await self.sleep(_IDLE_S)
                continue
            blocks = await loop.run_in_executor(self._thread, self._fetch)
            for block in blocks:
                if block.epoch == self.epoch:
                    self._outstanding += len(block)
                    self._under_way[block.partition] += 1
                    await self.callback(self._to_message(TP(block.topic, block.partition), block))
            self._handed_over()
            if self._outstanding > MAX_OUTSTANDING:
                await self.sleep(0.005)

    def _handed_over(self) -> None:
        """Note that all blocks of the latest poll are with the worker, or were stale."""
        if self._emptied > 1:
            self._looked = self._began

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        # A message whose generation is not the app's is skipped by Faust without a word.
        offset = record[-1].offset() if record else -1
        return ConsumerMessage(
            tp.topic, tp.partition, offset, 0.0, 0, [], None, record, None, 0, 0, tp, generation_id=self._generation
        )  # fmt: skip

    # What Faust asks of a consumer.

    def assignment(self) -> set[TP]:
        """Give the partitions owned now; librdkafka is not asked, see the module's first lines."""
        return set(self._owned)

    def topic_partitions(self, topic: str) -> int | None:
        """Give the partition count, None where the topic is unknown."""
        metadata = self._client.list_topics(topic, timeout=10).topics.get(topic)
        return len(metadata.partitions) if metadata else None

    async def commit(self, *args: Any, **kwargs: Any) -> bool:
        """Do nothing: offsets are committed in the cycle's transaction."""
        return True

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return True

    async def perform_seek(self) -> None:
        """Do nothing: `read_from` sets the position."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Do nothing: `read_from` sets the position."""
        return {}

    async def _seek(self, partition: TP, offset: int) -> None:
        raise NotImplementedError("a partition is read from its store's position: use read_from")

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Refuse: see `read_from`."""
        raise NotImplementedError("a partition is read from its store's position: use read_from")

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Refuse: see `read_from`."""
        raise NotImplementedError("a partition is read from its store's position: use read_from")

    async def position(self, tp: TP) -> int | None:
        """Give the next offset of a partition as the worker stands."""
        offset: int | None = self.app.worker.next_offset(tp)
        return offset

    def highwater(self, tp: TP) -> int:
        """Give -1: the worker's own metrics tell the lag."""
        return -1

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Give nothing: Faust uses this for its own recovery only."""
        return {}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Give nothing: Faust uses this for its own recovery only."""
        return {}

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Leave the choice to whoever produces."""
        return partition

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `orchestrator topics create` makes topics, a worker never does."""

    async def _getmany(self, *args: Any) -> Any:
        raise NotImplementedError("records come as blocks from the poll thread")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)


class Fetcher(base.Fetcher):
    """Faust's fetcher, idle: the consumer's own poll thread fetches."""

    @Service.task
    async def _fetcher(self) -> None:
        return


class Producer(base.Producer):
    """Faust's producer, closed: everything the worker says goes out in the cycle's transaction."""

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a send outside the cycle would not be exactly once."""
        raise NotImplementedError("sends go through the worker's cycle, which is exactly once; Faust's own are not")

    async def flush(self) -> None:
        """Do nothing."""

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: a worker makes no topics."""

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Refuse: see `send`."""
        raise NotImplementedError


class Transport(base.Transport):
    """What `broker="librdkafka://host:port"` gives."""

    Consumer = Consumer
    Producer = Producer
    Fetcher = Fetcher
    default_port = 9092
    driver_version = f"librdkafka {confluent_kafka.libversion()[0]}"

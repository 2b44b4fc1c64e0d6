"""When all that the logs had is handled: of a queue that was emptied, and of one that another partition's backlog fills."""

from __future__ import annotations

from collections import Counter
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer
from faust.types import TP

from orchestrator.stream import transport
from orchestrator.stream.blocks import Block
from orchestrator.stream.clock import TIMER_GRACE_MS, PartitionClock
from orchestrator.stream.ends import LogEnds
from orchestrator.stream.transport import Consumer
from tests.brokers import Broker, unique
from tests.stream.bench import EVENTS, START

CALM, BUSY = 0, 1  # partitions
A_BACKLOG = 3 * transport.BLOCK_RECORDS


class Ends(LogEnds):
    """The brokers' answers, as they would come."""

    def answer(self, at: int, ends: dict[int, int]) -> None:
        self._answer = at, {partition: {EVENTS: end} for partition, end in ends.items()}


class Reading:
    """A consumer over a queue to fill by hand, and the wall clock; `next` are the offsets up to which all is handled."""

    def __init__(self) -> None:
        self.now = START
        self.queue: list[Message] = []
        self.next = {CALM: 0, BUSY: 0}
        self.ends = Ends({}, lambda: self.now)
        self.consumer: Any = Consumer.__new__(Consumer)
        worker = SimpleNamespace(config=SimpleNamespace(wall=lambda: self.now))
        self.consumer.__dict__.update(
            app=SimpleNamespace(worker=worker), epoch=1, _reading_epoch=1, _outstanding=0, _under_way=Counter(),
            _commands=SimpleQueue(), _client=self, _looked=0, _began=0, _polled_at=0.0, _emptied=0, _ends=self.ends,
        )  # fmt: skip

    def poll(self, _timeout: float) -> Message | None:
        return self.queue.pop(0) if self.queue else None

    def consume(self, count: int, _timeout: float) -> list[Message]:
        taken, self.queue = self.queue[:count], self.queue[count:]
        return taken

    def turn(self) -> list[Block]:
        """Fetch once, as the poll task does, and handle what was found."""
        blocks: list[Block] = self.consumer._fetch()
        for block in blocks:
            self.consumer._outstanding += len(block)
            self.consumer._under_way[block.partition] += 1
        self.consumer._handed_over()
        for block in blocks:
            if block:
                self.next[block.partition] = block[-1].offset() + 1
            self.consumer.handled(block)
        return blocks

    def looked(self, partition: int) -> int | None:
        found: int | None = self.consumer.looked(partition, {EVENTS: self.next[partition]})
        return found


def _record(partition: int, offset: int) -> Message:
    return Message(topic=EVENTS, partition=partition, offset=offset, key=b"c", value=b"", headers=None, timestamp=(1, START))


def _end(partition: int, offset: int) -> Message:
    end = KafkaError(KafkaError._PARTITION_EOF)
    return Message(topic=EVENTS, partition=partition, offset=offset, error=end)


def test_a_look_counts_once_all_that_it_found_is_handled() -> None:
    reading = Reading()
    consumer = reading.consumer
    consumer._looked, consumer._under_way[CALM] = START, 1
    assert reading.looked(CALM) is None
    assert reading.looked(BUSY) == START
    consumer.handled(Block(EVENTS, CALM, 0))  # stale: fetched before the latest seek
    assert reading.looked(CALM) is None
    consumer.handled(Block(EVENTS, CALM, 1))
    assert reading.looked(CALM) == START
    consumer._under_way[CALM] += 1
    consumer.read_from({})
    assert reading.looked(CALM) == START


def test_t5_records_behind_another_partitions_backlog_are_not_taken_for_none() -> None:
    """A record of the calm partition waits in the queue; a timer that it should stop is due meanwhile."""
    reading = Reading()
    reading.turn()
    reading.turn()
    assert reading.looked(CALM) == START
    reading.queue = [*(_record(BUSY, n) for n in range(A_BACKLOG)), _record(CALM, 0)]
    clock = PartitionClock([EVENTS], START, lambda: reading.now)
    clock.reached_end(EVENTS)
    while reading.queue:
        reading.now += 5_000
        reading.turn()
        looked = reading.looked(CALM)
        assert looked is not None
        clock.looked(looked)
        assert reading.next[CALM] == 1 or clock.timers_before() < START
    reading.now += 5_000
    reading.turn()
    assert reading.looked(CALM) is not None
    reading.turn()
    assert reading.looked(CALM) == reading.now


def test_t5_timers_go_on_beside_another_partitions_backlog() -> None:
    """The brokers say that the calm partition has nothing that is not handled: its timers need not wait for the other's."""
    reading = Reading()
    reading.queue = [_record(BUSY, n) for n in range(A_BACKLOG)]
    reading.turn()
    assert reading.looked(CALM) == 0
    reading.now += 60_000
    reading.ends.answer(reading.now, {CALM: 0, BUSY: A_BACKLOG})
    assert reading.looked(CALM) == reading.now
    assert reading.looked(BUSY) == 0
    clock = PartitionClock([EVENTS], START, lambda: reading.now)
    clock.reached_end(EVENTS)
    clock.looked(reading.now)
    assert clock.timers_before() == reading.now - TIMER_GRACE_MS
    reading.ends.answer(reading.now + 1_000, {CALM: 1, BUSY: A_BACKLOG})  # a record came, and waits behind the others
    assert reading.looked(CALM) == 0


def test_t4_a_queue_just_emptied_may_have_stopped_the_fetching_so_the_next_look_counts() -> None:
    reading = Reading()
    reading.queue = [_record(BUSY, n) for n in range(transport.BLOCK_RECORDS + 1)]
    reading.turn()
    assert reading.looked(CALM) == 0
    reading.turn()
    assert reading.looked(CALM) == 0
    reading.now += 50
    reading.turn()
    assert reading.looked(CALM) == reading.now


def test_t4_a_reader_that_takes_no_more_has_not_looked() -> None:
    reading = Reading()
    reading.consumer._outstanding = transport.MAX_OUTSTANDING + 1
    for _ in range(3):
        reading.consumer._polled_at = 0.0
        reading.turn()
    assert reading.looked(CALM) == reading.now  # nothing came although it asked
    reading.now += 10_000
    reading.queue = [_record(BUSY, 0), _record(CALM, 0)]
    reading.consumer._polled_at = 0.0
    reading.turn()
    assert reading.looked(CALM) == reading.now - 10_000


def test_markers_at_a_logs_end_are_no_records_to_wait_for() -> None:
    reading = Reading()
    reading.queue = [_record(CALM, 0), _end(CALM, 3)]
    reading.ends.answer(START + 7, {CALM: 3})
    assert reading.looked(CALM) == 0
    reading.turn()
    assert reading.looked(CALM) == START + 7
    reading.consumer.read_from({TP(EVENTS, CALM): 0})
    reading.next[CALM] = 0
    assert reading.looked(CALM) != START + 7, "what the reader had reached before it began anew says nothing"


def test_t5_the_brokers_tell_where_the_logs_end(broker: Broker) -> None:
    topic = unique("ends")
    broker.create_topic(topic, 2)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for _ in range(5):
        producer.produce(topic, b"v", partition=1)
    assert producer.flush(30) == 0
    ends = LogEnds({"bootstrap.servers": broker.bootstrap}, lambda: START)
    assert ends.all_handled_at(1, {topic: 5}) is None
    ends.ask({TP(topic, 0), TP(topic, 1)})
    assert ends.all_handled_at(1, {topic: 5}) == START
    assert ends.all_handled_at(1, {topic: 4}) is None
    assert ends.all_handled_at(0, {topic: 0}) == START
    assert ends.all_handled_at(2, {}) is None


@pytest.mark.timeout(60)
def test_without_an_answer_nothing_is_known() -> None:
    ends = LogEnds({"bootstrap.servers": "127.0.0.1:1"}, lambda: START)
    ends.ask({TP(EVENTS, 0)})
    assert ends.all_handled_at(0, {EVENTS: 9}) is None

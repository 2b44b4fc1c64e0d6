"""Where a partition stands: from the group's offsets, else from the journal's last record, else from the local store.

The first two are in the same transaction as the outputs, so either is right; offsets can expire, and the embedded broker
forgets them, the journal cannot. A partition that none of them knows starts at the beginning of its topics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import PositionLost, Unreachable
from orchestrator.language.model import Streams
from orchestrator.wire.journal import JournalRecord, chain_of, decode_journal

_TIMEOUT_S: Final = 15
_LOOK_BACK: Final = 64


class Committed(Struct):
    """What the group knows of one partition. `cycle` and `chain` come from the offset's metadata."""

    sources: dict[str, int]
    cycle: int = 0
    chain: int = 0
    newest: int = 0


def metadata_of(cycle: int, chain: int, newest: int) -> str:
    """Give the metadata string that a cycle leaves with each of its offsets."""
    return f"{cycle} {chain} {newest}"


def _read_metadata(text: str | None) -> tuple[int, int, int]:
    try:
        cycle, chain, newest = (int(part) for part in (text or "").split())
    except ValueError:
        return 0, 0, 0
    return cycle, chain, newest


def committed(consumer: Consumer, topics: Sequence[str], partition: int) -> Committed | None:
    """Read the group's offsets of one partition; None where it has none. Waits for a transaction that is about to move them."""
    try:
        found = consumer.committed([TopicPartition(t, partition) for t in topics], timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise Unreachable(
            f"the group's offsets cannot be read: {error.args[0].name()}", next_step="check the brokers and Read on the group"
        ) from error
    sources = {tp.topic: tp.offset for tp in found if tp.offset >= 0}
    if not sources:
        return None
    cycle, chain, newest = max(_read_metadata(tp.metadata) for tp in found if tp.offset >= 0)
    return Committed(sources, cycle, chain, newest)


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Give a log's first and next offset, asked of the broker. Raises Unreachable."""
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise unreachable(f"{topic}/{partition}", error) from error
    return int(low), int(high)


def unreachable(what: str, error: KafkaException) -> Unreachable:
    """Say that something in Kafka cannot be read just now."""
    return Unreachable(
        f"{what} cannot be read: {error.args[0].name()}",
        next_step="check the brokers, and that this principal may Read and Describe the topics of the app",
    )


def journal_tail(consumer: Consumer, topic: str, partition: int) -> Committed | None:
    """Read a position from the last record of a partition's journal, None where it is empty.

    The consumer loses its assignment.
    """
    low, high = bounds(consumer, topic, partition)
    reach = _LOOK_BACK
    while high > low:
        start = max(low, high - reach)
        last = _last_value(consumer, TopicPartition(topic, partition, start))
        if last is not None:
            record = _journal_record(last, f"{topic}/{partition}")
            return Committed(dict(record.sources), record.cycle, chain_of(last), record.newest)
        if start == low:
            break
        reach *= 8  # only transaction markers so far
    return None


def last_cycle(client: Mapping[str, Any], streams: Streams, topics: Sequence[str], partition: int) -> Committed | None:
    """Ask Kafka for the last cycle of a partition. Blocks; raises Unreachable."""
    consumer = kafka.consumer(
        {
            **client, "group.id": streams.app, "enable.auto.commit": False, "isolation.level": "read_committed",
            "enable.partition.eof": True, "auto.offset.reset": "error",
        }
    )  # fmt: skip
    try:
        found = committed(consumer, topics, partition)
        return found if found is not None and found.cycle else journal_tail(consumer, streams.journal, partition)
    finally:
        consumer.close()


def _journal_record(value: bytes, where: str) -> JournalRecord:
    try:
        return decode_journal(value)
    except (ValueError, EOFError, IndexError) as error:
        raise PositionLost(
            "the journal's last record cannot be read",
            where=where,
            next_step="another program or a newer version wrote it: see which, and start that version",
        ) from error


def _last_value(consumer: Consumer, start: TopicPartition) -> bytes | None:
    consumer.assign([start])
    last: bytes | None = None
    try:
        while True:
            message: Any = consumer.poll(_TIMEOUT_S)
            if message is None:
                raise Unreachable("the journal's end was not reached in time", where=f"{start.topic}/{start.partition}")
            if message.error() is None:
                last = message.value()
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return last
            else:
                raise unreachable("the journal", KafkaException(message.error()))
    finally:
        consumer.unassign()


def check_in_log(consumer: Consumer, topic: str, partition: int, offset: int | None) -> int:
    """Give the offset to start from, the log's beginning for None. Raises PositionLost where it lies outside the log."""
    low, high = bounds(consumer, topic, partition)
    if offset is None:
        return low
    if not low <= offset <= high:
        raise PositionLost(
            f"the next offset to read is {offset}, the log holds {low} to {high}",
            where=f"{topic}/{partition}",
            next_step="records between were deleted or the topic was made anew: decide what to do about them before going on",
        )
    return offset

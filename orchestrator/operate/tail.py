"""Actions as channel services see them, decoded: the last ones, all of them, or as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import TopicMismatch, Unreachable
from orchestrator.language.model import Policy
from orchestrator.wire.actions import decode_action
from orchestrator.wire.lines import iso

_TIMEOUT_S: Final = 10.0
# Transaction markers take offsets too, so that the last n records may lie further back than n offsets.
_REACH_BACK: Final = 4
_REACH_BACK_LEAST: Final = 100
WIDTHS: Final = (20, 10, 26, 21)  # at, customer, journey/step, channel template: 80 columns with the gaps


Ranges = dict[tuple[str, int], tuple[int, int]]


class Tailed(Struct, frozen=True):
    """One record of an action topic; `action` is None where it is no action of this version, `position` says where it stands."""

    action: dict[str, Any] | None
    position: str


def action_topics(policy: Policy, channel: str = "") -> list[str]:
    """Give the topics of one channel of the policy's, or of all."""
    chosen = [policy.channels[channel]] if channel else policy.channels.values()
    return sorted({each.topic for each in chosen})


def tail(
    conf: Mapping[str, Any],
    topics: Sequence[str],
    *,
    last: int | None = None,
    follow: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Tailed]:
    """Give the committed actions of these topics.

    `last` gives that many of the newest, in order of their time; None gives all from the beginning, each partition in its order.
    `follow` goes on with what comes after, until `stop` says so. Blocks; raises Unreachable or TopicMismatch.
    """
    # Asked for now, not at the first action: what is wrong is raised before anything is shown.
    return _tail(conf, _ranges(conf, topics), last, follow, stop)


def _tail(conf: Mapping[str, Any], ranges: Ranges, last: int | None, follow: bool, stop: Callable[[], bool]) -> Iterator[Tailed]:
    if last is None:
        start = [TopicPartition(topic, number, low) for (topic, number), (low, _) in ranges.items()]
        yield from (_tailed(message) for message in kafka.read_partitions(conf, start, follow=follow, stop=stop))
        return
    yield from _newest(conf, ranges, last, stop)
    if follow:
        ends = [TopicPartition(topic, number, high) for (topic, number), (_, high) in ranges.items()]
        yield from (_tailed(message) for message in kafka.read_partitions(conf, ends, follow=True, stop=stop))


def _newest(conf: Mapping[str, Any], ranges: Ranges, last: int, stop: Callable[[], bool]) -> list[Tailed]:
    if last == 0:
        return []
    back = max(last * _REACH_BACK, _REACH_BACK_LEAST)
    start = [TopicPartition(topic, number, max(low, high - back)) for (topic, number), (low, high) in ranges.items()]
    found: list[Any] = [message for message in kafka.read_partitions(conf, start, stop=stop) if _is_before(message, ranges)]
    found.sort(key=lambda message: (message.topic(), message.partition(), message.offset()))
    return sorted(map(_tailed, found), key=lambda each: each.action["created_at"] if each.action else 0)[-last:]


def _is_before(message: Any, ranges: Ranges) -> bool:
    """Tell whether a message was there when the ranges were asked for; the rest is for whoever follows."""
    return bool(message.offset() < ranges[message.topic(), message.partition()][1])


def _ranges(conf: Mapping[str, Any], topics: Sequence[str]) -> Ranges:
    """Give the first and the next committed offset of every partition."""
    counts = kafka.partition_counts(kafka.reach(conf))
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        raise TopicMismatch(f"no such topic: {', '.join(missing)}", next_step="orchestrator topics create --execute")
    client = kafka.consumer({"group.id": "orchestrator-reader", "isolation.level": "read_committed", **conf})
    try:
        each = [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]
        return {(one.topic, one.partition): client.get_watermark_offsets(one, timeout=_TIMEOUT_S) for one in each}
    except KafkaException as error:
        raise Unreachable(f"Kafka did not say where its topics end: {error.args[0].str()}") from None
    finally:
        client.close()


def _tailed(message: Any) -> Tailed:
    position = f"{message.topic()}/{message.partition()}/{message.offset()}"
    try:
        return Tailed(decode_action(message.value() or b""), position)
    except ValueError:
        return Tailed(None, position)


def table_line(action: Mapping[str, Any]) -> str:
    """Give one action as a line of 80 columns at most: time, customer, journey/step, channel and template."""
    what = action["template"] or action["action"] or action["kind"]
    if action["kind"] == "cancel":
        what = f"cancel {action['action_id']}"
    at = iso(action["created_at"] // 1000 * 1000)
    return _row((at, action["customer"], f"{action['journey']}/{action['step']}", f"{action['channel']} {what}"))


def _cell(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def table_head() -> str:
    """Give the line above the table."""
    return _row(("AT", "CUSTOMER", "JOURNEY/STEP", "ACTION"))


def _row(cells: Sequence[str]) -> str:
    return " ".join(_cell(text, width) for text, width in zip(cells, WIDTHS, strict=True)).rstrip()

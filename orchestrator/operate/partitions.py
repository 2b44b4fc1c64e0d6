"""Partitions that the circuit breaker stopped (rule B2): which they are, and letting them go on."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition
from msgspec.structs import replace

from orchestrator import kafka
from orchestrator.errors import RefusedByState, TopicMismatch, Unreachable
from orchestrator.language.model import Streams
from orchestrator.wire.stops import Stop, StopBoard, encode_stop

_TIMEOUT_S: Final = 30.0


def stopped(conf: Mapping[str, Any], streams: Streams) -> list[Stop]:
    """Give the stops that hold now, by partition. Blocks; raises Unreachable, TopicMismatch where the topic is missing."""
    topic = kafka.reach(conf, _TIMEOUT_S).topics.get(streams.definitions)
    if topic is None:
        raise TopicMismatch(
            "the topic of definitions is missing", where=streams.definitions, next_step="orchestrator topics create --execute"
        )
    board = StopBoard(streams.app)
    start = [TopicPartition(streams.definitions, 0, OFFSET_BEGINNING)]
    board.read((message.key(), message.value()) for message in kafka.read_partitions(conf, start))
    return [stop for _, stop in sorted(board.stopped().items())]


def chosen(stops: Sequence[Stop], numbers: Collection[int], app: str) -> list[Stop]:
    """Give the stops of these partitions, of all where none are named. Raises RefusedByState where one is not stopped."""
    going = sorted(set(numbers) - {stop.partition for stop in stops})
    if going or not stops:
        names = ", ".join(map(str, going)) or "none"
        raise RefusedByState(
            f"not stopped: partition {names}" if going else "no partition is stopped",
            where=app,
            next_step="orchestrator partitions list shows which are",
        )
    return [stop for stop in stops if not numbers or stop.partition in numbers]


def release(conf: Mapping[str, Any], streams: Streams, stops: Sequence[Stop]) -> None:
    """Let partitions go on from these stops; their workers hear of it within seconds. Blocks; raises Unreachable."""
    client = kafka.producer({**conf, "enable.idempotence": True, "delivery.timeout.ms": int(_TIMEOUT_S * 1000)})
    failed: list[Any] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error)

    now = time.time_ns() // 1_000_000
    for stop in stops:
        key, value = encode_stop(replace(stop, at=now), "released")
        try:
            client.produce(
                streams.definitions, value, key, 0, on_delivery=lambda error, _: failed.extend([error] if error else [])
            )
        except KafkaException as error:
            failed.append(error.args[0])
    left = client.flush(_TIMEOUT_S)
    if failed or left:
        why = failed[0].str() if failed else "no answer"
        raise Unreachable(
            f"the release was not written: {why}",
            where=streams.definitions,
            next_step="check the cluster, and that this principal may Write the topic; to do it twice does no harm",
        )

"""Which topics keep what of customers, and for how long: what an erasure leaves to retention, what an export looks through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]
from msgspec import Struct

from orchestrator import kafka
from orchestrator.language.durations import format_duration
from orchestrator.language.model import Topology

_TIMEOUT_S: Final = 15.0
_DAY_MS: Final = 86_400_000


class Kept(Struct, frozen=True):
    """One topic: what is in it, whether it is compacted, and until when what is written to it stays, as text."""

    topic: str
    what: str
    is_compacted: bool
    stays: str


def purposes(topology: Topology) -> dict[str, str]:
    """Give every topic that has records of customers, and what these are."""
    streams = topology.streams
    found = {each.topic: "events" for each in streams.events}
    found |= {streams.outcomes: "outcomes", streams.operations: "what operators asked for"}
    found |= {channel.topic: "actions" for channel in topology.policy.channels.values()}
    found |= {streams.exports: "exports that the customer asked for", streams.audit: "who had values shown"}
    return found | {streams.transitions: "decisions", streams.incidents: "incidents, with the records that they are about"}


def kept(conf: Mapping[str, Any], topics: Mapping[str, str]) -> list[Kept]:
    """Ask Kafka how long each topic keeps its records; what it will not tell is said so. Blocks."""
    client = kafka.admin(conf)
    asked = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics}
    futures = client.describe_configs(list(asked.values()), request_timeout=_TIMEOUT_S)
    return [_kept(name, what, futures[asked[name]]) for name, what in topics.items()]


def _kept(name: str, what: str, future: Any) -> Kept:
    try:
        settings = {key: entry.value for key, entry in future.result(_TIMEOUT_S).items()}
    except (KafkaException, TimeoutError):
        return Kept(name, what, False, "unknown: this principal may not ask")
    is_compacted = "compact" in settings.get("cleanup.policy", "")
    return Kept(name, what, is_compacted, "until compacted" if is_compacted else _span(settings))


def _span(settings: Mapping[str, str]) -> str:
    """Say how long records stay: Kafka drops whole segments, so it may be one segment's span longer."""
    span = int(settings.get("retention.ms", "-1"))
    size = int(settings.get("retention.bytes", "-1"))
    days = f"{span // _DAY_MS} days" if span >= _DAY_MS else format_duration(max(span, 0))
    limit = f", or while the partition is below {size} bytes" if size >= 0 else ""
    return ("for ever" if span < 0 else days) + limit


def named(found: Iterable[Kept], topic: str) -> Kept:
    """Give what is known of one topic."""
    return next(each for each in found if each.topic == topic)

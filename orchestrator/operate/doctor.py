"""What is wrong with a running system, seen from its topics: producers, partitions, retention, clocks, rights.

A sample of the newest records of each source topic is put through the worker's own gate and partitioner; nothing is written and
no customer named. A finding is `wrong` where events are lost, refused or disordered by it, a `note` where it may be meant.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from msgspec import Struct, field

from orchestrator.language.model import Topology
from orchestrator.operate import documents, topics
from orchestrator.stream import rights
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.partitioning import partition_for

SAMPLE: Final = 500  # records of each partition
_AHEAD_MS: Final = 60_000
_BEHIND_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
_TIMEOUT_S: Final = 15.0
_OWN: Final = 1_048_576  # the largest record that a worker writes

Result = Literal["ok", "note", "wrong"]


class Finding(Struct, frozen=True):
    """One thing that was looked at. `next_step` says what to do about what is not ok."""

    check: str
    where: str
    result: Result
    detail: str
    next_step: str = ""


class Patient(Struct, frozen=True):
    """The system that is looked at. `gate` hears all types; `now` is the wall clock, ms UTC."""

    topology: Topology
    gate: Gate
    now: int


def examine(
    conf: Mapping[str, Any], admin: AdminClient, patient: Patient, say: Callable[[str], None] = lambda line: None
) -> list[Finding]:
    """Look at everything. Blocks; raises Unreachable."""
    streams, policy = patient.topology.streams, patient.topology.policy
    planned = topics.compare(admin, topics.plan(streams, policy))
    found = [*_topics(planned), *_settings(admin, planned), _rights(admin, patient.topology)]
    present = {each.spec.name for each in planned if each.found is not None}
    for topic in streams.sources:
        if topic in present:
            say(f"looking at the newest records of {topic}")
            found += _records(conf, topic, patient)
    return found


def _topics(planned: Sequence[topics.Planned]) -> Iterator[Finding]:
    for each in planned:
        if each.state == "create":
            yield Finding("topic", each.spec.name, "wrong", "is missing", "orchestrator topics create --execute")
        elif each.state == "MISMATCH":
            detail = f"has {each.found} partitions instead of {each.spec.partitions}"
            yield Finding("topic", each.spec.name, "wrong", detail, "use new topics and a new app name, or correct streams.yaml")
        for name, value in each.drift.items():
            detail = f"{name}={value}, planned is {each.spec.config[name]}"
            yield Finding("topic", each.spec.name, "note", detail, "correct it with kafka-configs, if it is not meant so")
    wrong = sum(each.state != "exists" for each in planned)
    if not wrong:
        yield Finding("topic", "", "ok", f"all {len(planned)} are there, each with its partitions")


def _settings(admin: AdminClient, planned: Sequence[topics.Planned]) -> Iterator[Finding]:
    """What loses records, or lets a broker lose them, and is not in the plan."""
    resources = [ConfigResource(ConfigResource.Type.TOPIC, each.spec.name) for each in planned if each.found is not None]
    purposes = {each.spec.name: each.spec.purpose for each in planned}
    for resource, future in admin.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        try:
            told = {name: entry.value for name, entry in future.result().items()}
        except KafkaException:
            continue
        yield from _of_topic(resource.name, purposes[resource.name], told)


def _of_topic(name: str, purpose: str, told: Mapping[str, str]) -> Iterator[Finding]:
    policy, kept = told.get("cleanup.policy", ""), int(told.get("retention.ms") or -1)
    if purpose in ("events", "outcomes", "operations") and "compact" in policy:
        detail = f"cleanup.policy={policy} keeps only the last event of a customer"
        yield Finding("retention", name, "wrong", detail, "set cleanup.policy=delete")
    if purpose == "events" and "delete" in policy and 0 <= kept < _DAY_MS:
        detail = f"events are deleted after {kept / 3_600_000:.1f} hours: a worker that was away for longer has lost some"
        yield Finding("retention", name, "note", detail, "raise retention.ms")
    if int(told.get("max.message.bytes") or _OWN) < _OWN:
        detail = f"max.message.bytes={told['max.message.bytes']}: a record of {_OWN} bytes stops the worker (ORC-012)"
        yield Finding("size", name, "note", detail, f"set max.message.bytes to {_OWN} or more")


def _rights(admin: AdminClient, topology: Topology) -> Finding:
    lacking = rights.missing(admin, rights.needed(topology.streams, topology.policy))
    if not lacking:
        return Finding("rights", "", "ok", "nothing that a worker needs is known to be refused to this principal")
    detail = "; ".join(map(str, lacking[:3])) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
    return Finding(
        "rights", "", "wrong", f"refused to this principal: {detail}", "orchestrator acls create --principal User:NAME"
    )


class _Sample(Struct):
    """What the newest records of one topic say."""

    seen: int = 0
    elsewhere: int = 0
    first_elsewhere: str = ""
    ahead: int = 0
    furthest_ms: int = 0
    by_broker: int = 0
    newest: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)


def _records(conf: Mapping[str, Any], topic: str, patient: Patient) -> Iterator[Finding]:
    count = patient.topology.streams.partitions
    bounds = documents.ranges(conf, topic, range(count))
    newest = {number: (max(low, high - SAMPLE), high) for number, (low, high) in bounds.items()}
    sample = _Sample()
    for message in documents.read(conf, topic, newest):
        _take(sample, message, patient.gate, count, patient.now)
    if not sample.seen:
        yield Finding("records", topic, "note", "has no records", "see whether its producers run")
        return
    yield from _verdicts(sample, topic, patient.now)


def _take(sample: _Sample, message: Any, gate: Gate, count: int, now: int) -> None:
    sample.seen += 1
    key, (kind, at) = message.key(), message.timestamp()
    if key and partition_for(key, count) != message.partition():
        sample.elsewhere += 1
        sample.first_elsewhere = sample.first_elsewhere or f"{message.partition()}/{message.offset()}"
    sample.by_broker += kind == TIMESTAMP_LOG_APPEND_TIME
    sample.newest = max(sample.newest, at)
    if at > now + _AHEAD_MS:
        sample.ahead += 1
        sample.furthest_ms = max(sample.furthest_ms, at - now)
    found = gate.admit(message, now)
    if isinstance(found, Refusal):
        sample.refused[found.reason] += 1
    elif found is not None:
        sample.types[found.type] += 1


def _verdicts(sample: _Sample, topic: str, now: int) -> Iterator[Finding]:
    looked = f"of the newest {sample.seen:,} records"
    if sample.elsewhere:
        detail = f"{sample.elsewhere:,} {looked} are not in their key's partition, first {sample.first_elsewhere}"
        step = "a producer does not use murmur2: with librdkafka set partitioner=murmur2_random"
        yield Finding("partitioner", topic, "wrong", detail, step)
    else:
        yield Finding("partitioner", topic, "ok", f"{sample.seen:,} records, each in its key's partition")
    if sample.ahead:
        detail = f"{sample.ahead:,} {looked} are from the future, by up to {sample.furthest_ms / 1000:.0f} s"
        yield Finding("clock", topic, "wrong", detail, "a producer's clock is ahead: see to its NTP")
    if sample.by_broker:
        detail = f"{sample.by_broker:,} {looked} have the broker's time, not the event's: late events are not known as late"
        yield Finding("clock", topic, "note", detail, "set message.timestamp.type=CreateTime, if that is not meant")
    if sample.newest and now - sample.newest > _BEHIND_MS:
        detail = f"the newest record is {(now - sample.newest) / 3_600_000:,.1f} hours old"
        yield Finding("records", topic, "note", detail, "see whether its producers run")
    if sample.refused:
        told = ", ".join(f"{count:,} {reason}" for reason, count in sample.refused.most_common())
        yield Finding("records", topic, "wrong", f"refused {looked}: {told}", f"orchestrator incidents count --source {topic}")
    elif sample.types:
        told = ", ".join(f"{count:,} {name}" for name, count in sample.types.most_common(4))
        yield Finding("records", topic, "ok", told)


def now_ms() -> int:
    """Give the wall clock in ms UTC."""
    return time.time_ns() // 1_000_000

"""The topics that a topology needs: planned, compared with those that are there, and made.

Every topic that is keyed by customer has the same number of partitions, because a customer's work happens in one partition from
the first event to the last action. Settings that are not named here are the broker's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]
from msgspec import Struct, structs

from orchestrator.errors import RefusedByState, TopicMismatch, Unreachable
from orchestrator.language.model import Policy, Streams

TIMEOUT_S: Final = 30.0
_DAY_MS: Final = 86_400_000
_EXPORTS_MS: Final = 7 * _DAY_MS
_POLL_S: Final = 0.05

State = Literal["exists", "create", "MISMATCH"]


class TopicSpec(Struct, frozen=True):
    """A topic as it has to be; `purpose` in a word."""

    name: str
    partitions: int
    purpose: str
    config: Mapping[str, str] = {}


class TopicOptions(Struct, frozen=True):
    """What an operator may choose. -1 for the replication factor is the broker's default, for the retention it is for ever."""

    replication_factor: int = -1
    retention_ms: int | None = None  # of event topics; None: the broker's default
    journal_policy: Literal["compact", "delete"] = "compact"  # delete, kept for ever: every cycle stays for an audit
    history_ms: int = 7 * _DAY_MS  # how far back a worker may lag and a replay may reach


class Planned(Struct, frozen=True):
    """A topic, and how it stands. `found` is its partition count, `drift` the settings that differ, as name -> theirs."""

    spec: TopicSpec
    state: State
    found: int | None = None
    drift: Mapping[str, str] = {}


DEFAULT_OPTIONS: Final = TopicOptions()
SAFE_COPIES: Final = 3  # with so many, a write waits for two of them, and outlives any one broker; with fewer it cannot do both


def plan(streams: Streams, policy: Policy, options: TopicOptions = DEFAULT_OPTIONS) -> list[TopicSpec]:
    """Give every topic of a topology, in the order in which data passes through them."""
    count = streams.partitions
    kept = {} if options.retention_ms is None else {"retention.ms": str(options.retention_ms)}
    specs = [TopicSpec(each.topic, count, "events", kept) for each in streams.events]
    specs.append(TopicSpec(streams.outcomes, count, "outcomes", kept))
    specs.append(TopicSpec(streams.operations, count, "operations", {"retention.ms": "-1"}))
    specs += [TopicSpec(channel.topic, count, "actions", kept) for channel in policy.channels.values()]
    specs.append(TopicSpec(streams.transitions, count, "decisions", kept))
    # Incidents keep the original record's time, so any retention would drop those of old records before anybody saw them.
    specs.append(TopicSpec(streams.incidents, count, "incidents", {"retention.ms": "-1"}))
    # All that is kept of a customer in the clear: as long as whoever hands it on may take.
    specs.append(TopicSpec(streams.exports, count, "exports of customers", {"retention.ms": str(_EXPORTS_MS)}))
    specs.append(TopicSpec(streams.changelog, count, "changelog", _changelog(options)))
    specs.append(TopicSpec(streams.journal, count, "journal", _journal(options)))
    specs.append(TopicSpec(streams.definitions, 1, "definitions", {"cleanup.policy": "compact"}))
    specs.append(TopicSpec(streams.audit, 1, "audit", {"retention.ms": "-1"}))
    unique = {spec.name: spec for spec in reversed(specs)}  # two channels may share a topic
    chosen = [unique.pop(spec.name) for spec in specs if spec.name in unique]
    if options.replication_factor < SAFE_COPIES:
        return chosen
    return [structs.replace(spec, config={**spec.config, "min.insync.replicas": "2"}) for spec in chosen]


def _changelog(options: TopicOptions) -> dict[str, str]:
    """A store older than half of delete.retention.ms is rebuilt; max.compaction.lag.ms bounds how long erased bytes stay."""
    return {
        "cleanup.policy": "compact",
        "delete.retention.ms": str(2 * options.history_ms),
        "max.compaction.lag.ms": str(options.history_ms),
    }


def _journal(options: TopicOptions) -> dict[str, str]:
    """Compaction keeps each partition's last record for ever, the lag keeps all of the last days for replay."""
    if options.journal_policy == "delete":
        return {"cleanup.policy": "delete", "retention.ms": "-1"}
    return {"cleanup.policy": "compact", "min.compaction.lag.ms": str(options.history_ms)}


def compare(admin: AdminClient, specs: Sequence[TopicSpec]) -> list[Planned]:
    """Hold the specs against the cluster. Blocks; raises Unreachable."""
    try:
        topics = admin.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise Unreachable(f"Kafka did not list its topics: {error.args[0].str()}") from None
    present = [spec for spec in specs if spec.name in topics]
    settings = _settings(admin, [spec.name for spec in present])
    return [_planned(spec, topics.get(spec.name), settings.get(spec.name, {})) for spec in specs]


def _planned(spec: TopicSpec, topic: Any, settings: Mapping[str, str]) -> Planned:
    if topic is None:
        return Planned(spec, "create")
    count = len(topic.partitions)
    drift = {name: settings[name] for name, value in spec.config.items() if settings.get(name, value) != value}
    return Planned(spec, "exists" if count == spec.partitions else "MISMATCH", count, drift)


def _settings(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Give the settings of topics; none where the cluster will not tell, because they inform and decide nothing."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for resource, future in admin.describe_configs(resources, request_timeout=TIMEOUT_S).items():
        with contextlib.suppress(KafkaException):
            found[resource.name] = {name: entry.value for name, entry in future.result().items()}
    return found


def mismatch(planned: Sequence[Planned]) -> TopicMismatch | None:
    """Give the error for topics with the wrong partition count, None where there is none."""
    wrong = [each for each in planned if each.state == "MISMATCH"]
    if not wrong:
        return None
    listed = ", ".join(f"{each.spec.name} has {each.found} partitions instead of {each.spec.partitions}" for each in wrong)
    return TopicMismatch(
        listed,
        where="streams.yaml: partitions",
        next_step="partition counts are fixed for the life of an app: correct streams.yaml, or use new topics and a new app name",
    )


def create(admin: AdminClient, specs: Sequence[TopicSpec], replication_factor: int = -1) -> None:
    """Make topics and wait until each has its leaders. Blocks; one that another made meanwhile is fine.

    Raises RefusedByState with what the cluster said, Unreachable when it said nothing.
    """
    if not specs:
        return
    wanted = [NewTopic(s.name, s.partitions, replication_factor, config=dict(s.config)) for s in specs]
    refused: list[str] = []
    for name, future in admin.create_topics(wanted, request_timeout=TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as error:
            _note_refusal(name, error.args[0], refused)
    if refused:
        raise RefusedByState("; ".join(refused), next_step="see the broker's own limits and the rights of this principal")
    _wait_for_leaders(admin, specs)


def _note_refusal(name: str, error: KafkaError, refused: list[str]) -> None:
    if error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        raise Unreachable(f"Kafka did not answer while {name} was to be made: {error.str()}")
    if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
        refused.append(f"topic {name}: {error.str()}")


def _wait_for_leaders(admin: AdminClient, specs: Sequence[TopicSpec]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    waiting = {spec.name: spec.partitions for spec in specs}
    while waiting:
        topics = admin.list_topics(timeout=TIMEOUT_S).topics
        for name, count in list(waiting.items()):
            partitions = topics[name].partitions if name in topics else {}
            if len(partitions) >= count and all(each.leader >= 0 for each in partitions.values()):
                del waiting[name]
        if waiting and time.monotonic() > deadline:
            raise Unreachable(f"no leaders after {TIMEOUT_S:.0f} s for {', '.join(waiting)}")
        if waiting:
            time.sleep(_POLL_S)

"""What is checked on Kafka before anything joins the group: that it answers, what may be done there, and the topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import TopicMismatch
from orchestrator.kafka import admin, partition_counts, wait_for_broker
from orchestrator.language.model import Topology
from orchestrator.stream import rights


def check(topology: Topology, kafka: Mapping[str, Any], timeout_s: float, say: Callable[[str], None]) -> Any:
    """Give the cluster's metadata (confluent_kafka's `ClusterMetadata`) when all is as a worker needs it.

    Blocks for up to `timeout_s` until Kafka answers; `say` gets a line for people when it does not at once. Raises Unreachable,
    NotAuthenticated, NotAllowed, TopicMismatch.
    """
    metadata = wait_for_broker(kafka, timeout_s, say)
    # First: a topic that may not be seen looks like one that is not there.
    rights.check(admin(kafka), topology.streams, topology.policy)
    _check_topics(topology, metadata)
    return metadata


def _check_topics(topology: Topology, metadata: Any) -> None:
    streams, counts = topology.streams, partition_counts(metadata)
    needed = {*streams.sources, streams.transitions, streams.incidents, streams.changelog, streams.journal, streams.exports}
    needed |= {c.topic for c in topology.policy.channels.values()}
    wrong = [f"{t} ({counts.get(t, 0)})" for t in sorted(needed) if counts.get(t) != streams.partitions]
    if not wrong and counts.get(streams.definitions) != 1:
        raise TopicMismatch(
            f"the topic {streams.definitions} does not have 1 partition, but {counts.get(streams.definitions, 0)}",
            next_step="orchestrator topics create shows what is missing and, with --execute, makes it",
        )
    if wrong:
        raise TopicMismatch(
            f"these topics do not have the {streams.partitions} partitions of streams.yaml: {', '.join(wrong)}",
            next_step="orchestrator topics create shows what is missing and, with --execute, makes it",
        )

"""Rows 6 and 7: one of three brokers, or all, killed or paused; which one is named by what it does at that moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from orchestrator.language.model import Topology
from tests.brokers import KafkaBroker
from tests.brokers.cluster import KafkaCluster

Find = Callable[[KafkaCluster, Topology], int]

# With three workers at work each of these is somebody's.
ROLES: Final[dict[str, Find]] = {
    "leader of the changelog": lambda cluster, topology: cluster.leader(topology.streams.changelog, 0),
    "leader of the events": lambda cluster, topology: cluster.leader(topology.streams.events[0].topic, 0),
    "group coordinator": lambda cluster, topology: cluster.group_coordinator(topology.streams.app),
    "transaction coordinator": lambda cluster, topology: cluster.transaction_coordinator(f"{topology.streams.app}-w1"),
    "controller": lambda cluster, _: cluster.controller(),
}
ALL: Final = "all three"
WHO: Final = (*ROLES, ALL)


def kill(cluster: KafkaCluster, who: str, topology: Topology, lasts_s: float) -> None:
    """SIGKILL, and after `lasts_s` a start; returns when all are in sync again."""
    for node in _nodes(cluster, who, topology):
        node.kill()
    time.sleep(lasts_s)
    cluster.start()


def pause(cluster: KafkaCluster, who: str, topology: Topology, lasts_s: float) -> None:
    """SIGSTOP, and after `lasts_s` SIGCONT; returns when all are in sync again."""
    nodes = _nodes(cluster, who, topology)
    for node in nodes:
        node.pause()
    time.sleep(lasts_s)
    for node in nodes:
        node.resume()
    cluster.await_whole()


def _nodes(cluster: KafkaCluster, who: str, topology: Topology) -> list[KafkaBroker]:
    return list(cluster.nodes.values()) if who == ALL else [cluster.nodes[ROLES[who](cluster, topology)]]

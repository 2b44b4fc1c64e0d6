"""A Kafka behind a proxy, and three of them, shared by the tests of this folder; each test begins with the line at peace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers.cluster import KafkaCluster
from tests.faults.line import Line, cluster_behind_proxies, kafka_behind_a_proxy


@pytest.fixture(scope="session")
def _one(kafka_from_maven: None) -> Iterator[Line]:
    with kafka_behind_a_proxy() as made:
        yield made


@pytest.fixture(scope="session")
def _three(kafka_from_maven: None) -> Iterator[Line]:
    with cluster_behind_proxies() as made:
        yield made


@pytest.fixture
def line(_one: Line) -> Iterator[Line]:
    """One broker and its proxy."""
    yield _one
    _one.heal()


@pytest.fixture
def lines(_three: Line) -> Iterator[Line]:
    """Three brokers and their proxies; whoever is down or paused is up again after the test."""
    yield _three
    _three.heal()
    assert isinstance(_three.broker, KafkaCluster)
    for node in _three.broker.nodes.values():
        node.resume()
    _three.broker.start()

"""Which broker the tests get: the one given in KAFKA_BOOTSTRAP, one from Maven, one in Docker, or a reason why there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from orchestrator.operate.embedded import EmbeddedBroker
from tests.brokers.docker import DockerBroker, docker_missing
from tests.brokers.download import KafkaUnavailable, missing
from tests.brokers.kafka_process import SHORT_LIVED, KafkaBroker
from tests.brokers.topics import create_topic

GIVEN: Final = "KAFKA_BOOTSTRAP"
GIVEN_TIMEOUT_S: Final = 10.0


class Broker(Protocol):
    """What a test may ask of either broker. Topics of one session share it: take names from `unique`."""

    @property
    def kind(self) -> Literal["embedded", "kafka"]:
        """Which of the two it is, for the few assertions that hold on one only."""

    @property
    def bootstrap(self) -> str:
        """Its address, for clients."""

    def create_topic(self, name: str, partitions: int, **config: str) -> None:
        """Make a topic; settings (`_` for `.`) are ignored by the embedded broker, which has none."""

    def remove(self) -> None:
        """End it, unless it was given."""


class Embedded:
    """The broker in memory, in the shape of `Broker`."""

    kind: Final = "embedded"

    def __init__(self) -> None:
        self._broker = EmbeddedBroker().start()
        self.bootstrap = self._broker.bootstrap

    def create_topic(self, name: str, partitions: int, **_: str) -> None:
        self._broker.create_topic(name, partitions)

    def remove(self) -> None:
        self._broker.stop()


class GivenBroker:
    """Somebody's Kafka, named in KAFKA_BOOTSTRAP; it is used, never stopped."""

    kind: Final = "kafka"

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        try:
            AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=GIVEN_TIMEOUT_S)
        except KafkaException as error:
            raise AssertionError(f"{GIVEN}={bootstrap} does not answer: {error}") from error

    def create_topic(self, name: str, partitions: int, **config: str) -> None:
        create_topic(self.bootstrap, name, partitions, **config)

    def remove(self) -> None:
        """Not ours to end."""


def start_kafka(java: Sequence[str] = SHORT_LIVED, settings: Mapping[str, str] | None = None) -> Broker:
    """The first real Kafka that can be had; `java` and `settings` are for one that is started here from Maven's jars.

    Raises KafkaUnavailable with every reason when there is none.
    """
    if given := os.environ.get(GIVEN):
        return GivenBroker(given)
    no_maven = missing()
    if not no_maven:
        return KafkaBroker(java=java, settings=settings).start()
    no_docker = docker_missing()
    if not no_docker:
        return DockerBroker().start()
    raise KafkaUnavailable(
        f"no real Kafka: {GIVEN} is not set; {no_maven}; {no_docker}"
        " (next: install java 17 and maven, or start Docker, or set KAFKA_BOOTSTRAP=host:port)"
    )


def start_embedded() -> Broker:
    """The broker in memory, started."""
    return Embedded()

"""Apache Kafka's own image, for machines that have Docker but no Java."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.brokers.download import KAFKA_VERSION, KafkaUnavailable
from tests.brokers.kafka_process import CLUSTER_ID, SETTINGS, START_TIMEOUT_S, free_ports
from tests.brokers.topics import create_topic

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"
DOCKER_TIMEOUT_S: Final = 10


def docker_missing() -> str:
    """Why Docker cannot be used here, or an empty text."""
    if not shutil.which("docker"):
        return "there is no docker"
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=DOCKER_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return "docker does not answer"
    return "" if done.returncode == 0 else "the Docker daemon is not running"


class DockerBroker:
    """One Kafka in a container; testcontainers' reaper removes it if this process dies."""

    kind: Final = "kafka"

    def __init__(self) -> None:
        with free_ports(1) as (port,):
            self.bootstrap = f"127.0.0.1:{port}"
        self._port = port
        self._container: DockerContainer | None = None

    def start(self) -> Self:
        # KafkaContainer of testcontainers runs Confluent's start script; this image is configured by its environment alone.
        from testcontainers.core.container import DockerContainer

        settings = {
            **SETTINGS,
            "node.id": "1",
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": "1@localhost:9093",
        }
        container = DockerContainer(IMAGE).with_bind_ports(9092, self._port).with_env("CLUSTER_ID", CLUSTER_ID)
        for name, value in settings.items():
            container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        self._container = container.start()
        self._await_answer()
        return self

    def create_topic(self, name: str, partitions: int, **config: str) -> None:
        create_topic(self.bootstrap, name, partitions, **config)

    def remove(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.stop()

    def _await_answer(self) -> None:
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                client.list_topics(timeout=1.0)
            except KafkaException:
                continue
            return
        self.remove()
        raise KafkaUnavailable(f"{IMAGE} did not answer within {START_TIMEOUT_S:.0f} s")

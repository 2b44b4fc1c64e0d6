"""Three brokers of Apache Kafka on this machine, each also a controller, for tests that take one of them away.

Everything is kept three times and written when two have it, as in production: topics, offsets and transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.brokers.download import KafkaUnavailable
from tests.brokers.kafka_process import SHORT_LIVED, START_TIMEOUT_S, KafkaBroker, Listeners, free_ports

NODES: Final = 3
HEAP: Final = "320m"
OFFSETS: Final = "__consumer_offsets"
TRANSACTIONS: Final = "__transaction_state"

# Killed and paused brokers are replaced in a few seconds instead of in ten to thirty.
SETTINGS: Final[Mapping[str, str]] = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "controller.quorum.election.timeout.ms": "1000",
    "controller.quorum.fetch.timeout.ms": "2000",
    "controller.quorum.request.timeout.ms": "2000",
    "replica.lag.time.max.ms": "4000",
    "replica.socket.timeout.ms": "3000",
    "controller.socket.timeout.ms": "3000",
    "request.timeout.ms": "3000",
}
READ_TIMEOUT_S: Final = 10.0


class KafkaCluster:
    """Three brokers, numbered from 1: a `Broker` for tests that only use it, with each node at hand for those that break one."""

    kind: Final = "kafka"

    def __init__(self, *, settings: Mapping[str, str] | None = None, proxies: Sequence[int] = ()) -> None:
        """`proxies` are the ports that clients of the proxied listeners are sent to, one a node; see `upstreams`."""
        with free_ports(NODES * 3) as ports:
            spread = zip(ports[0::3], ports[1::3], ports[2::3], proxies or [0] * NODES, strict=True)
            self._places = [Listeners(number, *each) for number, each in enumerate(spread, 1)]
        voters = {"controller.quorum.voters": ",".join(each.voter for each in self._places)}
        chosen = {**SETTINGS, **voters, **(settings or {})}
        self.nodes = {
            each.node: KafkaBroker(settings=chosen, heap=HEAP, java=SHORT_LIVED, listeners=each) for each in self._places
        }

    @property
    def bootstrap(self) -> str:
        """The address that leads past any proxy."""
        return ",".join(f"127.0.0.1:{each.direct}" for each in self._places)

    @property
    def upstreams(self) -> list[int]:
        """The port of each node that its proxy is to pass clients on to."""
        return [each.proxied for each in self._places]

    def start(self) -> Self:
        """Start those that are down and wait until all are in every in-sync list, about 10 s the first time."""
        down = [node for node in self.nodes.values() if node.pid is None]
        try:
            with ThreadPoolExecutor(NODES) as pool:
                list(pool.map(KafkaBroker.launch, down))
            for node in down:
                node.await_answer()
            self.await_whole()
        except BaseException:
            self.remove()
            raise
        return self

    def kill(self) -> None:
        """SIGKILL to all three, as when the power fails."""
        for node in self.nodes.values():
            node.kill()

    def remove(self) -> None:
        """Stop all, and delete their data for good."""
        for node in self.nodes.values():
            node.kill()
            node.remove()

    def create_topic(self, name: str, partitions: int, **config: str) -> None:
        """Make a topic that three brokers keep; `config` are its settings, with `_` for `.`."""
        settings = {setting.replace("_", "."): value for setting, value in config.items()}
        client = self._admin()  # held until the answer is there: a client that is let go of takes its futures along
        client.create_topics([NewTopic(name, partitions, NODES, config=settings)])[name].result(READ_TIMEOUT_S)
        self._wait(lambda: len(self._partitions(name)) == partitions, f"{name} has its partitions")
        self.await_whole()

    # Who does what

    def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition."""
        led = self._wait(lambda: self._partitions(topic)[partition].leader, f"{topic}/{partition} has a leader")
        return int(led)

    def group_coordinator(self, group: str) -> int:
        """The node that keeps a group's members and offsets."""
        return self.leader(OFFSETS, _slot(group, len(self._partitions(OFFSETS))))

    def transaction_coordinator(self, transactional_id: str) -> int:
        """The node that keeps the state of a producer's transactions."""
        return self.leader(TRANSACTIONS, _slot(transactional_id, len(self._partitions(TRANSACTIONS))))

    def controller(self) -> int:
        """The node that leads the controllers. librdkafka cannot tell: in KRaft mode any broker is named."""
        from kafka import KafkaAdminClient

        client = KafkaAdminClient(bootstrap_servers=[f"127.0.0.1:{each.direct}" for each in self._alive()])
        try:
            return int(client.describe_metadata_quorum()["topics"][0]["partitions"][0]["leader_id"])
        finally:
            client.close()

    def await_whole(self) -> None:
        """Wait until every partition has a leader and all three in sync."""

        def is_whole() -> bool:
            found = self._admin().list_topics(timeout=READ_TIMEOUT_S)
            partitions = [each for topic in found.topics.values() for each in topic.partitions.values()]
            return len(found.brokers) == NODES and all(p.leader > 0 and len(p.isrs) == NODES for p in partitions)

        self._wait(is_whole, "all three brokers are in sync")

    def keep_log(self, folder: Path) -> Path:
        """Copy the brokers' logs into a folder and give the folder."""
        for node in self.nodes.values():
            node.keep_log(folder)
        return folder

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _alive(self) -> list[Listeners]:
        return [each for each in self._places if self.nodes[each.node].pid is not None]

    def _admin(self) -> AdminClient:
        alive = ",".join(f"127.0.0.1:{each.direct}" for each in self._alive())
        return AdminClient({"bootstrap.servers": alive, "log_level": 0, "reconnect.backoff.max.ms": 200})

    def _partitions(self, topic: str) -> Any:
        return self._admin().list_topics(topic, timeout=READ_TIMEOUT_S).topics[topic].partitions

    def _wait(self, ask: Callable[[], Any], what: str) -> Any:
        """Ask until the answer is true and, if a number, no negative one."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                found = ask()
            except (KafkaException, KeyError):
                found = None
            if found is True or (found is not None and found is not False and found >= 0):
                return found
            time.sleep(0.1)
        raise KafkaUnavailable(f"the cluster is not there after {START_TIMEOUT_S:.0f} s: {what}")


def _slot(name: str, partitions: int) -> int:
    """The partition of an internal topic that a name belongs to: Java's String.hashCode, as the brokers reckon it."""
    code = 0
    for character in name:
        code = (31 * code + ord(character)) & 0xFFFFFFFF
    return (code & 0x7FFFFFFF) % partitions

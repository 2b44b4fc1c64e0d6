"""Brokers and the proxies before them: workers come through the proxies, the tests' own clients go past them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kafka.protocol.api_key import ApiKey

from tests.brokers import KafkaBroker
from tests.brokers.cluster import NODES, KafkaCluster
from tests.brokers.kafka_process import SHORT_LIVED, Listeners, free_ports
from tests.faults.proxy import Deed, Proxy, Rule, Side


class Line:
    """One or three brokers, each behind a proxy of its own."""

    def __init__(self, broker: KafkaBroker | KafkaCluster, proxies: list[Proxy]) -> None:
        self.broker = broker
        self.proxies = proxies

    @property
    def bootstrap(self) -> str:
        """The address that leads through the proxies."""
        return ",".join(proxy.bootstrap for proxy in self.proxies)

    @property
    def proxy(self) -> Proxy:
        """The proxy of the only broker."""
        (only,) = self.proxies
        return only

    def add(self, api: ApiKey, side: Side, deed: Deed, **more: object) -> Rule:
        """Set a rule on the only broker's proxy."""
        return self.proxy.add(Rule(api, side, deed, **more))

    def heal(self) -> None:
        """All proxies pass everything on again."""
        for proxy in self.proxies:
            proxy.heal()


@contextmanager
def kafka_behind_a_proxy() -> Iterator[Line]:
    """Start one broker that sends the clients of its second listener to a proxy."""
    with ExitStack() as held:
        proxy = held.enter_context(Proxy())
        with free_ports(3) as ports:
            listeners = Listeners(1, *ports, proxy.port)
        proxy.upstream = listeners.proxied
        broker = KafkaBroker(heap="512m", java=SHORT_LIVED, listeners=listeners)
        yield Line(held.enter_context(broker), [proxy])


@contextmanager
def cluster_behind_proxies() -> Iterator[Line]:
    """Start three brokers in the same way."""
    with ExitStack() as held:
        proxies = [held.enter_context(Proxy()) for _ in range(NODES)]
        cluster = KafkaCluster(proxies=[proxy.port for proxy in proxies])
        for proxy, upstream in zip(proxies, cluster.upstreams, strict=True):
            proxy.upstream = upstream
        yield Line(held.enter_context(cluster), proxies)

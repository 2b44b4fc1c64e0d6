"""The Faust app. `orchestrator worker` runs it; so does `faust -A orchestrator.stream.app worker`, for those who know Faust.

Under the `faust` command the settings come from ORCHESTRATOR_* variables and the file that ORCHESTRATOR_CONFIG names.
"""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from faust.types import StreamT

from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.customers import CustomerTable, CustomerTables
from orchestrator.stream.desk import Desk
from orchestrator.stream.ending import bound_the_stop
from orchestrator.stream.worker import JourneyWorker

SESSION_TIMEOUT_S = 10


class JourneyApp(faust.App):
    """A Faust app whose data path is the worker's."""

    def __init__(self, config: WorkerConfig, desk: Desk | None = None) -> None:
        streams = config.topology.streams
        self._journey_config = config
        self.desk = desk or Desk()
        super().__init__(
            streams.app,
            broker="librdkafka://" + ";".join(config.kafka["bootstrap.servers"].split(",")),
            store="memory://",
            version=1,
            autodiscover=False,
            datadir=str(config.identity.state_dir),
            topic_partitions=streams.partitions,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            web_enabled=False,  # Faust's own pages show state to anyone
            broker_session_timeout=float(SESSION_TIMEOUT_S),
            worker_redirect_stdouts=False,
            Table=CustomerTable,
            TableManager=CustomerTables,
        )
        self.worker = JourneyWorker(self, config)
        self.customers = self.Table("customers", partitions=streams.partitions, key_type=bytes, value_type=bytes)
        blocks = self.topic(*self.worker.topics, key_serializer="raw", value_serializer="raw", acks=False, internal=False)
        self.agent(blocks, name="journeys")(self._take_blocks)

    async def stop(self) -> None:
        """Stop in order, or end the process where that takes too long: Faust can hang while stopping."""
        bound = bound_the_stop(asyncio.get_running_loop())
        try:
            await super().stop()
        finally:
            bound.cancel()

    async def _take_blocks(self, stream: StreamT[Any]) -> None:
        async for event in stream.events():
            await self.worker.receive(event.value)

    def consumer_config(self, **own: Any) -> dict[str, Any]:
        """Give librdkafka's settings for the group's consumer; the user's may tune it, not change how positions work."""
        config = self._journey_config
        return {
            "session.timeout.ms": SESSION_TIMEOUT_S * 1000,
            # A request to join that went into a dead connection is given up only after this: 5 min by default.
            "max.poll.interval.ms": 60_000,
            "queued.max.messages.kbytes": 32_768,
            "queued.min.messages": 20_000,
            "fetch.wait.max.ms": 50,
            # librdkafka's default of 1000 stalls a fast consumer for a second whenever its queue is full.
            "fetch.queue.backoff.ms": 5,
            # A partition whose leader was not known when it was assigned is read from the next refresh on: 5 min by default.
            "topic.metadata.refresh.interval.ms": 10_000,
            **config.kafka,
            "group.id": config.topology.streams.app,
            "group.instance.id": config.identity.id,
            "client.id": f"orchestrator@{config.advertised}" if config.advertised else "orchestrator",
            "partition.assignment.strategy": "range",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            **own,
        }


def __getattr__(name: str) -> Any:
    """Make the app on demand for `faust -A orchestrator.stream.app`, once: it holds the lock of the state directory."""
    if name == "app":
        from orchestrator.stream.runner import app_from_environment

        return globals().setdefault("app", app_from_environment())
    raise AttributeError(name)

"""Incidents as Kafka has them, each with what operators did about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.operate.incidents.incident import Incident, Selection, read_incident
from orchestrator.wire.acts import IncidentAct, read_acts

OPEN: Final = "open"

Progress = documents.Progress


class Found(Struct, frozen=True):
    """An incident, and the last act on it, if any."""

    incident: Incident
    act: IncidentAct | None = None

    @property
    def state(self) -> str:
        """`open`, `redriven` or `discarded`."""
        return OPEN if self.act is None else self.act.act


def acts(conf: Mapping[str, Any], streams: Streams) -> dict[str, IncidentAct]:
    """Give the last act on each incident, by its id. Blocks; raises Unreachable, TopicMismatch where there is no audit topic."""
    bounds = documents.ranges(conf, streams.audit, [0])
    return read_acts((message.value() for message in documents.read(conf, streams.audit, bounds)), streams.app)


def find(
    conf: Mapping[str, Any], streams: Streams, selection: Selection, progress: Progress = lambda done, total: None
) -> Iterator[Found]:
    """Give the committed incidents that are meant, partition by partition, each in the order in which they were reported.

    Blocks; raises Unreachable, TopicMismatch.
    """
    done = acts(conf, streams)
    bounds = documents.ranges(conf, streams.incidents, range(streams.partitions))
    for message in documents.read(conf, streams.incidents, bounds, progress):
        incident = read_incident(message)
        if incident is not None and incident in selection:
            yield Found(incident, done.get(incident.id))


def watch(
    conf: Mapping[str, Any], streams: Streams, selection: Selection, stop: Callable[[], bool] = lambda: False
) -> Iterator[Incident]:
    """Give the incidents that are meant as they come, from now on, until `stop` says so. Blocks; raises as `find`."""
    bounds = documents.ranges(conf, streams.incidents, range(streams.partitions))
    ends = [TopicPartition(streams.incidents, number, high) for number, (_, high) in bounds.items()]
    for message in kafka.read_partitions(conf, ends, follow=True, stop=stop):
        incident = read_incident(message)
        if incident is not None and incident in selection:
            yield incident

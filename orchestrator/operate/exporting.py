"""Everything that is kept of one customer, as one document (rule F2): CustomerExport.avsc, and readable as it is."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import structs

from orchestrator.engine.portrait import portrait
from orchestrator.engine.record import Record
from orchestrator.language.model import Topology
from orchestrator.operate import documents
from orchestrator.operate.erasing import Extent
from orchestrator.operate.rehearsal import Standing
from orchestrator.wire.actions import decode_action
from orchestrator.wire.acts import decode_operator_act
from orchestrator.wire.exports import FORMAT, decode_export
from orchestrator.wire.gate import Gate
from orchestrator.wire.handlings import decode_handling

Progress = Callable[[str], documents.Progress]  # a topic's name -> what moves its bar


class Source:
    """Where an export is read from."""

    def __init__(self, conf: Mapping[str, Any], topology: Topology, gate: Gate, extent: Extent) -> None:
        """`gate` hears all types."""
        self.topology = topology
        self._conf = conf
        self._gate = gate
        self._number = extent.partition
        self._keys = {each.encode() for each in extent.ids}

    def records(self, topic: str, progress: Progress) -> Iterator[Any]:
        """Give the committed records of the customer on a topic."""
        number = 0 if topic == self.topology.streams.audit else self._number
        bounds = documents.ranges(self._conf, topic, [number])
        found = documents.read(self._conf, topic, bounds, progress(topic))
        return (message for message in found if message.key() in self._keys)

    def told(self, message: Any) -> dict[str, Any]:
        """Give one record as it is exported, by what its topic carries."""
        streams, value = self.topology.streams, message.value() or b""
        place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
        at = {"at": message.timestamp()[1]}
        try:
            if message.topic() == streams.transitions:
                return place | decode_handling(value)
            if message.topic() in streams.sources:
                return place | at | self._event(message)
            if message.topic() == streams.audit:
                return place | structs.asdict(decode_operator_act(value))
            if message.topic() == streams.exports:
                return place | decode_export(value)
            if message.topic() != streams.incidents:
                return place | {"action": decode_action(value)}
        except ValueError:
            pass
        headers = {name: (each or b"").decode(errors="replace") for name, each in message.headers() or ()}
        return place | at | {"headers": headers, "value_base64": base64.b64encode(value).decode()}

    def _event(self, message: Any) -> dict[str, Any]:
        found = self._gate.admit(message, message.timestamp()[1])
        if not isinstance(found, Record):
            raise ValueError("no event")
        return {"event": found.type, "event_id": found.event_id, "occurred_at": found.occurred_at, "payload": found.payload}


def export(
    source: Source, found: Standing, extent: Extent, at: int, progress: Progress = lambda topic: lambda done, total: None
) -> dict[str, Any]:
    """Give the export: fields of CustomerExport.avsc, `document` not yet as text. Blocks: reads a partition of each topic."""
    current = {
        each: portrait(customer.stored, reveal=True)
        for each in extent.documents
        if (customer := found.copy.customer(each)) is not None and customer.stored is not None
    }
    topics = {each.topic: {"what": each.what, "stays": each.stays} for each in extent.left}
    records = {
        topic: {**about, "records": [source.told(message) for message in source.records(topic, progress)]}
        for topic, about in topics.items()
    }
    kept_in = f"{source.topology.streams.changelog}/{extent.partition}, and the local store of its worker"
    document = {"ids": list(extent.ids), "kept": current, "kept_in": kept_in, "topics": records}
    return {"customer": extent.ids[0], "at": at, "request_id": None, "format": FORMAT, "document": document}

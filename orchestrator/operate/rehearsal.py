"""What a request would do, told by the engine itself on a copy of what Kafka holds; nothing is written.

It is right as long as the topology at hand is the one that the workers run, and nothing happens to the customer in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from msgspec import Struct

from orchestrator.engine.document import Document
from orchestrator.engine.engine import Customer, Engine
from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.engine.vicinity import NO_FREEZES, NOTE
from orchestrator.language.model import Topology
from orchestrator.names import OPERATION_REQUESTED
from orchestrator.operate import documents
from orchestrator.operate.operations import Request
from orchestrator.wire.partitioning import partition_for


class Copy:
    """The customers and notes of one partition, as its changelog has them: the engine's vicinity, at nobody's cost."""

    def __init__(self, stored: Mapping[bytes, bytes], number: int, partitions: int) -> None:
        self.number = number
        self.paused: frozenset[str] = frozenset()
        self.freezes = NO_FREEZES
        self._stored = stored
        self._partitions = partitions
        self._lent: dict[str, Customer] = {}

    def customer(self, customer_id: str) -> Customer | None:
        """Give a customer of the partition, None for one of another."""
        is_here = partition_for(customer_id.encode(), self._partitions) == self.number
        return self._lend(customer_id) if is_here else None

    def note(self, name: str) -> Customer:
        """Give a note."""
        return self._lend(NOTE + name)

    def _lend(self, name: str) -> Customer:
        if name not in self._lent:
            self._lent[name] = Customer(name, self._stored.get(name.encode()))
        return self._lent[name]


class Standing(Struct, frozen=True):
    """A customer as Kafka has them. `ids` is the line of ids that they were merged into, themselves first; `copy` to try on."""

    ids: tuple[str, ...]
    document: Document
    copy: Copy


def standing(
    conf: Mapping[str, Any], topology: Topology, customer: str, progress: documents.Progress = lambda done, total: None
) -> Standing:
    """Read the customer's partition of the changelog. Blocks; raises as `documents.read` does."""
    streams = topology.streams
    number = partition_for(customer.encode(), streams.partitions)
    copy = Copy(documents.partition(conf, streams, number, progress), number, streams.partitions)
    ids: list[str] = []
    name, document = customer, Document()
    while name and name not in ids:
        ids.append(name)
        found = copy.customer(name)
        document = Document() if found is None else found.open()
        name = document.merged.into if document.merged is not None else ""
    return Standing(tuple(ids), document, copy)


def rehearse(topology: Topology, found: Standing, request: Request) -> Handling:
    """Give what the request itself would do, if it were handled now; timers that are due fire before it, as they would."""
    engine = Engine(topology, share=Fraction(1, topology.streams.partitions))
    customer = found.copy.customer(request.customer)
    given = {**request.line().data, "until": request.until}
    record = Record(OPERATION_REQUESTED, request.customer, request.id, request.at, given, topology.streams.operations)
    told = [] if customer is None else engine.handle(customer, record, request.at, found.copy)
    return next((each for each in told if each.event), Handling(request.customer, request.at))

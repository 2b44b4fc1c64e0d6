"""The customer table as Faust's tools see it, and the table manager that hands restore to the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.tables import TableManager
from faust.tables.table import Table
from faust.types import TP

from orchestrator.stream.partition import Partition


def stored_document(partitions: Mapping[int, Partition], customer: str) -> bytes | None:
    """Give the committed document of a customer of these partitions, None where there is none."""
    for partition in partitions.values():
        (stored,) = partition.store.get_many([customer.encode()])
        if stored is not None:
            return stored
    return None


class CustomerTable(Table[str, bytes]):
    """Customer id to stored document, for the partitions of this worker. Reads see committed state only."""

    app: Any  # a JourneyApp

    def __getitem__(self, key: str) -> bytes:
        """Give a customer's stored document. Raises KeyError where there is none, or another worker has it. Blocks on disk."""
        stored = stored_document(self.app.worker.partitions, key)
        if stored is None:
            raise KeyError(key)
        return stored

    def __setitem__(self, key: str, value: Any) -> None:
        """Refuse: a write outside the cycle would be neither in the changelog nor exactly once."""
        raise TypeError("customers change only by events: produce one; the worker's cycle writes the table")

    def __delitem__(self, key: str) -> None:
        """Refuse, as for writes."""
        raise TypeError("customers are deleted only by an event privacy.erasure_requested")

    async def on_start(self) -> None:
        """Do nothing: the worker opens the stores."""


class CustomerTables(TableManager):
    """Faust's table manager with its recovery left out: a partition's state is opened by the worker."""

    app: Any  # a JourneyApp

    async def on_start(self) -> None:
        """Start the worker, then let Faust subscribe."""
        self._tables_finalized.set()
        self.app.desk.attach(self.app.worker, asyncio.get_running_loop())
        await self.add_runtime_dependency(self.app.worker)
        self._tables_registered.set()

    async def on_stop(self) -> None:
        """Leave nothing to stop: the worker stops as a service of its own."""

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Do nothing: the transport has told the worker already."""

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0) -> None:
        """Let the worker open what it was given; Faust's streams may run at once, blocks come when the stores are open."""
        self._recovery_started.set()
        self.app.worker.open_partitions(assigned)
        await self.app.on_rebalance_complete.send()
        self.app.flow_control.resume()
        self.app.consumer.resume_flow()
        self.on_actives_ready()
        self.on_standbys_ready()
        self.app.on_rebalance_end()

    async def wait_until_recovery_completed(self) -> bool:
        """Answer at once; whether partitions are open is the worker's to say."""
        return False

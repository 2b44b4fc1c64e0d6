"""The fold: (customer, record, time) -> (customer, handlings). The one door to the engine for everybody else."""

from __future__ import annotations

from typing import Final

from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.language.model import Topology

NEVER: Final = (1 << 63) - 1  # next_due of a customer who waits for nothing


class Customer:
    """One customer while its caller works on it.

    `stored` is the document as bytes after the last handling, None for no state (a tombstone in the changelog). It begins with
    a format byte and `next_due` as 8 bytes big-endian. `document` is decoded on first use and kept.
    """

    __slots__ = ("document", "id", "stored")

    def __init__(self, customer_id: str, stored: bytes | None) -> None:
        raise NotImplementedError


def next_due(stored: bytes | None) -> int:
    """Give the earliest deadline of a stored document in ms UTC, NEVER where there is none, without decoding it."""
    raise NotImplementedError


class Engine:
    """A compiled topology. Immutable after construction; one instance serves all partitions."""

    def __init__(self, topology: Topology) -> None:
        raise NotImplementedError

    def hears(self, event_type: str) -> bool:
        """Tell whether any journey, policy rule or the engine itself cares; if not, the caller need not fetch the customer."""
        raise NotImplementedError

    def handle(self, customer: Customer, record: Record, clock: int) -> list[Handling]:
        """Fire the customer's timers due before the record's time (T3), then handle the record (T7).

        `clock` is the partition's clock in ms (T4), for `max_age`. Gives the handlings that did something, in order. Never
        raises for data: a bug becomes an incident `handler_error` and the customer stays as before the record (A5).
        `customer.stored` is up to date afterwards.
        """
        raise NotImplementedError

    def fire(self, customer: Customer, before: int) -> list[Handling]:
        """Fire the customer's timers with due < `before`, earliest first, one Handling for each due instant."""
        raise NotImplementedError

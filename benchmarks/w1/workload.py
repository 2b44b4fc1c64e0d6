"""The records of W1, the same ones each time: 400,000 by default, of 20,000 customers, a hundredth of a second apart."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from orchestrator.wire.schemas import SchemaSet, load_schemas

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas" / "avro"
PARTITIONS = 4
CUSTOMERS = 20_000

_SEED = 7
_START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_SHARES = {"signup.created": 10, "auth.login": 40, "payment.failed": 15, "payment.succeeded": 15, "page.viewed": 20}
_REPEATED = 0.01
_DATA = {"amount": 12.5, "attrs": {"plan": "gold", "country": "AU"}}


class EventRecord(NamedTuple):
    """One record; `at` in ms UTC."""

    type: str
    customer: str
    id: str
    at: int


def schemas() -> SchemaSet:
    """Give the schemas of the five types."""
    return load_schemas(SCHEMAS)


def events(count: int, customers: int = CUSTOMERS, first: int = 0) -> Iterator[EventRecord]:
    """Give the records in order; those from another `first` on are others, and later."""
    chance = random.Random(_SEED + first)
    types = chance.choices(list(_SHARES), list(_SHARES.values()), k=count)
    previous: dict[str, str] = {}
    for number, kind in enumerate(types, first):
        customer = f"c{chance.randrange(customers)}"
        again = customer in previous and chance.random() < _REPEATED
        previous[customer] = event_id = previous[customer] if again else f"ev-{number}"
        yield EventRecord(kind, customer, event_id, _START + 10 * number)


def encoded(records: Iterable[EventRecord]) -> Iterator[dict[str, object]]:
    """Give them as a producer takes them: Avro single objects, keyed by customer."""
    known = schemas()
    for record in records:
        schema = known.get(record.type)
        assert schema is not None
        value = schema.encode(record.customer, record.id, record.at, _DATA)
        yield {"key": record.customer.encode(), "value": value, "timestamp": record.at}

"""The engine alone: CPU an event, from decoded record to decisions, in virtual time and in memory; no Kafka, no encoding.

`loop_ns`, what one turn of an empty `for` loop costs at the time, tells how fast the machine was; beside other work figures
vary by half, so that two versions are to be run in turns. An event's cost includes all timers that come of it. W1's events, a
fifth of which nobody hears, are handled as a worker does it: customers stay decoded, and their documents are encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from time import thread_time

from benchmarks.collector import calm
from benchmarks.w1 import workload
from orchestrator.engine.engine import Customer, Engine
from orchestrator.engine.record import Record
from orchestrator.operate.demo.cohort import cohort
from orchestrator.operate.demo.dataset import purchases
from orchestrator.simulate import Simulation
from orchestrator.wire.lines import EventLine
from orchestrator.wire.schemas import SchemaSet, load_schemas
from orchestrator.workspace import Workspace
from tests.contract.cdnow import FOR_EVER
from tests.contract.stage import SHIPPED

NAME = "engine"
NEEDS_BROKER = False

_LOOPS = 200_000
_UNHEARD = 100_000
_PURCHASES = 20_000
_W1 = 400_000
_BLOCK = 1_000


def run(_broker: object, repeats: int, say: Callable[[str], None]) -> dict[str, float]:
    """Measure. Gives medians, in microseconds of CPU; `loop_ns` in nanoseconds."""
    engine, schemas = Engine(Workspace.load(SHIPPED).topology), load_schemas()
    shipped = list(records(cohort(), schemas))
    bought = list(records(purchases(), schemas))[:_PURCHASES]
    w1 = Engine(Workspace.load(workload.HERE / "topologies", workload.SCHEMAS).topology)
    w1_events = list(workload.events(_W1))
    found: dict[str, list[float]] = {}
    for number in range(repeats):
        once = {"loop_ns": loop_ns(), "unheard_event_us": _unheard_us(engine)}
        with calm():
            once["w1_event_us"] = _handled_us(w1, w1_events)
            once["shipped_event_us"], once["shipped_handling_us"] = _virtual_us(engine, shipped)
            once["purchase_us"], once["purchase_handling_us"] = _virtual_us(engine, bought)
        for name, value in once.items():
            found.setdefault(name, []).append(value)
        say(f"  {number + 1}/{repeats}: " + ", ".join(f"{name} {value:.2f}" for name, value in once.items()))
    return {name: median(values) for name, values in found.items()}


def records(lines: Iterable[EventLine], schemas: SchemaSet) -> Iterable[Record]:
    for offset, line in enumerate(lines):
        schema = schemas.get(line.event)
        assert schema is not None, line.event
        payload = schema.plain(line.data)
        yield Record(line.event, line.customer, line.id, line.at, payload, "events", 0, offset, line.at, schema.schema_id)


def loop_ns() -> float:
    started = thread_time()
    for _ in range(_LOOPS):
        pass
    return (thread_time() - started) / _LOOPS * 1e9


def _unheard_us(engine: Engine) -> float:
    """What a record costs whose type no journey and no rule names."""
    record, customer = Record("page.viewed", "ada", "e1", 0, {}), Customer("ada", None)
    assert not engine.hears(record.type)
    started = thread_time()
    for _ in range(_UNHEARD):
        engine.handle(customer, record, 0)
    return (thread_time() - started) / _UNHEARD * 1e6


def _handled_us(engine: Engine, events: list[workload.EventRecord]) -> float:
    """What a record costs by `handle` alone, block by block as a worker has them."""
    customers = {event.customer: Customer(event.customer, None) for event in events}
    spent = 0.0
    for first in range(0, len(events), _BLOCK):
        block = [
            (customers[event.customer], Record(event.type, event.customer, event.id, event.at, {}, "events", 0, first, event.at))
            for event in events[first : first + _BLOCK]
        ]
        started = thread_time()
        for customer, record in block:
            engine.handle(customer, record, record.time)
        spent += thread_time() - started
    return spent / len(events) * 1e6


def _virtual_us(engine: Engine, records: list[Record]) -> tuple[float, float]:
    """Give the cost of a record, with all timers that came of it, and of a handling."""
    simulation, handlings = Simulation(engine), 0
    started = thread_time()
    for record in records:
        handlings += len(simulation.feed(record))
    handlings += len(simulation.run_until(FOR_EVER))
    us = (thread_time() - started) * 1e6
    return us / len(records), us / handlings

"""Every metric of the worker, and their page, which is served only where a setting asks for it.

A metric is one typed line here, counted where it happens: `metrics.STORES_REBUILT.labels(3).inc()`; those of journeys stand in
`tally` and `waits`. Names begin with `orchestrator_`, values are in base units, labels are numbers and fixed words, never out of
a record. docs/metrics.md lists them from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics import MetricWrapperBase

from orchestrator.observe import http, tally, waits

REGISTRY: Final = CollectorRegistry()
ALL: Final[list[MetricWrapperBase]] = []
ProcessCollector(registry=REGISTRY)  # memory, CPU and open files of the process
REGISTRY.register(tally.Tally())
for _durations in waits.ALL:
    REGISTRY.register(_durations)
PATH: Final = "/metrics"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


def _counter(name: str, what: str, *labels: str) -> Counter:
    """Make a metric that only grows; the page shows its name with `_total`."""
    made = Counter(f"orchestrator_{name}", what, labels, registry=REGISTRY)
    ALL.append(made)
    return made


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    made = Gauge(f"orchestrator_{name}", what, labels, registry=REGISTRY)
    ALL.append(made)
    return made


def _seconds(name: str, what: str) -> Histogram:
    made = Histogram(f"orchestrator_{name}_seconds", what, registry=REGISTRY, buckets=_SECONDS)
    ALL.append(made)
    return made


# The cycle
CYCLE = _seconds("cycle", "How long a cycle took, from the first record or timer to the stores' writing.")
COMMIT = _seconds("commit", "How long a cycle's transaction took in Kafka.")
EVENT_LATENCY = _seconds(
    "event_latency", "From a record's time until what came of it was in Kafka; of each fetched run of records the first."
)

# How far behind
LAG = _gauge("lag_records", "Records of a source topic that are not handled yet.", "topic", "partition")
WATERMARK_DELAY = _gauge("watermark_delay_seconds", "How far a partition's clock is behind the wall clock.", "partition")
STOPPED = _gauge("partition_stopped", "1 while the circuit breaker keeps a partition from going on.", "partition")
AWAITING_REGISTRY = _gauge("partitions_awaiting_registry", "Partitions that stand still until the schema registry answers.")
READY = _gauge("ready", "1 while all partitions that were assigned are open.")

# Opening and restoring partitions
RESTORED_DOCUMENTS = _counter("restored_documents", "Documents read from the changelog into a store.", "partition")
RESTORE_REMAINING = _gauge("restore_remaining_offsets", "Changelog offsets still to read until a store is level.", "partition")
RESTORE_ETA = _gauge("restore_eta_seconds", "How long the running restore will take yet at its rate so far.", "partition")
STORES_REBUILT = _counter("stores_rebuilt", "Stores that could not be trusted, moved aside and rebuilt.", "partition")
STORE_BYTES = _gauge("store_bytes", "Size of a partition's local store.", "partition")

# Timers
TIMERS_FIRED = _counter("timers_fired", "Customers whose timers the calendar made fire.", "partition")
TIMER_LATENESS = _gauge(
    "timer_lateness_seconds", "How long after its deadline and the grace the latest batch's earliest timer fired.", "partition"
)
TIMERS_PENDING = _gauge("timers_pending", "Customers with a timer, counted now and then.", "partition")
OVERDUE = _gauge("overdue", "Customers whose timer should have fired more than 10 s ago, counted now and then.", "partition")

# The ledger, where `orchestrator ledger --watch` serves the page
LEDGER_DIFFERENCES = _gauge(
    "ledger_differences", "Differences that the last look found, by equation; each is an alert.", "equation"
)

_PARTITIONS: Final = (WATERMARK_DELAY, STOPPED, RESTORE_REMAINING, RESTORE_ETA, STORE_BYTES, TIMERS_PENDING, OVERDUE)


class Described(Struct, frozen=True):
    """A metric as the documents list it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    what: str


def described() -> Iterator[Described]:
    """Give all metrics, those of journeys first."""
    for family in tally.Tally().describe():
        labels = next(each.labels for each in (*tally.DECISIONS, *tally.COUNTS) if f"orchestrator_{each.name}" == family.name)
        yield Described(f"{family.name}_total", family.type, labels, family.documentation)
    for durations in waits.ALL:
        yield Described(durations.name, "histogram", durations.labels, durations.what)
    for each in ALL:
        (family,) = each.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        yield Described(name, family.type, tuple(each._labelnames), family.documentation)


def forget_partition(partition: int, topics: tuple[str, ...]) -> None:
    """Say nothing more of a partition that this worker has no more; what was counted there stays."""
    for gauge in _PARTITIONS:
        _remove(gauge, str(partition))
    for topic in topics:
        _remove(LAG, topic, str(partition))


def _remove(gauge: Gauge, *labels: str) -> None:
    gauge.remove_by_labels(dict(zip(gauge._labelnames, labels, strict=True)))


def show_differences(by_equation: Mapping[str, int]) -> None:
    """Show what a ledger found."""
    for equation, count in by_equation.items():
        LEDGER_DIFFERENCES.labels(equation).set(count)


def page(_: http.Request) -> http.Answer:
    """Give all metrics in Prometheus' text form."""
    return http.Answer(generate_latest(REGISTRY), content_type=CONTENT_TYPE)


def serve(address: str) -> str:
    """Serve the page alone, to whoever reaches it, for as long as the process lives; give the address. Raises UsageError."""
    return http.serve(address, {PATH: http.Route(page)}, http.Access(), "metrics_address")

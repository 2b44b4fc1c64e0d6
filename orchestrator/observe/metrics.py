"""Every metric of the worker, and their page over HTTP, which is served only where a setting asks for it.

A metric is one typed line here, counted where it happens: `metrics.STORES_REBUILT.labels(3).inc()`. Names begin with
`orchestrator_`, values are in base units, labels are numbers and fixed words, never anything out of a record.
docs/metrics.md lists them from here.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, start_http_server
from prometheus_client.metrics import MetricWrapperBase

from orchestrator.errors import UsageError
from orchestrator.observe.logs import logger

log = logger(__name__)

REGISTRY: Final = CollectorRegistry()
ALL: Final[list[MetricWrapperBase]] = []
ProcessCollector(registry=REGISTRY)  # memory, CPU and open files of the process
_LOOPBACK: Final = "127.0.0.1"


def _counter(name: str, what: str, *labels: str) -> Counter:
    """Make a metric that only grows; the page shows its name with `_total`."""
    made = Counter(f"orchestrator_{name}", what, labels, registry=REGISTRY)
    ALL.append(made)
    return made


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    made = Gauge(f"orchestrator_{name}", what, labels, registry=REGISTRY)
    ALL.append(made)
    return made


# Opening and restoring partitions
RESTORED_DOCUMENTS = _counter("restored_documents", "Documents read from the changelog into a store.", "partition")
RESTORE_REMAINING = _gauge("restore_remaining_offsets", "Changelog offsets still to read until a store is level.", "partition")
RESTORE_ETA = _gauge("restore_eta_seconds", "How long the running restore will take yet at its rate so far.", "partition")
STORES_REBUILT = _counter("stores_rebuilt", "Stores that could not be trusted, moved aside and rebuilt.", "partition")


def serve(address: str) -> str:
    """Serve all metrics as `/metrics` from a thread of its own for as long as the process lives; give the address in use.

    `address` is `host:port`, or a port alone, which is then open to this machine only; port 0 takes a free one. Raises
    UsageError where it is no such thing or cannot be had.
    """
    host, _, port = address.rpartition(":")
    try:
        server, _ = start_http_server(int(port), host.strip("[]") or _LOOPBACK, REGISTRY)
    except (ValueError, OverflowError, OSError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "it is not host:port"
        raise UsageError(
            f"metrics cannot be served: {why}", where=f"metrics_address={address}", next_step="name a free port, such as 9400"
        ) from None
    bound = f"{host or _LOOPBACK}:{server.server_port}"
    log.info("metrics_served", address=bound)
    return bound

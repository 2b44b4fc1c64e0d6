"""What a worker is told at its start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orchestrator.engine.vicinity import NO_FREEZES, Freezes
from orchestrator.language.catalog import Catalog
from orchestrator.language.model import Topology
from orchestrator.observe.tracing import Tracer
from orchestrator.stream.breaker import DEFAULT_BREAKER, BreakerLimits
from orchestrator.stream.clock import WallClock, wall_ms
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.registry import Registry
from orchestrator.stream.restore import DEFAULT_TOMBSTONES_KEPT_MS
from orchestrator.wire.gate import DEFAULT_LIMITS, GateLimits
from orchestrator.wire.schemas import SchemaSet


class WorkerConfig(Struct, frozen=True):
    """What a worker needs to know. `kafka` are librdkafka settings common to all clients.

    `topology`, `program`, `paused` and `freezes` are those of its folder, and change when something is published; `catalog` is
    what published programs are checked against, None for nothing.
    """

    topology: Topology
    schemas: SchemaSet
    program: str
    kafka: Mapping[str, Any]
    identity: WorkerIdentity
    cluster: str
    advertised: str = ""
    commit_interval_s: float = 0.1
    limits: GateLimits = DEFAULT_LIMITS
    breaker: BreakerLimits = DEFAULT_BREAKER
    tombstones_kept_ms: int = DEFAULT_TOMBSTONES_KEPT_MS
    stuck_after_s: float = 60.0
    registry: Registry | None = None
    header_styles: frozenset[str] = frozenset()
    wall: WallClock = wall_ms
    catalog: Catalog | None = None
    paused: frozenset[str] = frozenset()
    freezes: Freezes = NO_FREEZES
    tracer: Tracer | None = None

"""Running one worker process: from settings to an app that works, stops when told, and never hangs while stopping."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

from orchestrator import __version__, compiled
from orchestrator.engine.engine import SEMANTICS
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.kafka import admin
from orchestrator.names import ExitCode
from orchestrator.observe import http, metrics
from orchestrator.observe.callers import load_callers
from orchestrator.observe.logs import logger
from orchestrator.observe.tracing import Tracer
from orchestrator.settings import Settings, client_config
from orchestrator.stream import preflight
from orchestrator.stream.app import JourneyApp
from orchestrator.stream.breaker import BreakerLimits
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.desk import Desk
from orchestrator.stream.ending import bound_the_stop, on_signals
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.registry import Registry, connect
from orchestrator.stream.restore import DEFAULT_TOMBSTONES_KEPT_MS
from orchestrator.wire.foreign import styles_of
from orchestrator.wire.gate import GateLimits
from orchestrator.wire.programs import program_name
from orchestrator.wire.schemas import SchemaSet, load_schemas
from orchestrator.workspace import Workspace

log = logger(__name__)


def make_app(settings: Settings, say: Callable[[str], None]) -> JourneyApp:
    """Check everything that can be checked before joining the group, and give the app.

    Blocks for up to `connect_timeout_s` until Kafka answers; `say` gets a line for people when it does not at once. Raises
    InvalidTopology, Unreachable, NotAuthenticated, NotAllowed, TopicMismatch, StateLocked, UsageError.
    """
    workspace = Workspace.load(settings.topologies, settings.schemas)
    schemas = load_schemas(workspace.schemas)
    identity = WorkerIdentity(settings.state_dir, settings.worker_id)
    kafka = client_config(settings)
    registry, tracer = registry_of(settings, schemas), tracer_of(settings, workspace.topology.streams.app, identity.id)
    desk, advertised = serve_http(settings)
    metadata = preflight.check(workspace.topology, kafka, settings.connect_timeout_s, say)
    return JourneyApp(
        WorkerConfig(
            topology=workspace.topology,
            schemas=schemas,
            program=program_name(workspace.digest, SEMANTICS),
            kafka=kafka,
            identity=identity,
            cluster=metadata.cluster_id or "",
            advertised=advertised,
            commit_interval_s=settings.commit_interval_ms / 1000,
            limits=GateLimits(value_bytes=settings.value_bytes),
            breaker=BreakerLimits(settings.breaker_incidents, settings.breaker_window),
            tombstones_kept_ms=_tombstones_kept(kafka, workspace.topology.streams.changelog),
            stuck_after_s=settings.stuck_after_s,
            registry=registry,
            header_styles=styles_of(settings.incident_header_style),
            catalog=workspace.catalog,
            tracer=tracer,
        ),
        desk,
    )


def registry_of(settings: Settings, schemas: SchemaSet) -> Registry | None:
    """Give the schema registry that the settings name, None where they name none. Raises UsageError."""
    if not settings.registry:
        return None
    return Registry(connect(settings.registry), schemas, settings.registry.get("url", ""))


def tracer_of(settings: Settings, app: str, worker: str) -> Tracer | None:
    """Give what exports spans, None where the settings do not ask for traces. Raises UsageError."""
    return Tracer(settings.traces_endpoint, app, worker) if settings.traces_endpoint else None


def serve_http(settings: Settings) -> tuple[Desk, str]:
    """Begin to serve what the settings ask for, before Kafka is: liveness must not wait for it. Give the desk that answers.

    With it the address under which others reach this worker, "" where none is served or named.
    """
    desk = Desk(is_asked=bool(settings.http_address or settings.metrics_address))
    if settings.metrics_address:
        metrics.serve(settings.metrics_address)
    if not settings.http_address:
        return desk, settings.advertised
    tls = None
    if settings.http_certificate is not None:
        tls = http.Tls(settings.http_certificate, settings.http_key or settings.http_certificate, settings.http_client_ca)
    callers = load_callers(settings.http_access_file) if settings.http_access_file is not None else ()
    bound = http.serve(settings.http_address, desk.routes(), http.Access(callers, tls))
    return desk, settings.advertised or _reachable(bound)


def _reachable(bound: str) -> str:
    """Give the address that others may use: nobody reaches "all addresses of this host", so its name takes their place."""
    host, _, port = bound.rpartition(":")
    return f"{socket.gethostname()}:{port}" if host.strip("[]") in {"0.0.0.0", "::"} else bound  # noqa: S104


def app_from_environment() -> JourneyApp:
    """Make the app for the `faust` command, from ORCHESTRATOR_* variables and the file that ORCHESTRATOR_CONFIG names.

    Raises UsageError for several processes, and what `make_app` does.
    """
    settings = Settings.load()
    if settings.processes > 1:
        raise UsageError(
            "the faust command runs one process",
            where=f"processes={settings.processes}",
            next_step="orchestrator worker runs several",
        )
    return make_app(settings, lambda line: log.warning("kafka_unreachable", detail=line))


def _tombstones_kept(kafka: Mapping[str, Any], changelog: str) -> int:
    """Give the changelog's delete.retention.ms; Kafka's default where this principal may not ask."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, changelog)
    client = admin(kafka)  # held until the answer is there: a client that is let go of takes its futures along
    try:
        found = client.describe_configs([resource])[resource].result(10)
        return int(found["delete.retention.ms"].value)
    except (KafkaException, TimeoutError, KeyError, TypeError, ValueError):
        return DEFAULT_TOMBSTONES_KEPT_MS


def run(app: JourneyApp) -> None:
    """Run the worker until SIGTERM or SIGINT; blocks. Raises what ended it otherwise."""
    asyncio.run(_run(app))


async def _run(app: JourneyApp) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def when_told() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end anyway
            loop.call_soon_threadsafe(stop.set)

    on_signals(when_told, loop)
    log.info("worker_starting", version=__version__, compiled=compiled.is_used())
    app.finalize()
    asked = loop.create_task(stop.wait())
    starting = loop.create_task(app.start())
    await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        log.info("worker_stopped", while_starting=True)
        os._exit(ExitCode.OK)  # a client that waits for Kafka cannot be called off, and nothing was begun
    if (failure := starting.exception()) is not None:
        # Faust ends no service whose start another one's has broken off: the process would wait for them for ever.
        _tell_of_crash(failure)
        bound_the_stop(loop)
        await app.stop()
        raise failure
    calm_the_collector()
    stopped = loop.create_task(app.wait_until_stopped())
    await asyncio.wait([stopped, asked], return_when=asyncio.FIRST_COMPLETED)
    if app.crash_reason is not None:
        _tell_of_crash(app.crash_reason)
        bound_the_stop(loop)  # till the process has ended; at a signal that holds already
    await app.stop()
    asked.cancel()
    if app.crash_reason is not None:
        raise app.crash_reason
    log.info("worker_stopped")


def calm_the_collector() -> None:
    """Look for garbage cycles rarely: the hot path makes none, and looking took a fifth of its time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _tell_of_crash(reason: BaseException) -> None:
    """Say it now: stopping may take the process's last word away. What is not of this project's own errors may hold data."""
    if isinstance(reason, OrchestratorError):
        log.error("worker_fails", code=reason.code, why=reason.what, where=reason.where, next=reason.next_step)
    else:
        log.error("worker_fails", error=type(reason).__name__)

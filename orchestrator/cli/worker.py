"""`orchestrator worker`: one worker process of a group."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.settings import Settings

EXAMPLES = common.examples(
    "orchestrator worker --bootstrap-server localhost:9092",
    "orchestrator worker --state-dir /var/lib/journeys --worker-id journeys-0",
    "orchestrator worker --processes 4",
    "orchestrator worker --set kafka.security.protocol=SSL",
)
WorkerId = Annotated[
    str | None, typer.Option("--worker-id", metavar="NAME", help="Stable name of this worker. [kept in the state folder]")
]
Processes = Annotated[
    int | None, typer.Option("--processes", metavar="N", help="Run as N processes, each with its share of the partitions. [1]")
]
Number = Annotated[int | None, typer.Option("--process", hidden=True, help="Which of several processes this one is.")]


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("worker", epilog=EXAMPLES)(worker)


def worker(
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    state_dir: common.StateDir = None,
    worker_id: WorkerId = None,
    processes: Processes = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
    process: Number = None,
) -> None:
    """Run journeys: consume events, keep state, emit actions.

    One process computes on one core; --processes uses more of a host, and on further hosts further workers do. Kafka's consumer
    group shares the partitions out among all processes. Ctrl-C or SIGTERM ends it after the running commit, within 30 s; a second
    one at once.
    """
    from orchestrator.observe import logs
    from orchestrator.stream.ending import leave_at_sigterm

    faulthandler.enable()  # a native library's crash says where, in frames only
    leave_at_sigterm()
    settings = common.load_settings(
        config,
        assignments,
        topologies=topologies,
        schemas=schemas,
        bootstrap_server=bootstrap_server,
        state_dir=state_dir,
        worker_id=worker_id,
        processes=processes,
    )
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    logs.setup(json=as_json, level=settings.log_level)
    logs.use_key_of(settings.log_key_file)
    if settings.processes > 1:
        raise typer.Exit(_run_processes(settings, config, assignments or ()))
    _run(settings, process)


def _run(settings: Settings, number: int | None) -> None:
    """Run in this process, which is one of several if it has a number."""
    from orchestrator.observe import logs
    from orchestrator.stream.ending import leave_with_parent
    from orchestrator.stream.runner import make_app, run

    if number is not None:
        logs.name_process(number)
        leave_with_parent()
    run(make_app(settings, common.say))


def _run_processes(settings: Settings, config: Path | None, assignments: Sequence[str]) -> int:
    """Check once what all need, so that it is said once, and run them; give the exit status."""
    from orchestrator.settings import client_config
    from orchestrator.stream import preflight, processes
    from orchestrator.stream.identity import WorkerIdentity
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace

    workspace = Workspace.load(settings.topologies, settings.schemas)
    load_schemas(workspace.schemas)
    identity = WorkerIdentity(settings.state_dir, settings.worker_id)  # kept to the end: its lock is the worker's
    shares = processes.shares(settings, identity.id)
    preflight.check(workspace.topology, client_config(settings), settings.connect_timeout_s, common.say)
    processes.warn_of_idle(settings.processes, workspace.topology.streams.partitions)

    def command(share: processes.Share) -> list[str]:
        own = {
            "topologies": str(settings.topologies),
            "bootstrap_server": settings.bootstrap_server,
            **({"schemas": str(settings.schemas)} if settings.schemas else {}),
            **share.settings,
        }
        given = [*assignments, *(f"{name}={value}" for name, value in own.items())]
        return [
            *(sys.executable, "-m", "orchestrator", "worker", "--process", str(share.number)),
            *(("--config", str(config)) if config else ()),
            *(part for each in given for part in ("--set", each)),
        ]

    return processes.run(shares, command)

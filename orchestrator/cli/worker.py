"""`orchestrator worker`: one worker process of a group."""

from __future__ import annotations

import faulthandler
import sys
from typing import Annotated

import typer

from orchestrator.cli import common

EXAMPLES = common.examples(
    "orchestrator worker --bootstrap-server localhost:9092",
    "orchestrator worker --state-dir /var/lib/journeys --worker-id journeys-0",
    "orchestrator worker --set kafka.security.protocol=SSL",
)
WorkerId = Annotated[
    str | None, typer.Option("--worker-id", metavar="NAME", help="Stable name of this worker. [kept in the state folder]")
]


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("worker", epilog=EXAMPLES)(worker)


def worker(
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    state_dir: common.StateDir = None,
    worker_id: WorkerId = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Run journeys: consume events, keep state, emit actions.

    Run one a core, on as many hosts as there is work for; Kafka's consumer group shares the partitions out. Ctrl-C or SIGTERM
    ends it after the running commit, within 30 s; a second one at once.
    """
    from orchestrator.observe import logs
    from orchestrator.stream.ending import leave_at_sigterm
    from orchestrator.stream.runner import make_app, run

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
    )
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    logs.setup(json=as_json, level=settings.log_level)
    logs.use_key_of(settings.log_key_file)
    run(make_app(settings, lambda line: typer.echo(line, err=True)))

"""`orchestrator worker`: one worker process of a group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = """\b
Run one a core, on as many hosts as there is work for; Kafka's consumer group shares the partitions out.

\b
  orchestrator worker --topologies topologies --bootstrap-server localhost:9092
  orchestrator worker --state-dir /var/lib/journeys --worker-id journeys-0 --set kafka.security.protocol=SSL
"""


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("worker", help="Run journeys: consume events, keep state, emit actions.\n\n" + EXAMPLE)(worker)


def worker(
    topologies: Annotated[Path | None, typer.Option(help="Folder with journeys/, policy.yaml and streams.yaml.")] = None,
    schemas: Annotated[Path | None, typer.Option(help="Folder with the event schemas; default: the shipped ones.")] = None,
    bootstrap_server: Annotated[str | None, typer.Option(help="Kafka brokers, host:port, comma between.")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Folder of the local stores; one worker each.")] = None,
    worker_id: Annotated[str | None, typer.Option(help="Stable name of this worker; default: kept in the state folder.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; kafka.* as librdkafka names it.")
    ] = None,
) -> None:
    """Run a worker until it is told to stop."""
    import sys

    from orchestrator.observe import logs
    from orchestrator.settings import Settings, overrides_from
    from orchestrator.stream.runner import make_app, run

    flags = overrides_from(
        set_ or [],
        topologies=topologies,
        schemas=schemas,
        bootstrap_server=bootstrap_server,
        state_dir=state_dir,
        worker_id=worker_id,
    )
    settings = Settings.load(config, flags)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    logs.setup(json=as_json, level=settings.log_level)
    run(make_app(settings, lambda line: typer.echo(line, err=True)))

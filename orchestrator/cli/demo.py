"""`orchestrator demo`: everything at once, on this machine, in under a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import common

Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="DIR", file_okay=False, help="Keep events, decisions, actions and logs in a new directory."),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR=1 does the same.")]
EXAMPLES = common.examples(
    "orchestrator demo", "orchestrator demo --keep demo-run", "orchestrator demo --topologies my-topologies"
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("demo", epilog=EXAMPLES)(demo)


def demo(keep: Keep = None, topologies: common.Topologies = None, no_color: NoColor = False) -> None:
    """Run the shipped journeys over 69,659 real purchases, an invented cohort of new customers and broken payloads.

    Starts a broker, a worker and a channel service of its own, shows what happens, and leaves nothing behind. No Kafka, Java or
    Docker is needed. Under a minute; Ctrl-C ends it cleanly.

    Exit status: 0 done, 1 a process ended or got stuck, 130 interrupted.
    """
    from rich.console import Console

    from orchestrator import defaults
    from orchestrator.operate.demo.run import Options, run

    options = Options(topologies or defaults.TOPOLOGIES, keep)
    # None lets rich decide by NO_COLOR and the terminal.
    colour = True if no_color else None
    run(options, Console(no_color=colour, highlight=False), Console(stderr=True, no_color=colour, highlight=False))

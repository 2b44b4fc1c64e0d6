"""The `runbook` command: a page for whoever is on call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import common

JourneyFile = Annotated[Path, typer.Argument(metavar="JOURNEY.yaml", help="A journey file.")]
EXAMPLES = common.examples("orchestrator runbook topologies/journeys/onboarding.yaml > onboarding.md")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("runbook", epilog=EXAMPLES)(runbook)


def runbook(journey: JourneyFile) -> None:
    """Print a Markdown page about a journey for whoever is on call.

    It says who enters, where customers wait, what goes out, what each refusal means and what to do when actions fail.

    Exit status: 0 printed, 1 the journey does not validate, 2 there is no such file.
    """
    from orchestrator.cli.journeys import load_journey
    from orchestrator.operate.runbook import runbook as page

    found, topology = load_journey(journey)
    typer.echo(page(found, topology), nl=False)

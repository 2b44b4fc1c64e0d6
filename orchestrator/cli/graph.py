"""The `graph` command: a journey as a diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import common

JourneyFile = Annotated[Path, typer.Argument(metavar="JOURNEY.yaml", help="A journey file.")]
EXAMPLES = common.examples(
    "orchestrator graph topologies/journeys/onboarding.yaml", "orchestrator graph journeys/onboarding.yaml > onboarding.mmd"
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("graph", epilog=EXAMPLES)(graph)


def graph(journey: JourneyFile) -> None:
    """Draw a journey's states and transitions as a Mermaid diagram.

    GitHub, GitLab and most wikis show it when it stands in a Markdown block that begins with ```mermaid.

    Exit status: 0 drawn, 1 the journey does not validate, 2 there is no such file.
    """
    from orchestrator.cli.journeys import load_journey
    from orchestrator.engine.verbs import TABLE
    from orchestrator.language.mermaid import mermaid

    found, _ = load_journey(journey)
    typer.echo(mermaid(found, TABLE), nl=False)

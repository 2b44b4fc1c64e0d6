"""The `graph` command: a journey as a diagram."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import common


class Format(StrEnum):
    """What to draw."""

    MERMAID = "mermaid"
    SVG = "svg"


JourneyFile = Annotated[Path, typer.Argument(metavar="JOURNEY.yaml", help="A journey file.")]
Drawn = Annotated[Format, typer.Option("--format", help="Text for Markdown, or a picture.")]
EXAMPLES = common.examples(
    "orchestrator graph topologies/journeys/onboarding.yaml",
    "orchestrator graph --format svg topologies/journeys/winback.yaml > a.svg",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("graph", epilog=EXAMPLES)(graph)


def graph(journey: JourneyFile, drawn: Drawn = Format.MERMAID) -> None:
    """Draw a journey's states and transitions.

    GitHub, GitLab and most wikis show Mermaid text that stands in a Markdown block beginning with ```mermaid. An SVG picture is
    shown by any browser.

    Exit status: 0 drawn, 1 the journey does not validate, 2 there is no such file.
    """
    from orchestrator.cli.journeys import load_journey

    found, _ = load_journey(journey)
    if drawn is Format.SVG:
        from orchestrator.operate.diagram.svg import svg

        typer.echo(svg(found), nl=False)
        return
    from orchestrator.engine.verbs import TABLE
    from orchestrator.language.mermaid import mermaid

    typer.echo(mermaid(found, TABLE), nl=False)

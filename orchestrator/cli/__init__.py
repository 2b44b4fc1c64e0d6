"""The `orchestrator` command. Each module of this package is one command group and imports what is heavy inside its commands."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import typer

from orchestrator import __version__
from orchestrator.errors import OrchestratorError
from orchestrator.names import ExitCode

# One module a command group, in the order of `--help`; each has `register(app: typer.Typer) -> None`.
GROUPS: Final = ("demo", "validate", "simulate", "topics", "worker", "produce", "actions")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"orchestrator {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """Assemble the command from its groups."""
    app = typer.Typer(
        name="orchestrator",
        help="Customer journeys written in YAML, run on Kafka, exactly once.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def options(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")) -> None:
        """Customer journeys written in YAML, run on Kafka, exactly once."""

    for group in GROUPS:
        importlib.import_module(f"orchestrator.cli.{group}").register(app)
    return app


def main() -> None:
    """Run the command; errors go to stderr with their code and the next step, and set the exit code."""
    try:
        build()()
    except OrchestratorError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)

"""The `orchestrator` command. Each module of this package is one command group and imports what is heavy inside its commands."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from orchestrator import __version__, compiled
from orchestrator.errors import OrchestratorError
from orchestrator.names import ExitCode

# One module a command group, in the order of `--help`; each has `register(app: typer.Typer) -> None`.
GROUPS: Final = (
    "demo",
    "validate",
    "test",
    "graph",
    "lineage",
    "runbook",
    "schema",
    "schemas",
    "fmt",
    "simulate",
    "replay",
    "backtest",
    "topics",
    "worker",
    "publish",
    "published",
    "partitions",
    "customer",
    "parked",
    "erase",
    "export",
    "acls",
    "config",
    "doctor",
    "channel",
    "produce",
    "actions",
    "sight",
    "status",
    "ledger",
    "incidents",
)

DEBUG_VARIABLE: Final = "ORCHESTRATOR_DEBUG"
INTERNAL_ERROR: Final = "ORC-999"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"orchestrator {__version__}{', compiled' if compiled.is_used() else ''}")
        raise typer.Exit


def _debug(wanted: bool) -> None:
    if wanted:
        # In the environment, so that processes started by a command show their tracebacks too.
        os.environ[DEBUG_VARIABLE] = "1"


def build() -> typer.Typer:
    """Assemble the command from its groups."""
    app = typer.Typer(
        name="orchestrator",
        help="Customer journeys written in YAML, run on Kafka, exactly once.",
        epilog="\b\nExamples:\n  $ orchestrator demo\n  $ orchestrator validate topologies\n  $ orchestrator worker --help",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def options(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
        debug: bool = typer.Option(False, "--debug", callback=_debug, is_eager=True, help="Show tracebacks of internal errors."),
    ) -> None:
        """Customer journeys written in YAML, run on Kafka, exactly once."""

    for group in GROUPS:
        importlib.import_module(f"orchestrator.cli.{group}").register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status; whatever went wrong is said on standard error, with the next step."""
    try:
        # Not standalone: Typer would else turn what is raised into its own exit codes. It gives 130 for Ctrl-C either way.
        status = build()(list(arguments), prog_name="orchestrator", standalone_mode=False)
    except OrchestratorError as error:
        typer.echo(f"error: {error}", err=True)
        return error.exit_code
    except typer.TyperException as error:
        _show(error)
        return error.exit_code
    except typer.Abort:
        typer.echo("aborted", err=True)
        return ExitCode.NO
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except SystemExit as end:
        # Typer's answer to a reader that has gone away: who reads no further has what was wanted.
        return ExitCode.OK if isinstance(end.__context__, BrokenPipeError) else _status(end.code)
    except Exception as error:
        _report(error)
        return ExitCode.NO
    return _status(status)


def main() -> None:
    """The console script: run what the command line says and exit."""
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more while it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _show(error: typer.TyperException) -> None:
    """Wrong options and arguments; Typer's own text has the usage line and names `--help`."""
    show = getattr(error, "show", None)
    if show is None:
        typer.echo(f"error: {error}", err=True)
    else:
        show()


def _status(value: object) -> int:
    """The exit status that a command gave: nothing means all is well."""
    return value if isinstance(value, int) else ExitCode.OK


def _report(error: Exception) -> None:
    """Name a bug by its type and place; its text may hold a customer's data and is shown only to who asks for it."""
    if os.environ.get(DEBUG_VARIABLE) == "1":
        typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        advice = "report it with the traceback above"
    else:
        advice = "run `orchestrator --debug ...` once more and report what it prints"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    typer.echo(f"error: {INTERNAL_ERROR} internal error, {type(error).__name__} ({where})\n  next: {advice}", err=True)

"""What the commands share: options that mean the same everywhere, the settings they make, tables for people, JSON for machines.

Standard output carries what was asked for; `say` writes progress and advice to standard error.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from orchestrator.language.model import Streams
    from orchestrator.language.problems import Problem
    from orchestrator.settings import Settings
    from orchestrator.wire.gate import Gate
    from orchestrator.wire.schemas import SchemaSet

COLUMN_GAP: Final = 2
NARROWEST: Final = 6

BootstrapServer = Annotated[
    str | None,
    typer.Option("--bootstrap-server", metavar="HOST:PORT", help="Kafka brokers to start from, comma between. [localhost:9092]"),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", dir_okay=False, help="Settings as TOML. [ORCHESTRATOR_CONFIG]"),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting, for example kafka.security.protocol=SSL; may be repeated."),
]
Topologies = Annotated[
    Path | None,
    typer.Option("--topologies", metavar="DIR", file_okay=False, help="Folder with journeys/, policy.yaml, streams.yaml."),
]
Schemas = Annotated[
    Path | None,
    typer.Option("--schemas", metavar="DIR", file_okay=False, help="Folder with the event schemas. [beside the topologies]"),
]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", file_okay=False, help="Folder of the local stores; one worker's own. [state]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
Execute = Annotated[bool, typer.Option("--execute", help="Do it; without this the plan is printed and nothing changes.")]


def examples(*lines: str) -> str:
    """A command's `epilog`: examples as they are typed, kept line by line in `--help`."""
    return "\n".join(("\b", "Examples:", *(f"  $ {line}" for line in lines)))


def load_settings(config: Path | None = None, assignments: Sequence[str] | None = None, **flags: Any) -> Settings:
    """Settings from file, environment, `--set` and the command's own flags (None: not given). Raises UsageError."""
    from orchestrator.settings import Settings, overrides_from

    return Settings.load(config, overrides_from(assignments or (), **flags))


def instant(option: str, text: str) -> int | None:
    """Read a time that an option gives, as ms UTC; None where it is not given. Raises UsageError."""
    from orchestrator.errors import UsageError
    from orchestrator.wire.normalise import epoch_ms

    found = epoch_ms(text) if text else None
    if text and found is None:
        raise UsageError(f"{option} is no time with a zone: {text}", next_step="write it as 2026-12-31T00:00:00Z")
    return found


@contextlib.contextmanager
def gate(settings: Settings, streams: Streams, schemas: SchemaSet) -> Iterator[Gate]:
    """Give the gate that workers have, for all types of events; the registry, where one is set, is asked as need be.

    Its `admit` blocks then, and raises Unreachable where the registry does not help.
    """
    from orchestrator.stream.registry import on_demand
    from orchestrator.wire.gate import Gate, GateLimits

    with contextlib.closing(on_demand(settings.registry, schemas)) as registry:
        yield Gate(schemas, streams, lambda _: True, GateLimits(value_bytes=settings.value_bytes), registry)


def say(line: str) -> None:
    """Tell a person something that is not the result: progress, advice, warnings."""
    typer.echo(line, err=True)


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Iterator[tuple[Callable[[int], None], Callable[[], float]]]:
    """Draw a bar on standard error, on a terminal only; gives what moves it and what tells the time since the start."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    started = time.monotonic()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, completed=count), lambda: time.monotonic() - started


def print_json(value: Any) -> None:
    """The result for machines: one JSON document on one line."""
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode())


def problem_row(problem: Problem) -> dict[str, Any]:
    """Give what is wrong with a file as it stands in the JSON of each command that checks files."""
    return {
        "path": problem.place.path,
        "line": problem.place.line,
        "column": problem.place.column,
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "suggestion": problem.suggestion,
        "expression": problem.expression,
    }


def known_name(option: str, word: str, known: Iterable[str]) -> None:
    """Raise UsageError, with a suggestion, for a name that an option gives and that there is not; "" is none."""
    from orchestrator.errors import UsageError
    from orchestrator.language.problems import nearest

    names = sorted(set(known))
    if word and word not in names:
        near = nearest(word, names)
        advice = f"did you mean {near}?" if near else f"known are {', '.join(names) or 'none'}"
        raise UsageError(f"{option}: there is no {word!r}", next_step=advice)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The result for people: on a terminal cut to its width (80 where unknown), in a pipe whole."""
    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None
    for line in table(headers, rows, width=width):
        typer.echo(line)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, width: int | None = None) -> list[str]:
    """Lines of a table, columns of numbers to the right; with a `width` the widest columns give way, cut texts end in `…`."""
    body = [["" if cell is None else str(cell) for cell in row] for row in rows]
    columns = [list(column) for column in zip(headers, *body, strict=True)]
    widths = _fit([max(map(len, column)) for column in columns], width)
    right = [bool(body) and all(_is_number(cell) for cell in column[1:]) for column in columns]
    return [
        (" " * COLUMN_GAP).join(_cell(cell, widths[at], to_right=right[at]) for at, cell in enumerate(line)).rstrip()
        for line in [list(headers), *body]
    ]


def _fit(widths: list[int], limit: int | None) -> list[int]:
    """Take from the widest column, a character at a time, until the line fits or all columns are at their narrowest."""
    if limit is None:
        return widths
    fitted = list(widths)
    while sum(fitted) + COLUMN_GAP * (len(fitted) - 1) > limit and max(fitted) > NARROWEST:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _cell(text: str, width: int, *, to_right: bool) -> str:
    short = text if len(text) <= width else text[: width - 1] + "…"
    return short.rjust(width) if to_right else short.ljust(width)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).removeprefix("-").isdecimal() if text else True

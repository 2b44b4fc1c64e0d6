"""The `simulate` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from orchestrator.operate.virtual_run import FaultyLine, Tally

_SHOWN = 20  # broken or misfitting lines that are printed one by one


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""

    @app.command(
        epilog="Example: orchestrator simulate --topologies topologies --events events.jsonl --until 1998-12-31T00:00:00Z "
        "--actions actions.jsonl"
    )
    def simulate(
        topologies: Annotated[Path, typer.Option(help="Folder with journeys/, policy.yaml and streams.yaml.")],
        events: Annotated[Path, typer.Option(help="JSON lines: at, customer, event, id, data.")],
        until: Annotated[str, typer.Option(help="Run the clock to here, ISO 8601 with a zone. Default: the newest event.")] = "",
        schemas: Annotated[Path | None, typer.Option(help="Folder of event schemas. Default: the shipped ones.")] = None,
        actions: Annotated[Path | None, typer.Option(help="Write the actions here, as JSON lines.")] = None,
        decisions: Annotated[Path | None, typer.Option(help="Write the decisions here, as JSON lines.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        """Run journeys over a file of events in virtual time: no broker, no waiting."""
        from orchestrator.operate.virtual_run import VirtualRun, opened, summary
        from orchestrator.wire.schemas import load_schemas
        from orchestrator.workspace import Workspace, schemas_beside

        schema_set = load_schemas(schemas or schemas_beside(topologies))
        topology = Workspace.load(topologies, schemas, is_open=True).topology
        until_ms = _instant(until)
        with _input(events) as lines, opened(_output(actions), _output(decisions)) as (outputs, keep):
            run = VirtualRun(topology, schema_set, outputs, _say_untyped)
            tally = run.go(lines, until_ms)
            _report_lines(events, tally.misfits, "does not fit its schema")
            _refuse_broken(events, tally)
            keep()
        if tally.after_until:
            typer.echo(f"note: {tally.after_until} events are later than --until and were left out", err=True)
        if as_json:
            import orjson

            typer.echo(orjson.dumps(summary(tally), option=orjson.OPT_INDENT_2).decode())
        else:
            _print(tally)


def _instant(text: str) -> int | None:
    from orchestrator.errors import UsageError
    from orchestrator.wire.normalise import epoch_ms

    if not text:
        return None
    found = epoch_ms(text)
    if found is None:
        step = "write it as 1998-12-31T00:00:00Z"
        raise UsageError(f"--until is no time with a zone: {text!r}", next_step=step)
    return found


def _output(path: Path | None) -> Path | None:
    from orchestrator.errors import UsageError

    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise UsageError("cannot write there", where=str(path), next_step="name a file in a folder that exists")
    return path


def _input(path: Path) -> AbstractContextManager[Iterator[bytes]]:
    """Open the events; with a bar on a terminal, measured in bytes, once the run takes more than a second."""
    from orchestrator.errors import UsageError

    if not path.is_file():
        raise UsageError("no such file of events", where=str(path), next_step="give --events a file of JSON lines")
    return _watched(path)


def _watched(path: Path) -> AbstractContextManager[Iterator[bytes]]:
    from contextlib import contextmanager
    from time import monotonic

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)

    @contextmanager
    def open_lines() -> Iterator[Iterator[bytes]]:
        columns = (TextColumn("simulating"), BarColumn(), TextColumn("{task.percentage:.0f}%"), TimeRemainingColumn())
        bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        task = bar.add_task("", total=path.stat().st_size)

        def lines() -> Iterator[bytes]:
            start, shown = monotonic(), False
            for number, line in enumerate(file, 1):
                if number % 1000 == 0 and not shown and monotonic() - start > 1:
                    bar.start()
                    shown = True
                if number % 1000 == 0:
                    bar.update(task, completed=file.tell())
                yield line

        with path.open("rb") as file:
            try:
                yield lines()
            finally:
                bar.stop()

    return open_lines()


def _say_untyped(event_type: str) -> None:
    typer.echo(f"note: no schema declares {event_type}: its fields are taken as given", err=True)


def _report_lines(path: Path, faulty: list[FaultyLine], what: str) -> None:
    for line in faulty[:_SHOWN]:
        typer.echo(f"{path}:{line.number}: {'; '.join(line.faults)}", err=True)
    if faulty:
        rest = f", the first {_SHOWN} are shown" if len(faulty) > _SHOWN else ""
        typer.echo(f"incident: {len(faulty)} lines: {what}{rest}; through Kafka they would be dead letters", err=True)


def _refuse_broken(path: Path, tally: Tally) -> None:
    from orchestrator.errors import BrokenInput

    if not tally.broken:
        return
    for line in tally.broken:
        typer.echo(f"{path}:{line.number}: {'; '.join(line.faults)}", err=True)
    number = len(tally.broken)
    raise BrokenInput(
        f"{number} {'line is' if number == 1 else 'lines are'} no event; nothing was written",
        where=str(path),
        next_step='each line is {"at": ..., "customer": ..., "event": ..., "id": ..., "data": {...}}',
    )


def _print(tally: Tally) -> None:
    from rich.console import Console
    from rich.table import Table

    from orchestrator.operate.virtual_run import summary

    told = summary(tally)
    console = Console()
    events = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in told["events"].items() if count)
    customers = f"{tally.customers:,} customers, {tally.instances:,} instances active"
    console.print(f"until {told['until']}: {events or 'no events'}; {customers}")
    sections = (
        ("actions", ("journey", "step", "channel", "template", "count")),
        ("refusals", ("journey", "kind", "reason", "count")),
        ("incidents", ("reason", "journey", "step", "count")),
    )
    for section, columns in sections:
        if not told[section]:
            continue
        table = Table(title=section, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column == "count" else "left")
        for row in told[section]:
            table.add_row(*(f"{row[column]:,}" if column == "count" else str(row[column]) for column in columns))
        console.print(table)
    decided = Table(title="decisions", title_justify="left", box=None, pad_edge=False)
    decided.add_column("kind")
    decided.add_column("count", justify="right")
    for kind, count in told["decisions"].items():
        decided.add_row(kind, f"{count:,}")
    console.print(decided)

"""The `simulate` command: a file of events through journeys in virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.virtual_run import FaultyLine, Tally

SHOWN_LINES: Final = 50
PATIENCE_S: Final = 1.0  # a run that takes no longer shows no bar
STEP: Final = 1_000  # lines between two looks at the clock

Topologies = Annotated[
    Path, typer.Option("--topologies", metavar="DIR", help="Folder with journeys/, policy.yaml, streams.yaml.")
]
Events = Annotated[Path, typer.Option("--events", metavar="FILE", help="Events as JSON lines: at, customer, event, id, data.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Run the clock to here, ISO 8601. [the newest event]")]
Actions = Annotated[Path | None, typer.Option("--actions", metavar="FILE", help="Write the actions here, as JSON lines.")]
Decisions = Annotated[Path | None, typer.Option("--decisions", metavar="FILE", help="Write the decisions here, as JSON lines.")]
EXAMPLES = common.examples(
    "orchestrator simulate --topologies topologies --events events.jsonl",
    "orchestrator simulate --topologies . --events e.jsonl --actions a.jsonl",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("simulate", epilog=EXAMPLES)(simulate)


def simulate(
    topologies: Topologies,
    events: Events,
    until: Until = "",
    schemas: common.Schemas = None,
    actions: Actions = None,
    decisions: Decisions = None,
    as_json: common.AsJson = False,
) -> None:
    """Run journeys over a file of events in virtual time: no broker, no waiting.

    Events are handled in the order of the file; one with an earlier `at` than those before it is a late record. Timers fire at
    their own time, up to and at --until. An event type without a schema is taken as it stands; one that does not fit its schema
    is counted and left out, as it would be through Kafka.

    Exit status: 0 done, 1 the topology or some lines are wrong (nothing is written), 2 a file or option is wrong.
    """
    from orchestrator.operate.virtual_run import VirtualRun, opened, summary
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace, schemas_beside

    schema_set = load_schemas(schemas or schemas_beside(topologies))
    topology = Workspace.load(topologies, schemas, is_open=True).topology
    until_ms = common.instant("--until", until)
    with _lines(events) as lines, opened(_output(actions), _output(decisions)) as (outputs, keep):
        tally = VirtualRun(topology, schema_set, outputs, _say_undeclared).go(lines, until_ms)
        _refuse_broken(events, tally)
        keep()
    _report(events, tally.misfits)
    if tally.misfits:
        common.say(f"{len(tally.misfits)} events do not fit their schema and were left out; through Kafka they are incidents")
    if tally.after_until:
        common.say(f"{tally.after_until} events are later than --until and were left out")
    if as_json:
        common.print_json(summary(tally))
    else:
        _print(tally)


def _output(path: Path | None) -> Path | None:
    from orchestrator.errors import UsageError

    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise UsageError("cannot write there", where=str(path), next_step="name a file in a folder that exists")
    return path


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Open the events; on a terminal a bar shows how much of the file is read, once that takes longer than `PATIENCE_S`."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from orchestrator.errors import UsageError

    if not path.is_file():
        raise UsageError("no such file of events", where=str(path), next_step="give --events a file of JSON lines")
    console = Console(stderr=True)
    columns = (TextColumn("simulating"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("", total=path.stat().st_size)
    started = time.monotonic()
    with path.open("rb") as file:

        def lines() -> Iterator[bytes]:
            read = 0
            for number, line in enumerate(file, 1):
                read += len(line)
                if number % STEP == 0 and time.monotonic() - started > PATIENCE_S:
                    bar.start()
                    bar.update(task, completed=read)
                yield line

        try:
            yield lines()
        finally:
            bar.stop()


def _say_undeclared(event_type: str) -> None:
    common.say(f"no schema declares {event_type}: its fields are taken as given")


def _report(path: Path, faulty: list[FaultyLine]) -> None:
    for line in faulty[:SHOWN_LINES]:
        for fault in line.faults:
            common.say(f"{path}:{line.number}: {fault}")
    if len(faulty) > SHOWN_LINES:
        common.say(f"... and {len(faulty) - SHOWN_LINES} more lines")


def _refuse_broken(path: Path, tally: Tally) -> None:
    from orchestrator.errors import BrokenInput

    if not tally.broken:
        return
    _report(path, tally.broken)
    what = f"{len(tally.broken)} lines are no events. Nothing was written"
    line = '{"at": "2026-01-05T00:00:00Z", "customer": "c1", "event": "auth.login", "id": "e1", "data": {}}'
    raise BrokenInput(what, where=str(path), next_step=f"correct the lines above; one is written as {line}")


def _print(tally: Tally) -> None:
    from orchestrator.operate.virtual_run import summary

    told = summary(tally)
    events = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in told["events"].items() if count)
    typer.echo(f"until {told['until']}: events: {events or 'none'}")
    typer.echo(f"{told['customers']:,} customers with {told['active_instances']:,} active instances")
    decisions = [{"decision": kind, "count": count} for kind, count in told["decisions"].items()]
    for title, rows in (*((name, told[name]) for name in ("actions", "refusals", "incidents")), ("decisions", decisions)):
        if rows:
            typer.echo(f"\n{title}")
            common.print_table(list(rows[0]), [[f"{v:,}" if isinstance(v, int) else v for v in row.values()] for row in rows])

"""The `replay` command: a stretch of the log through the engine again, in a shadow, beside what the log has."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import acting, common

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.operate.replay.processes import Basis
    from orchestrator.operate.replay.run import Asked, Result
    from orchestrator.operate.replay.window import Window

Topic = Annotated[
    list[str] | None, typer.Option("--topic", metavar="TOPIC[:P,P]", help="Partitions of a source topic; may be repeated. [all]")
]
FromOffset = Annotated[int | None, typer.Option("--from-offset", min=0, help="First offset, of the one --topic.")]
ToOffset = Annotated[int | None, typer.Option("--to-offset", min=0, help="The offset after the last one.")]
FromDatetime = Annotated[str, typer.Option("--from-datetime", metavar="TIME", help="Handled from here on, ISO 8601 with a zone.")]
ToDatetime = Annotated[str, typer.Option("--to-datetime", metavar="TIME", help="Handled before this.")]
ByDuration = Annotated[str, typer.Option("--by-duration", metavar="LENGTH", help="Handled in the last 2h, PT30M...")]
Earlier = Annotated[
    list[Path] | None,
    typer.Option("--earlier", metavar="DIR", file_okay=False, help="The topologies as they were before; may be repeated."),
]
AnyProgram = Annotated[
    bool,
    typer.Option("--any-program", help="Where the journal names another program, run the one at hand: what would it have done?"),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where decisions, actions, differences go.")]
Mode = Annotated[str, typer.Option("--mode", metavar="MODE", help="compare with the log, or rebuild the state from the events.")]
Execute = Annotated[bool, typer.Option("--execute", help="With --mode rebuild: write the state; else it is a plan.")]
Snapshots = Annotated[
    Path | None,
    typer.Option("--snapshots", metavar="DIR", file_okay=False, help="Begin with the nearest state kept there, and keep more."),
]
ToTopic = Annotated[str, typer.Option("--to-topic", metavar="TOPIC", help="Write what it gives to this topic as well.")]
KeepSnapshots = Annotated[
    int, typer.Option("--keep-snapshots", min=1, metavar="N", help="So many states of a partition stay there; older ones go.")
]
KEPT = 10
COMPARE, REBUILD = "compare", "rebuild"
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes side by side. [one a core, at most one a partition]")]

EXAMPLES = common.examples(
    "orchestrator replay",
    "orchestrator replay --topic customer.events:0,1 --by-duration 2h",
    "orchestrator replay --topologies draft --any-program",
    'orchestrator replay --mode rebuild --execute --reason "ticket 4711"',
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("replay", epilog=EXAMPLES)(replay)


def replay(
    topic: Topic = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    from_datetime: FromDatetime = "",
    to_datetime: ToDatetime = "",
    by_duration: ByDuration = "",
    topologies: common.Topologies = None,
    earlier: Earlier = None,
    any_program: AnyProgram = False,
    schemas: common.Schemas = None,
    out: Out = Path("replay"),
    to_topic: ToTopic = "",
    snapshots: Snapshots = None,
    keep_snapshots: KeepSnapshots = KEPT,
    mode: Mode = COMPARE,
    execute: Execute = False,
    reason: acting.Reason = "",
    by: acting.By = "",
    jobs: Jobs = None,
    json: common.AsJson = False,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Run what was handled once more, and say where the log has something else.

    It begins with the journal's first cycle, in memory, and reads on to the end of the window; whole cycles are compared, with
    their timers. Kafka and the workers are not touched. After Ctrl-C the same command goes on where it stopped. The folder gets
    differences.jsonl, and for each partition decisions.jsonl and actions.jsonl.

    With --mode rebuild the state that it comes to is held against the changelog, and with --execute takes its place; nothing is
    sent. No worker may run, and the log must have what the replay gives.

    Exit status: 0 the same, 1 it differs, 2 wrong use, 3 Kafka does not answer, 4 refused: see the code; 130 interrupted.
    """
    from orchestrator import kafka
    from orchestrator.operate.replay.processes import Basis
    from orchestrator.operate.replay.run import Asked
    from orchestrator.operate.replay.window import Window
    from orchestrator.settings import client_config
    from orchestrator.wire.gate import GateLimits

    window = _window(from_offset, to_offset, _span(from_datetime, to_datetime, by_duration), chosen := _chosen(topic))
    settings = common.load_settings(
        config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server
    )
    folders, limits = (settings.topologies, *(earlier or ())), GateLimits(value_bytes=settings.value_bytes)
    basis = Basis(folders, settings.schemas, limits, any_program, settings.registry)
    conf = client_config(settings)
    author = _author(mode, (by, reason, execute), is_whole=window == Window() and not (any_program or to_topic))
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    asked = Asked((), window, jobs or 0, out, snapshots=snapshots, to_topic=to_topic, most_snapshots=keep_snapshots)
    if author is None:
        _shadow(conf, basis, chosen, asked, json=json)
    else:
        from orchestrator.cli import rebuild

        rebuild.rebuild(conf, basis, chosen, author, asked, json=json)


def _author(mode: str, who: tuple[str, str, bool], *, is_whole: bool) -> acting.Who | None:
    """Say who rebuilds, None where nobody does. Raises UsageError."""
    from orchestrator.errors import UsageError

    if mode not in (COMPARE, REBUILD):
        raise UsageError(f"--mode {mode}: there is no such mode", next_step=f"{COMPARE} or {REBUILD}")
    if mode == REBUILD and not is_whole:
        raise UsageError(
            "a rebuilding goes to the end, with the programs of then, and writes no lines and no topic",
            next_step="choose partitions only: --topic TOPIC:0,1",
        )
    by, reason, execute = who
    if mode == REBUILD:
        return acting.who(by, reason, execute)
    if execute:
        raise UsageError("a comparison changes nothing", where="--execute", next_step=f"--mode {REBUILD} does")
    return None


def _shadow(conf: Mapping[str, Any], basis: Basis, chosen: Mapping[str, list[int]], asked: Asked, *, json: bool) -> None:
    from msgspec.structs import replace

    from orchestrator.operate.replay import run, telling

    numbers, out = run.partitions_of(chosen, basis.programs().found[0]), asked.folder
    asked = replace(asked, partitions=numbers, jobs=processes(asked.jobs, numbers))
    started = time.monotonic()
    result = followed(conf, asked, basis)
    seconds = time.monotonic() - started
    if json:
        common.print_json({**telling.as_json(result), "seconds": round(seconds, 2)})
    else:
        records, timers = result.total("records"), result.total("timers")
        typer.echo(
            f"{records:,} records and {timers:,} timers of {len(numbers)} partitions in {seconds:.1f} s:"
            f" {records / seconds:,.0f} records/s in {asked.jobs} processes"
        )
        for line in telling.lines(result):
            typer.echo(line)
        common.say(f"Written to {out}/.")
    if not telling.is_same(result):
        raise typer.Exit(1)


def processes(jobs: int | None, numbers: Sequence[int]) -> int:
    """Give how many processes work side by side."""
    return min(jobs or os.cpu_count() or 1, len(numbers))


def followed(conf: Mapping[str, Any], asked: Asked, basis: Basis) -> Result:
    """Replay with a progress bar. Raises as `run.replay` does."""
    from orchestrator.operate.replay import run

    try:
        with Bar("replaying") as bar:
            return run.replay(conf, asked, basis, bar.behind, bar.total)
    except KeyboardInterrupt:
        common.say(f"Interrupted. The same command goes on from here; --out {asked.folder} has what is done so far.")
        raise


def _chosen(topics: list[str] | None) -> dict[str, list[int]]:
    from orchestrator.errors import UsageError

    found: dict[str, list[int]] = {}
    for text in topics or ():
        name, _, numbers = text.partition(":")
        if not name or not all(each.isdecimal() for each in numbers.split(",") if numbers):
            raise UsageError(f"--topic {text}: expected TOPIC or TOPIC:0,1", next_step="for example --topic customer.events:0,1")
        found.setdefault(name, []).extend(int(each) for each in numbers.split(",") if numbers)
    return found


def _window(first: int | None, following: int | None, span: tuple[int, int], chosen: Mapping[str, Any]) -> Window:
    from orchestrator.errors import UsageError
    from orchestrator.operate.replay.window import FAR, Window

    if first is None and following is None:
        return Window({}, *span)
    if len(chosen) != 1:
        raise UsageError("offsets are those of one topic", next_step="name it: --topic customer.events:0 --from-offset 100")
    start, end = first or 0, FAR if following is None else following
    if start >= end:
        raise UsageError(f"nothing lies from {start} up to {end}", next_step="--to-offset is the offset after the last one")
    return Window({next(iter(chosen)): (start, end)}, *span)


def _span(begin: str, end: str, length: str) -> tuple[int, int]:
    """Give the times from which and before which cycles are wanted, ms UTC."""
    from orchestrator.errors import UsageError
    from orchestrator.language.durations import parse_duration
    from orchestrator.operate.replay.window import FAR

    if length and (begin or end):
        raise UsageError("--by-duration is for the time up to now", next_step="leave it out, or the two others")
    if length:
        try:
            return time.time_ns() // 1_000_000 - parse_duration(length), FAR
        except ValueError as error:
            raise UsageError(f"--by-duration: {error}", next_step="for example 2h") from None
    start, stop = common.instant("--from-datetime", begin) or 0, common.instant("--to-datetime", end)
    if stop is not None and stop <= start:
        raise UsageError("--to-datetime is not after --from-datetime", next_step="give the earlier time first")
    return start, FAR if stop is None else stop


class Bar:
    """A progress bar on standard error, on a terminal only: how much lies behind, how fast, how long it still takes."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn(what), BarColumn(), TaskProgressColumn(show_speed=True), TextColumn("{task.fields[rate]}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None, rate="")
        self._started = time.monotonic()
        self._before: int | None = None

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def total(self, count: int) -> None:
        """Say how much there is."""
        self._bar.update(self._task, total=count)

    def behind(self, counts: Mapping[int, int]) -> None:
        """Say how much lies behind, by partition."""
        done = sum(counts.values())
        if self._before is None:
            self._before = done  # what an interrupted run had done says nothing of the speed of this one
        rate = (done - self._before) / max(time.monotonic() - self._started, 0.1)
        self._bar.update(self._task, completed=done, rate=f"{rate:,.0f}/s")

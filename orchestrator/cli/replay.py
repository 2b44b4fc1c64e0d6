"""The `replay` command: a stretch of the log through the engine again, in a shadow, beside what the log has."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.operate.replay.processes import Basis
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
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes side by side. [one a core, at most one a partition]")]

EXAMPLES = common.examples(
    "orchestrator replay",
    "orchestrator replay --topic customer.events:0,1 --by-duration 2h",
    "orchestrator replay --topologies draft --any-program",
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

    Exit status: 0 the same, 1 it differs, 2 wrong use, 3 Kafka does not answer, 4 refused: see the code; 130 interrupted.
    """
    from orchestrator import kafka
    from orchestrator.operate.replay.processes import Basis
    from orchestrator.settings import client_config
    from orchestrator.wire.gate import GateLimits

    window = _window(from_offset, to_offset, _span(from_datetime, to_datetime, by_duration), chosen := _chosen(topic))
    settings = common.load_settings(
        config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server
    )
    common.refuse_registry(settings)
    basis = Basis(
        (settings.topologies, *(earlier or ())), settings.schemas, GateLimits(value_bytes=settings.value_bytes), any_program
    )
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    _shadow(conf, basis, window, chosen, (out, jobs, json))


def _shadow(
    conf: Mapping[str, Any], basis: Basis, window: Window, chosen: Mapping[str, list[int]], how: tuple[Path, int | None, bool]
) -> None:
    from orchestrator.operate.replay import run, telling
    from orchestrator.operate.replay.run import Asked

    out, jobs, json = how
    numbers = run.partitions_of(chosen, basis.programs().found[0])
    asked = Asked(numbers, window, min(jobs or os.cpu_count() or 1, len(numbers)), out)
    started = time.monotonic()
    try:
        with Bar("replaying") as bar:
            result = run.replay(conf, asked, basis, bar.behind, bar.total)
    except KeyboardInterrupt:
        common.say(f"Interrupted. The same command goes on from here; --out {out} has what is done so far.")
        raise
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

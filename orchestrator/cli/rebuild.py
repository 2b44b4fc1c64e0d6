"""`orchestrator replay --mode rebuild`: the state from the events, in place of what the changelog has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli import acting, common, replay
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orchestrator.operate.replay.processes import Basis
    from orchestrator.operate.replay.rebuilding import Planned
    from orchestrator.operate.replay.run import Asked, Result

HEADERS = ("PARTITION", "CYCLE", "SAME", "CHANGED", "ADDED", "REMOVED")


def rebuild(
    conf: Mapping[str, Any],
    basis: Basis,
    chosen: Mapping[str, list[int]],
    who: acting.Who,
    asked: Asked,
    *,
    json: bool,
) -> None:
    """Replay for the state, show what the changelog has otherwise, and write it where that is meant."""
    from msgspec.structs import replace

    from orchestrator.operate.replay import run
    from orchestrator.operate.replay.rebuilding import Author, Rebuilding

    program = basis.programs().found[0]
    numbers = run.partitions_of(chosen, program)
    rebuilding = Rebuilding(conf, program.topology.streams, asked.folder)
    rebuilding.check_idle()
    asked = replace(asked, partitions=numbers, jobs=replay.processes(asked.jobs, numbers), is_for_state=True)
    _check_same(replay.followed(conf, asked, basis), asked.folder, json=json)
    if who.execute:
        with acting.bar("writing documents") as bar:
            done = list(rebuilding.execute(numbers, Author(who.by, who.reason), bar))
    else:
        with acting.bar("reading the changelog") as bar:
            done = list(rebuilding.plan(numbers, bar))
    _tell(done, who, json=json)


def _check_same(result: Result, out: Path, *, json: bool) -> None:
    """End with 1 where the log has something else: workers that go on from such a state might send again what was sent."""
    from orchestrator.operate.replay import telling

    if telling.is_same(result):
        return
    if json:
        common.print_json(telling.as_json(result))
    else:
        for line in telling.lines(result):
            typer.echo(line)
    common.say(f"The log has something else, so the state is not what workers went on from: see {out}/. Nothing was done.")
    raise typer.Exit(ExitCode.NO)


def _tell(done: Iterable[Planned], who: acting.Who, *, json: bool) -> None:
    found = list(done)
    if json:
        names = ("partition", "cycle", "same", "changed", "added", "removed")
        listed = [{name: getattr(each, name) for name in names} for each in found]
        common.print_json({"executed": who.execute, "partitions": listed})
        return
    common.print_table(HEADERS, [(p.partition, p.cycle, p.same, p.changed, p.added, p.removed) for p in found])
    total = sum(each.total for each in found)
    if who.execute:
        typer.echo(f"{total:,} documents were written. Workers rebuild their stores from them when they start.")
    else:
        typer.echo(f"{total:,} documents would be written. {acting.NOTHING_DONE}")

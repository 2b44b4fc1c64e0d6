"""The `journeys` command: what is live, rolling back, pausing and resuming."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import acting, common
from orchestrator.cli.publish import ask_slowly, asks, wired

if TYPE_CHECKING:
    from orchestrator.operate.publishing.plan import Live
    from orchestrator.operate.sight.asking import Asker
    from orchestrator.wire.programs import Revision
    from orchestrator.workspace import Workspace


class TimersWord(StrEnum):
    """What becomes of a journey's timers in a pause (rule V6)."""

    RUN = "run"
    FREEZE = "freeze"


Name = Annotated[str, typer.Argument(metavar="JOURNEY", help="The journey's id.")]
To = Annotated[int | None, typer.Option("--to", metavar="VERSION", help="The version that shall take entries. [the one before]")]
Rate = Annotated[int, typer.Option("--rate", min=1, metavar="N", help="Customers a second whose held actions are let go.")]
Timers = Annotated[
    TimersWord, typer.Option("--timers", help="Whether its timers run on in the pause, or stand still until the resume.")
]
RATE = 200


def _example(command: str) -> str:
    line = f"orchestrator journeys {command}"
    return common.examples(line, f'{line} --execute --reason "ticket 7"')


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    journeys = typer.Typer(help="Journeys as they are live: versions, roll back, pause, resume.", no_args_is_help=True)
    journeys.command("list", epilog=common.examples("orchestrator journeys list"))(show_all)
    journeys.command("show", epilog=common.examples("orchestrator journeys show winback"))(show)
    journeys.command("rollback", epilog=_example("rollback winback"))(rollback)
    journeys.command("pause", epilog=_example("pause winback"))(pause)
    journeys.command("resume", epilog=_example("resume winback"))(resume)
    app.add_typer(journeys, name="journeys")


def show_all(
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """List what is published: versions, which takes entries, and how many instances stand on each.

    Exit status: 0 shown, 3 Kafka does not answer, 4 nothing was ever published.
    """
    flags = {"topologies": topologies, "schemas": schemas, "bootstrap_server": bootstrap_server}
    _tell(*wired(config, assignments, **flags), "", asks(config, assignments, **flags), json=json)


def show(
    journey: Name,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show one journey: its versions with their instances, and the revisions that changed it.

    Exit status: 0 shown, 2 no such journey, 3 Kafka does not answer, 4 nothing was ever published.
    """
    flags = {"topologies": topologies, "schemas": schemas, "bootstrap_server": bootstrap_server}
    _tell(*wired(config, assignments, **flags), journey, asks(config, assignments, **flags), json=json)


def rollback(
    journey: Name,
    to: To = None,
    reason: acting.Reason = "",
    by: acting.By = "",
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Let an earlier version take the entries again. Nothing is deleted; instances go on where they are.

    Exit status: 0 done or planned, 2 not said why, 3 Kafka or a worker does not answer, 4 there is no such version.
    """
    from orchestrator.operate.publishing import journeys

    conf, workspace = wired(config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server)
    live = _live(conf, workspace)
    revision = journeys.rolled_back(live, journey, to)
    told = {"journey": journey, "entries": dict(revision.entries)}
    _make_live(conf, workspace, (live, revision), acting.who(by, reason, execute), wait, told=told, json=json)


def pause(
    journey: Name,
    timers: Timers = TimersWord.RUN,
    reason: acting.Reason = "",
    by: acting.By = "",
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Hold what a journey sends and calls. Its waits hear events, customers enter and leave.

    With --timers freeze the time of its waits, calls and lifetime stands still until the resume.

    Exit status: 0 done or planned, 2 not said why, 3 Kafka or a worker does not answer, 4 it is paused, or not live.
    """
    from orchestrator.operate.publishing import journeys

    conf, workspace = wired(config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server)
    live = _live(conf, workspace)
    revision = journeys.paused(live, journey, _now() if timers is TimersWord.FREEZE else 0)
    told = {"journey": journey, "paused": list(revision.paused), "timers": timers.value}
    _make_live(conf, workspace, (live, revision), acting.who(by, reason, execute), wait, told=told, json=json)


def resume(
    journey: Name,
    rate: Rate = RATE,
    reason: acting.Reason = "",
    by: acting.By = "",
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """End a journey's pause; what was held is decided on anew, clocks that stood run, so many customers a second.

    Broken off, it leaves the others waiting: ask again, and it goes on with them.

    Exit status: 0 done or planned, 2 not said why, 3 Kafka or a worker does not answer, 4 it is not live.
    """
    from orchestrator.operate.publishing import journeys

    who = acting.who(by, reason, execute)
    conf, workspace = wired(config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server)
    live = _live(conf, workspace)
    revision = journeys.resumed(live, journey, _now())
    if who.execute:
        _unpause(conf, workspace, live, revision, who, wait)
    customers = _waiting(conf, workspace, journey)
    told = {"journey": journey, "was_paused": revision is not None, "customers": len(customers), "executed": who.execute}
    if who.execute:
        _let_go(conf, workspace, customers, journey, who, (rate, wait))
    if json:
        common.print_json(told)
        return
    common.say(f"{journey}: {len(customers)} customers {'had' if who.execute else 'have'} something waiting.")
    common.say("Resumed." if who.execute else acting.NOTHING_DONE)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _live(conf: dict[str, Any], workspace: Workspace) -> Live:
    from orchestrator.operate.publishing.plan import read_live

    return read_live(conf, workspace)


def _unpause(
    conf: dict[str, Any], workspace: Workspace, live: Live, revision: Revision | None, who: acting.Who, wait_s: float
) -> None:
    """Make it live everywhere first: what a partition decides before that waits, too."""
    from orchestrator.operate.publishing.definitions import wait_until_live
    from orchestrator.operate.publishing.publish import Author, publish

    streams = workspace.topology.streams
    number = live.number
    if revision is not None:
        number = publish(conf, streams, live.number, revision, Author(who.by, who.reason)).number
    wait_until_live(conf, streams, number, wait_s)


def _waiting(conf: dict[str, Any], workspace: Workspace, journey: str) -> list[str]:
    from orchestrator.operate import documents
    from orchestrator.operate.publishing import journeys

    with acting.bar("reading the changelog") as move:
        return list(journeys.waiting(documents.documents(conf, workspace.topology.streams, progress=move), journey))


def _let_go(
    conf: dict[str, Any], workspace: Workspace, customers: list[str], journey: str, who: acting.Who, pace: tuple[int, float]
) -> None:
    from orchestrator.names import Operation
    from orchestrator.operate.operations import Request

    what = Request(Operation.RESUME, "", who.by, who.reason, 0, journey=journey)
    again = "then ask for the resume again, it goes on with the others"
    ask_slowly(conf, workspace, customers, what, pace, ("resuming", again))


def _make_live(
    conf: dict[str, Any],
    workspace: Workspace,
    change: tuple[Live, Revision],
    who: acting.Who,
    wait_s: float,
    *,
    told: dict[str, Any],
    json: bool,
) -> None:
    from orchestrator.operate.publishing.definitions import wait_until_live
    from orchestrator.operate.publishing.publish import Author, publish

    live, revision = change
    told = {"executed": who.execute, "revision": live.number, **told}
    if who.execute:
        streams = workspace.topology.streams
        told["revision"] = publish(conf, streams, live.number, revision, Author(who.by, who.reason)).number
        wait_until_live(conf, streams, told["revision"], wait_s)
    if json:
        common.print_json(told)
        return
    common.say(", ".join(f"{name}: {value}" for name, value in told.items() if name not in ("executed", "revision")))
    common.say(f"Revision {told['revision']} is live." if who.execute else acting.NOTHING_DONE)


def _tell(conf: dict[str, Any], workspace: Workspace, journey: str, asker: Asker, *, json: bool) -> None:
    from orchestrator.operate.publishing import definitions, journeys
    from orchestrator.operate.sight.counting import count

    streams = workspace.topology.streams
    live = _live(conf, workspace)
    revision = journeys.published(live)
    assert live.program is not None
    running = definitions.running(conf, streams)
    with acting.bar("counting instances") as move:
        counted = count(conf, streams, asker, move)
    found = journeys.versions(live.program.topology, revision.paused, counted.stand)
    common.known_name("JOURNEY", journey, {each.journey for each in found})
    if journey:
        found = [each for each in found if each.journey == journey]
    history = [each for _, each in sorted(live.board.revisions.items())]
    level = sum(number >= revision.number for number in running.values())
    if json:
        import msgspec

        shown: dict[str, Any] = {"revision": revision.number, "partitions_live": level, "partitions": streams.partitions}
        shown |= {"counted_by": counted.workers, "counted_in_changelog": counted.read}
        common.print_json(shown | {"versions": msgspec.to_builtins(found), "revisions": [_revision(each) for each in history]})
        return
    common.say(f"Revision {revision.number}, live on {level} of {streams.partitions} partitions.")
    common.print_table(
        ("JOURNEY", "VERSION", "STATUS", "INSTANCES"),
        [(each.journey, each.version, each.status, each.instances) for each in found],
    )
    common.say(f"Instances as counted by {counted.told}.")
    if journey:
        common.print_table(("REVISION", "AT", "BY", "REASON"), [tuple(_revision(each).values())[:4] for each in history])


def _revision(revision: Revision) -> dict[str, Any]:
    at = datetime.fromtimestamp(revision.at / 1000, UTC).isoformat(timespec="seconds")
    return {
        "number": revision.number, "at": at, "by": revision.by, "reason": revision.reason, "digest": revision.digest,
        "entries": dict(revision.entries), "paused": list(revision.paused),
        "frozen": [each.journey for each in revision.freezes if not each.until],
    }  # fmt: skip

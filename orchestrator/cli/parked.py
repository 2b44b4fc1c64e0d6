"""The `parked` command: instances that stand still after a failure, all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import acting, common
from orchestrator.errors import RefusedByState, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.acting import Room, Who
    from orchestrator.operate.operations import Answer
    from orchestrator.operate.parked import Parked, Selection

Journey = Annotated[str, typer.Option("--journey", metavar="ID", help="Only those of this journey.")]
Step = Annotated[str, typer.Option("--step", metavar="ID", help="Only those parked at this step.")]
Code = Annotated[str, typer.Option("--code", metavar="CODE", help="Only calls that failed for good with this code.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only those parked at or after it.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only those parked before it.")]
Most = Annotated[int | None, typer.Option("--max", min=1, metavar="N", help="Only the N that stand parked for longest.")]
SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    parked = typer.Typer(help="Instances that stand still after a failure.", no_args_is_help=True)
    listing = common.examples("orchestrator parked list", "orchestrator parked list --step open-case --code timeout")
    parked.command("list", epilog=listing)(show)
    parked.command("show", epilog=common.examples("orchestrator parked show c1"))(show_one)
    for name, command in (("redrive", redrive), ("fail", fail)):
        line = f"orchestrator parked {name} --step open-case"
        parked.command(name, epilog=common.examples(line, f'{line} --execute --reason "ticket 7"'))(command)
    app.add_typer(parked, name="parked")


def show(
    journey: Journey = "",
    step: Step = "",
    code: Code = "",
    since: Since = None,
    until: Until = None,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """List the parked instances, the longest parked first, and count them by step and code.

    Exit status: 0 shown, even if there are none, 2 no such time, 3 Kafka does not answer, 4 a topic is missing.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    found = _find(room, _selection(journey, step, code, (since, until)))
    if json:
        common.print_json({"parked": [_shown(each) for each in found]})
    else:
        _print(found)


def show_one(
    customer: acting.Customer,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show what one customer has parked, with what the journey knows and what the call was sent: personal data.

    Exit status: 0 shown, 3 Kafka does not answer, 4 the customer has nothing parked.
    """
    from orchestrator.operate.parked import Selection

    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    found = _find(room, Selection(customer=customer))
    if not found:
        raise RefusedByState("the customer has nothing parked", next_step="orchestrator parked list shows who has")
    told = [_shown(each) | {"call": each.call, "context": each.context} for each in found]
    if json:
        common.print_json({"parked": told})
        return
    for each in told:
        for name, value in each.items():
            typer.echo(f"{name:10} {value}")
        typer.echo("")


def redrive(
    journey: Journey = "",
    step: Step = "",
    code: Code = "",
    since: Since = None,
    until: Until = None,
    most: Most = None,
    reason: acting.Reason = "",
    by: acting.By = "",
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Run parked instances again from the step at which they failed; a call goes out under the same action id.

    What the step checks is checked as of now, and what follows asks for consent, caps and quiet hours as ever. Who has left
    meanwhile is refused. Try --max 10 first.

    Exit status: 0 done or planned, 1 some were refused, 2 not said why, 3 Kafka or no worker answers, 4 a topic is missing.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    found = _find(room, _selection(journey, step, code, (since, until)))[:most]
    _act(room, acting.who(by, reason, execute), ("retry", found), wait, json=json)


def fail(
    journey: Journey = "",
    step: Step = "",
    code: Code = "",
    since: Since = None,
    until: Until = None,
    most: Most = None,
    reason: acting.Reason = "",
    by: acting.By = "",
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Give parked instances up: they end, as exited with the reason `failed`.

    Exit status: 0 done or planned, 1 some were refused, 2 not said why, 3 Kafka or no worker answers, 4 a topic is missing.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    found = _find(room, _selection(journey, step, code, (since, until)))[:most]
    _act(room, acting.who(by, reason, execute), ("fail", found), wait, json=json)


def _selection(journey: str, step: str, code: str, span: tuple[str | None, str | None]) -> Selection:
    """Read the options. Raises UsageError for what is no time."""
    from orchestrator.operate.parked import Selection
    from orchestrator.wire.normalise import epoch_ms

    times = [None if text is None else epoch_ms(text) for text in span]
    for name, text, found in zip(("--since", "--until"), span, times, strict=True):
        if text is not None and found is None:
            raise UsageError("this is no time with a zone", where=name, next_step="write 2026-01-05T09:00:00Z")
    return Selection(journey, step, code, "", *times)


def _find(room: Room, selection: Selection) -> list[Parked]:
    import contextlib

    from orchestrator.operate import parked

    with contextlib.ExitStack() as bars:
        return parked.find(room.conf, room.topology.streams, selection, lambda what: bars.enter_context(acting.bar(what)))


def _act(room: Room, who: Who, meant: tuple[str, list[Parked]], wait_s: float, *, json: bool) -> None:
    import time

    from orchestrator.operate import parked

    operation, found = meant
    if not json:
        _print(found)
    if not who.execute or not found:
        if json:
            common.print_json({"executed": False, "parked": [_shown(each) for each in found]})
        elif found:
            common.say(f"{len(found)} to {operation}. {acting.NOTHING_DONE}")
        return
    asked = parked.requests(operation, found, who.by, who.reason, time.time_ns() // 1_000_000)
    answers = acting.ask(room, asked, wait_s)
    _tell(len(asked), answers, json=json)
    for each in answers:
        if each.decided is None:
            acting.answered(room, each, wait_s)
    if any(each.refusals for each in answers):
        raise typer.Exit(1)


def _tell(asked: int, answers: list[Answer], *, json: bool) -> None:
    from collections import Counter

    refused = Counter(reason for each in answers for reason in each.refusals)
    told: dict[str, Any] = {
        "asked": asked,
        "done": sum(each.is_done for each in answers),
        "refused": dict(refused),
        "unanswered": sum(each.decided is None for each in answers),
        "not_asked": asked - len(answers),
    }
    if json:
        common.print_json({"executed": True} | told)
        return
    why = ", ".join(f"{reason} {count}" for reason, count in refused.items())
    typer.echo(f"\n{told['done']} of {asked} done" + (f"; refused: {why}" if why else ""))


def _shown(each: Parked) -> dict[str, Any]:
    from orchestrator.wire.lines import iso

    words = ("customer", "journey", "version", "key", "state", "step", "reason", "code", "instance", "partition")
    return {name: getattr(each, name) for name in words} | {"at": iso(each.at) if each.at else ""}


def _print(found: list[Parked]) -> None:
    from collections import Counter

    if not found:
        common.say("Nothing is parked, or nothing that is meant.")
        return
    rows = [
        (each["at"], each["customer"], f"{each['journey']}/{each['step']}", each["code"] or each["reason"])
        for each in map(_shown, found[:SHOWN])
    ]
    common.print_table(("SINCE", "CUSTOMER", "JOURNEY/STEP", "WHY"), rows)
    if len(found) > SHOWN:
        typer.echo(f"... and {len(found) - SHOWN} more")
    counted = Counter((each.journey, each.step, each.code or each.reason) for each in found)
    typer.echo("")
    common.print_table(("JOURNEY", "STEP", "WHY", "COUNT"), [(*words, count) for words, count in counted.most_common()])

"""The `customer` command: moving, skipping, trying again, ending and holding for one customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import acting, common
from orchestrator.errors import RefusedByState, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.acting import Room, Who
    from orchestrator.operate.operations import Answer, Request

To = Annotated[str, typer.Option("--to", metavar="STATE", help="The state to enter.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="2026-01-05T09:00:00Z, or a span from now: 2h. [until released]")
]


def _example(command: str) -> str:
    line = f"orchestrator customer {command}"
    return common.examples(line, f'{line} --execute --reason "ticket 7"')


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    customer = typer.Typer(help="What an operator does about one customer.", no_args_is_help=True)
    customer.command("move", epilog=_example("move c1 --to paid"))(move)
    customer.command("skip", epilog=_example("skip c1"))(skip)
    customer.command("retry", epilog=_example("retry c1"))(retry)
    customer.command("eject", epilog=_example("eject c1"))(eject)
    customer.command("hold", epilog=_example("hold c1 --until 2h"))(hold)
    customer.command("release", epilog=_example("release c1"))(release)
    app.add_typer(customer, name="customer")


def move(
    customer: acting.Customer,
    to: To,
    journey: acting.Journey = None,
    key: acting.Key = None,
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
    """Move an instance to another state of its journey, whose steps then run.

    Exit status: 0 done or planned, 2 not said which or why, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    asked = {"journey": journey, "key": key, "state": to}
    _one(room, acting.who(by, reason, execute), ("move", customer, asked), wait, json=json)


def skip(
    customer: acting.Customer,
    journey: acting.Journey = None,
    key: acting.Key = None,
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
    """Skip the step at which an instance waits or stands parked: the step after it runs.

    Exit status: 0 done or planned, 2 not said which or why, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    asked = {"journey": journey, "key": key}
    _one(room, acting.who(by, reason, execute), ("skip", customer, asked), wait, json=json)


def retry(
    customer: acting.Customer,
    journey: acting.Journey = None,
    key: acting.Key = None,
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
    """Try a failed call again now: one that is parked, or one whose back-off runs.

    Exit status: 0 done or planned, 2 not said which or why, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    asked = {"journey": journey, "key": key}
    _one(room, acting.who(by, reason, execute), ("retry", customer, asked), wait, json=json)


def eject(
    customer: acting.Customer,
    journey: acting.Journey = None,
    key: acting.Key = None,
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
    """End all instances of the customer, or those of one journey; what they have waiting is cancelled.

    Exit status: 0 done or planned, 2 not said why, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    asked = {"journey": journey, "key": key}
    _all(room, acting.who(by, reason, execute), ("eject", customer, asked), wait, json=json)


def hold(
    customer: acting.Customer,
    until: Until = None,
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
    """Let no message to the customer leave until a time, or until released. Journeys go on; calls leave.

    What is held is decided on anew when it ends: consent, expiry, caps, quiet hours.

    Exit status: 0 done or planned, 2 no such time or not said why, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    asked = {"until": None if until is None else _instant(until)}
    _all(room, acting.who(by, reason, execute), ("hold", customer, asked), wait, json=json)


def release(
    customer: acting.Customer,
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
    """End a hold: what waits is decided on anew, and leaves in the order in which it was decided.

    Exit status: 0 done or planned, 2 not said why, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    _all(room, acting.who(by, reason, execute), ("release", customer, {}), wait, json=json)


Asked = tuple[str, str, dict[str, Any]]  # operation, customer, parameters


def _one(room: Room, who: Who, asked: Asked, wait_s: float, *, json: bool) -> None:
    """Act on one instance, and only while it stands where the plan found it."""
    _act(room, who, asked, wait_s, json=json, is_one=True)


def _all(room: Room, who: Who, asked: Asked, wait_s: float, *, json: bool) -> None:
    _act(room, who, asked, wait_s, json=json, is_one=False)


def _act(room: Room, who: Who, asked: Asked, wait_s: float, *, json: bool, is_one: bool) -> None:
    import time

    from orchestrator.operate import rehearsal, telling
    from orchestrator.operate.operations import Request

    operation, customer, given = asked
    with acting.bar("reading the changelog") as moved:
        found = rehearsal.standing(room.conf, room.topology, customer, moved)
    if is_one:
        given = given | _chosen(found.document.instances, given)
        _check_state(room, given)
    request = Request(operation, customer, who.by, who.reason, time.time_ns() // 1_000_000, **given)
    told: dict[str, Any] = {
        "customer": found.ids[-1],
        "partition": found.copy.number,
        "instances": acting.instances(found.document),
    }
    planned = telling.decisions(rehearsal.rehearse(room.topology, found, request))
    if not json:
        acting.print_instances(told["instances"])
    if not who.execute:
        _tell_plan(told | {"executed": False, "decisions": planned}, json=json)
        acting.check_plan(planned)
        return
    acting.check_plan(planned)
    (answer,) = acting.ask(room, [request], wait_s)
    _tell_answer(room, told, request, acting.answered(room, answer, wait_s), json=json)


def _chosen(instances: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Name the one instance that is meant, and where it stands. Raises UsageError where several, RefusedByState where none is."""
    journey, key = given["journey"], given["key"]
    meant = [each for each in instances if journey in (None, each.journey) and key in (None, each.key)]
    if not meant:
        advice = "orchestrator customer eject CUSTOMER, without --execute, shows all of them"
        raise RefusedByState("the customer has no such instance", next_step=advice)
    if len(meant) > 1:
        listed = ", ".join(sorted({each.journey for each in meant}))
        advice = "name one with --journey, and --key where it has keys"
        raise UsageError(f"{len(meant)} instances are meant, of {listed}", next_step=advice)
    return {"journey": meant[0].journey, "key": meant[0].key, "step": meant[0].step}


def _check_state(room: Room, given: dict[str, Any]) -> None:
    """Raise UsageError where no version of the journey has the state; the worker knows which version it is."""
    topology = room.topology
    known = {name for each in (*topology.earlier, *topology.journeys) if each.id == given["journey"] for name in each.states}
    if known:
        common.known_name("--to", given.get("state") or "", known)


def _tell_plan(told: dict[str, Any], *, json: bool) -> None:
    if json:
        common.print_json(told)
        return
    typer.echo("\nIt would be decided:")
    acting.print_decisions(told["decisions"])
    common.say(acting.NOTHING_DONE)


def _tell_answer(room: Room, told: dict[str, Any], request: Request, answer: Answer, *, json: bool) -> None:
    import msgspec

    place = {"topic": room.topology.streams.operations, "partition": answer.place[0], "offset": answer.place[1]}
    if json:
        made = {"executed": True, "request": msgspec.to_builtins(request), "place": place, "decisions": answer.decisions}
        common.print_json(told | made)
        return
    typer.echo(f"\nDone ({place['topic']}/{place['partition']}/{place['offset']}):")
    acting.print_decisions(answer.decisions)


def _instant(text: str) -> int:
    """Read an instant, or a span from now. Raises UsageError."""
    import time

    from orchestrator.language.durations import parse_duration
    from orchestrator.wire.normalise import epoch_ms

    found = epoch_ms(text)
    if found is not None:
        return found
    try:
        return time.time_ns() // 1_000_000 + parse_duration(text)
    except ValueError:
        advice = "write 2026-01-05T09:00:00Z or 2h, 3d, 90m"
        raise UsageError("--until is neither a time with a zone nor a span", where="--until", next_step=advice) from None

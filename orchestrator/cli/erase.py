"""`orchestrator erase`: everything that is kept of one customer goes, with a receipt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import acting, common
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.cli.acting import Room
    from orchestrator.operate.erasing import Extent
    from orchestrator.operate.rehearsal import Standing

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for the customer's id on a terminal.")]
EXAMPLES = common.examples("orchestrator erase c1", 'orchestrator erase c1 --execute --reason "ticket 7" > receipt')


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("erase", epilog=EXAMPLES)(erase)


def erase(
    customer: acting.Customer,
    reason: acting.Reason = "",
    by: acting.By = "",
    yes: Yes = False,
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Erase a customer: profile, consents, journeys, what is held, other ids. Services are asked to drop what is on its way.

    The receipt names what went, where from, and what stays in topics until their retention lets go of it. To erase somebody who
    is not known does no harm.

    Exit status: 0 done or planned, 2 not said why or not confirmed, 3 Kafka or no worker answers, 4 refused as things stand.
    """
    from orchestrator.operate import erasing, rehearsal

    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    who = acting.who(by, reason, execute)
    with acting.bar("reading the changelog") as moved:
        found = rehearsal.standing(room.conf, room.topology, customer, moved)
    with acting.bar("reading the incidents") as moved:
        extent = erasing.extent(room.conf, room.topology, found, moved)
    if not json:
        _print_plan(room, found, extent)
    if not who.execute:
        _tell_plan(room, extent, json=json)
        return
    _confirm(customer, yes)
    told = _erase(room, customer, (who.by, who.reason), extent, wait)
    if json:
        common.print_json({"executed": True, "receipt": told})
    else:
        _print_receipt(told)


def _erase(room: Room, customer: str, who: tuple[str, str], extent: Extent, wait_s: float) -> dict[str, Any]:
    import time

    from orchestrator.operate import erasing
    from orchestrator.operate.operations import Request

    streams = room.topology.streams
    since = erasing.changelog_end(room.conf, streams, extent.partition)
    (answer,) = acting.ask(room, [Request("erase", customer, *who, time.time_ns() // 1_000_000)], wait_s)
    acting.answered(room, answer, wait_s)
    graves = erasing.tombstones(room.conf, streams, extent, since)
    is_buried = erasing.bury_incidents(room.conf, streams, extent)
    return erasing.receipt(room.topology, extent, answer, graves, is_buried=is_buried)


def _confirm(customer: str, yes: bool) -> None:
    """On a terminal, have the id typed once more. Raises UsageError where it is another."""
    if yes or not sys.stdin.isatty():
        return
    if typer.prompt("This cannot be undone. Type the customer's id to erase it", err=True) != customer:
        raise UsageError("that is another id; nothing was done")


def _print_plan(room: Room, found: Standing, extent: Extent) -> None:
    from orchestrator.operate import erasing

    acting.print_instances(acting.instances(found.document))
    held = len(found.document.contact.held) if found.document.contact is not None else 0
    typer.echo(f"\nids of this person: {', '.join(extent.ids)}; documents: {len(extent.documents)}; held messages: {held}")
    typer.echo("\nStays until retention lets go of it:")
    _print_left(erasing.left(room.topology, extent))


def _print_left(left: list[dict[str, Any]]) -> None:
    common.print_table(("TOPIC", "WHAT", "STAYS"), [tuple(each.values()) for each in left])


def _tell_plan(room: Room, extent: Extent, *, json: bool) -> None:
    from orchestrator.operate import erasing

    if json:
        common.print_json(
            {
                "executed": False,
                "ids": extent.ids,
                "documents": extent.documents,
                "partition": extent.partition,
                "incidents": extent.incidents.count,
                "left": erasing.left(room.topology, extent),
            }
        )
    else:
        common.say(acting.NOTHING_DONE)


def _print_receipt(told: dict[str, Any]) -> None:
    typer.echo("\nErased.")
    for name in ("requested", "requested_by", "reason", "decided", "local_store"):
        typer.echo(f"{name.replace('_', ' '):15} {told[name]}")
    for name, value in told["went"].items():
        typer.echo(f"{name.replace('_', ' '):15} {value}")
    for place in told["tombstones"].values():
        typer.echo(f"tombstone       {place}")

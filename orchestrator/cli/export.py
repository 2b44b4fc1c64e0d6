"""`orchestrator export`: everything that is kept of one customer, as one document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import acting, common
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.cli.acting import Room

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; stays in the logs.")]
Avro = Annotated[
    Path | None, typer.Option("--avro", metavar="FILE", help="Write a CustomerExport record there too, single-object Avro.")
]
EXAMPLES = common.examples('orchestrator export c1 --reason "ticket 7" > c1.json')


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("export", epilog=EXAMPLES)(export)


def export(
    customer: acting.Customer,
    reason: Reason = "",
    by: acting.By = "",
    avro: Avro = None,
    wait: acting.Wait = acting.WAIT_S,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Print everything kept of a customer: the document, and their records on every topic. Personal data, in the clear.

    That it was read is written to the audit topic and the operators' topic before anything is read, and to the decisions once a
    worker gets to it: who, when, and the reason. JSON, on many lines for people, on one with --json.

    Exit status: 0 printed, 2 not said why, 3 Kafka or no worker answers, 4 a topic is missing.
    """
    import contextlib
    import time

    import orjson

    from orchestrator.operate import erasing, exporting, rehearsal
    from orchestrator.wire.exports import encode_export

    if not reason.strip():
        raise UsageError("who reads personal data says why", where="--reason", next_step='for example --reason "ticket 4711"')
    room = acting.enter(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    _note(room, customer, acting.who(by, reason, execute=True), wait)
    with acting.bar("reading the changelog") as moved:
        found = rehearsal.standing(room.conf, room.topology, customer, moved)
    extent = erasing.extent(room.conf, room.topology, found)
    with contextlib.ExitStack() as bars:
        gate = bars.enter_context(common.gate(room.settings, room.topology.streams, room.schemas))
        source = exporting.Source(room.conf, room.topology, gate, extent)
        exported = exporting.export(
            source, found, extent, time.time_ns() // 1_000_000, lambda topic: bars.enter_context(acting.bar(f"reading {topic}"))
        )
    if avro is not None:
        avro.write_bytes(encode_export(exported))
    option = 0 if json else orjson.OPT_INDENT_2
    typer.echo(orjson.dumps(exported, option=option | orjson.OPT_NON_STR_KEYS).decode())


def _note(room: Room, customer: str, who: acting.Who, wait_s: float) -> None:
    """Write down that it is read. Raises Unanswered where no worker takes note in time."""
    import time

    from orchestrator.operate.operations import Request
    from orchestrator.stream.auditing import Reading, note_reveal

    note_reveal(room.conf, room.topology.streams, Reading(customer, "export", who.reason, who.by))
    asked = Request("export", customer, who.by, who.reason, time.time_ns() // 1_000_000)
    (answer,) = acting.ask(room, [asked], wait_s)
    acting.answered(room, answer, wait_s)

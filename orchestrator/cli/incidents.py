"""The `incidents` command: what was refused and why, sending it again, or letting it go."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.language.model import Streams
    from orchestrator.operate.incidents.finding import Found
    from orchestrator.operate.incidents.incident import Incident, Selection
    from orchestrator.operate.incidents.redrive import Planned
    from orchestrator.settings import Settings

LAST: Final = 20
SHOWN: Final = 50

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Only these incidents. [all that the options mean]")]
One = Annotated[str, typer.Argument(metavar="ID", help="The incident's id, as `incidents list` shows it.")]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only this reason, for example unknown_schema; repeatable.")]
Sources = Annotated[list[str] | None, typer.Option("--source", metavar="TOPIC", help="Only records of this topic; repeatable.")]
SchemaIds = Annotated[list[str] | None, typer.Option("--schema", metavar="ID", help="Only this schema id; repeatable.")]
Journeys = Annotated[list[str] | None, typer.Option("--journey", help="Only this journey; repeatable.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Only records of this time or later, ISO 8601.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Only records before this time, ISO 8601.")]
Handled = Annotated[bool, typer.Option("--all", help="Those too that were redriven or discarded.")]
Most = Annotated[int, typer.Option("--max", min=1, metavar="N", help="Show the newest so many.")]
Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show keys and values, which may be personal; the audit topic says who did.")
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Your reason, for the audit topic.")]
Everything = Annotated[bool, typer.Option("--everything", help="Mean every open incident; needed where nothing narrows it.")]
OriginalTime = Annotated[bool, typer.Option("--original-time", help="Keep the records' own times; else they happen now.")]
MaxAttempts = Annotated[int, typer.Option("--max-attempts", min=1, metavar="N", help="Refuse what was redriven so often.")]
By = Annotated[str, typer.Option("--by", help="reason, source, schema, journey or hour.")]


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    incidents = typer.Typer(help="Records that were refused: see why, send them again, or discard them.", no_args_is_help=True)
    for name, command, lines in (
        ("list", list_, ("incidents list --reason unknown_schema", "incidents list --all --json")),
        ("show", show, ("incidents show customer.events-3-1042", "incidents show customer.events-3-1042 --reveal")),
        ("count", count, ("incidents count", "incidents count --by hour --source customer.events")),
        ("watch", watch, ("incidents watch --source customer.events",)),
        (
            "redrive",
            redrive,
            ("incidents redrive --reason unknown_schema --execute",),
        ),
        ("discard", discard, ('incidents discard --source old.events --why "it is gone"',)),
    ):
        incidents.command(name, epilog=common.examples(*(f"orchestrator {line}" for line in lines)))(command)
    app.add_typer(incidents, name="incidents")


def list_(
    reasons: Reasons = None,
    sources: Sources = None,
    schema_ids: SchemaIds = None,
    journeys: Journeys = None,
    since: Since = "",
    until: Until = "",
    handled: Handled = False,
    most: Most = LAST,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show the newest incidents: where the record stands, why it was refused, and what was done about it.

    Exit status: 0 shown, even if there are none, 3 Kafka does not answer, 4 a topic is missing.
    """
    selection = _selection((), reasons, sources, schema_ids, journeys, since, until)
    _, conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    found = [each for each in _found(conf, streams, selection) if handled or each.act is None]
    newest = sorted(found, key=lambda each: (each.incident.reported, each.incident.id))[-most:]
    if json:
        common.print_json([_plain(each) for each in newest])
        return
    if not newest:
        common.say("No incident is open." if not handled else "There is no incident.")
        return
    rows = [(_at(each.incident), each.incident.reason, each.incident.id, each.state) for each in newest]
    common.print_table(("RECORD OF", "REASON", "ID", "STATE"), rows)
    if len(found) > len(newest):
        common.say(f"{len(found) - len(newest):,} older ones are not shown: --max, or incidents count")


def show(
    incident_id: One,
    reveal: Reveal = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show one incident as JSON: why, where, what was done, and the record, decoded as far as that goes.

    Exit status: 0 shown, 1 there is no such incident, 3 Kafka does not answer, 4 a topic is missing.
    """
    import orjson

    from orchestrator.operate.incidents.incident import Selection
    from orchestrator.operate.incidents.peeking import peek
    from orchestrator.stream.auditing import Reading, note_reveal
    from orchestrator.stream.registry import on_demand
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import schemas_beside

    flags = {"topologies": topologies, "schemas": schemas, "bootstrap_server": bootstrap_server}
    settings, conf, streams = _wired(config, assignments, **flags)
    known = load_schemas(settings.schemas or schemas_beside(settings.topologies))
    found = list(_found(conf, streams, Selection(ids=(incident_id,))))
    if not found:
        common.say(f"there is no incident {incident_id}; orchestrator incidents list shows which are")
        raise typer.Exit(ExitCode.NO)
    if reveal:
        note_reveal(conf, streams, Reading(f"incident {incident_id}", "incidents show"))
    with contextlib.closing(on_demand(settings.registry, known)) as sources:
        for each in found:
            shown = {**_plain(each), "record": peek(each.incident, sources, reveal=reveal)}
            typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())


def count(
    by: By = "reason",
    reasons: Reasons = None,
    sources: Sources = None,
    schema_ids: SchemaIds = None,
    journeys: Journeys = None,
    since: Since = "",
    until: Until = "",
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Count incidents in groups: how many are open, were redriven, were discarded.

    Exit status: 0 counted, 2 no such grouping, 3 Kafka does not answer, 4 a topic is missing.
    """
    from collections import Counter

    from orchestrator.errors import UsageError
    from orchestrator.operate.incidents.finding import OPEN
    from orchestrator.operate.incidents.incident import GROUPINGS
    from orchestrator.wire.acts import DISCARDED, REDRIVEN

    if by not in GROUPINGS:
        raise UsageError(f"--by {by}: no such grouping", next_step=f"one of {', '.join(GROUPINGS)}")
    selection = _selection((), reasons, sources, schema_ids, journeys, since, until)
    _, conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    counts = Counter((GROUPINGS[by](each.incident), each.state) for each in _found(conf, streams, selection))
    states = (OPEN, REDRIVEN, DISCARDED)
    rows = [(group, *(counts[group, state] for state in states)) for group in sorted({group for group, _ in counts})]
    if json:
        common.print_json([dict(zip((by, *states), row, strict=True)) for row in rows])
    elif rows:
        common.print_table((by.upper(), *(state.upper() for state in states)), rows)
    else:
        common.say("There is no incident.")


def watch(
    reasons: Reasons = None,
    sources: Sources = None,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show incidents as they come, until Ctrl-C: what a producer has to see at once, with --source its own topic.

    Exit status: 3 Kafka does not answer, 4 a topic is missing, 130 after Ctrl-C.
    """
    from orchestrator.operate.incidents import finding

    selection = _selection((), reasons, sources, None, None, "", "")
    _, conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    common.say(f"watching {streams.incidents}; Ctrl-C ends it")
    for incident in finding.watch(conf, streams, selection):
        if json:
            common.print_json(_told(incident))
        else:
            typer.echo(f"{_at(incident)}  {incident.reason}  {incident.id}  {incident.message}")


def redrive(
    ids: Ids = None,
    reasons: Reasons = None,
    sources: Sources = None,
    schema_ids: SchemaIds = None,
    journeys: Journeys = None,
    since: Since = "",
    until: Until = "",
    everything: Everything = False,
    original_time: OriginalTime = False,
    max_attempts: MaxAttempts = 3,
    why: Why = "",
    execute: common.Execute = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Send the records of open incidents to their topics again: same key, value, headers and partition, in their order.

    Mend what made them incidents first: add the schema, correct streams.yaml. A record that is refused once more is a new
    incident, and knows how often it was sent. Each is sent once, also where this is interrupted and called again.

    Exit status: 0 done or planned, 1 some cannot be sent, 2 nothing says which, 3 Kafka does not answer, 4 a topic is missing.
    """
    from orchestrator.operate.incidents import finding
    from orchestrator.operate.incidents.redrive import Choice, Worker, plan

    selection = _narrow(_selection(ids or (), reasons, sources, schema_ids, journeys, since, until), everything)
    _, conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    choice = Choice(why, original_time, max_attempts)
    planned = plan(_found(conf, streams, selection), choice, finding.acts(conf, streams))
    if execute and planned:
        with common.progress("redriving", len(planned)) as (progress, _):
            planned = Worker(conf, streams).redrive(planned, choice, progress)
    _tell_redrive(planned, executed=execute, json=json)
    if any(each.refused for each in planned):
        raise typer.Exit(ExitCode.NO)


def discard(
    ids: Ids = None,
    reasons: Reasons = None,
    sources: Sources = None,
    schema_ids: SchemaIds = None,
    journeys: Journeys = None,
    since: Since = "",
    until: Until = "",
    everything: Everything = False,
    why: Why = "",
    execute: common.Execute = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Note that nothing more is to be done about open incidents. They stay on their topic; the audit topic says who and why.

    Exit status: 0 done or planned, 2 nothing says which or why, 3 Kafka does not answer, 4 a topic is missing.
    """
    from orchestrator.errors import UsageError
    from orchestrator.operate.incidents.redrive import Worker

    selection = _narrow(_selection(ids or (), reasons, sources, schema_ids, journeys, since, until), everything)
    if execute and not why:
        raise UsageError("a discard needs a reason", next_step='say --why "..."; it goes to the audit topic')
    _, conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    open_ones = [each.incident for each in _found(conf, streams, selection) if each.act is None]
    if execute and open_ones:
        open_ones = Worker(conf, streams).discard(open_ones, why)
    if json:
        common.print_json({"executed": execute, "discarded": [each.id for each in open_ones]})
        return
    for each in open_ones[:SHOWN]:
        typer.echo(f"{each.reason}  {each.id}")
    _and_more(len(open_ones))
    common.say(f"{len(open_ones):,} discarded." if execute else f"{len(open_ones):,} would be discarded: add --execute.")


def _wired(config: Any, assignments: Any, **flags: Any) -> tuple[Settings, dict[str, Any], Streams]:
    from orchestrator import kafka
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config

    settings = common.load_settings(config, assignments, **flags)
    streams = load_wiring(settings.topologies).streams
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    return settings, conf, streams


def _selection(
    ids: Sequence[str], reasons: Any, sources: Any, schema_ids: Any, journeys: Any, since: str, until: str
) -> Selection:
    from orchestrator.operate.incidents.incident import Selection

    return Selection(
        tuple(ids), tuple(reasons or ()), tuple(sources or ()), tuple(schema_ids or ()), tuple(journeys or ()),
        common.instant("--since", since), common.instant("--until", until),
    )  # fmt: skip


def _narrow(selection: Selection, everything: bool) -> Selection:
    from orchestrator.errors import UsageError

    if selection.is_everything and not everything:
        raise UsageError(
            "nothing says which incidents", next_step="name ids, or --reason, --source, --since ..., or --everything"
        )
    return selection


def _found(conf: dict[str, Any], streams: Streams, selection: Selection) -> Iterator[Found]:
    from orchestrator.operate.incidents import finding

    with contextlib.ExitStack() as stack:
        move, _ = stack.enter_context(common.progress("reading incidents"))
        yield from finding.find(conf, streams, selection, lambda done, _: move(done))


def _tell_redrive(planned: Sequence[Planned], *, executed: bool, json: bool) -> None:
    sent = [each for each in planned if not each.refused]
    if json:
        rows = [{"id": e.incident.id, "attempt": e.attempt, **({"refused": e.refused} if e.refused else {})} for e in planned]
        common.print_json({"executed": executed, "incidents": rows})
        return
    for each in planned[:SHOWN]:
        typer.echo(f"{each.incident.id}  " + (f"not sent: {each.refused}" if each.refused else f"attempt {each.attempt}"))
    _and_more(len(planned))
    refused = f"; {len(planned) - len(sent):,} cannot be" if len(sent) < len(planned) else ""
    if executed:
        common.say(f"{len(sent):,} were sent again{refused}.")
    else:
        common.say(f"{len(sent):,} would be sent again{refused}. Nothing was done: add --execute.")


def _and_more(count: int) -> None:
    if count > SHOWN:
        common.say(f"... and {count - SHOWN:,} more")


def _at(incident: Incident) -> str:
    from orchestrator.wire.lines import iso

    return iso(incident.time // 1000 * 1000)


def _told(incident: Incident) -> dict[str, Any]:
    """What can be said without a look into the record."""
    from orchestrator.wire.lines import iso

    found = {
        "id": incident.id, "reason": incident.reason, "message": incident.message, "severity": incident.severity,
        "stage": incident.stage, "source": incident.source, "partition": incident.partition, "offset": incident.offset,
        "time": iso(incident.time), "reported": iso(incident.reported), "schema": incident.schema,
        "journey": incident.journey, "journey_version": incident.journey_version, "step": incident.step,
        "truncated": incident.truncated, "attempt": incident.attempt, "position": incident.position,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value != ""}


def _plain(found: Found) -> dict[str, Any]:
    from msgspec import to_builtins

    act = {} if found.act is None else {"act": to_builtins(found.act)}
    return {**_told(found.incident), "state": found.state, **act}

"""The `lineage` command: from event types and fields to what is sent because of them."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.lineage.uses import Use
    from orchestrator.workspace import Workspace


class Format(StrEnum):
    """How it is told."""

    TABLE = "table"
    JSON = "json"
    MERMAID = "mermaid"
    SVG = "svg"
    OPENLINEAGE = "openlineage"


Told = Annotated[
    Format,
    typer.Option(
        "--format", help="A table, JSON as by --json, text for Markdown, a picture, or a line a journey for data catalogs."
    ),
]
EventType = Annotated[str, typer.Option("--type", metavar="TYPE", help="Only this event type.")]
JourneyId = Annotated[str, typer.Option("--journey", metavar="ID", help="Only this journey.")]
ChannelName = Annotated[str, typer.Option("--channel", metavar="NAME", help="Only what may lead to this channel.")]
EXAMPLES = common.examples(
    "orchestrator lineage --type payment.failed",
    "orchestrator lineage --channel sms --json",
    "orchestrator lineage --journey winback --format svg > winback.svg",
    "orchestrator lineage --format openlineage --bootstrap-server kafka-1:9092",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("lineage", epilog=EXAMPLES)(lineage)


def lineage(
    event_type: EventType = "",
    journey: JourneyId = "",
    channel: ChannelName = "",
    told: Told = Format.TABLE,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
    bootstrap_server: common.BootstrapServer = None,
) -> None:
    """Tell where each event type and field is used, and which actions and channels that leads to.

    A field that a journey keeps is followed: through its context, `set`, waits, answers and journeys that it starts. What it
    leads to are the actions that may follow with no further event. A drawing has a box a step, one of everything a box
    a journey. As OpenLineage it is a JobEvent a journey, from topics to topics; a filter picks journeys, each is told whole, and
    Kafka is not asked: the first of the brokers only names the cluster.

    Exit status: 0 told, 1 the topology does not validate, 2 there is no such type, journey or channel.
    """
    from orchestrator.operate.lineage import picture
    from orchestrator.operate.lineage.uses import matching, uses
    from orchestrator.workspace import Workspace

    settings = common.load_settings(
        config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server
    )
    workspace = Workspace.load(settings.topologies, settings.schemas)
    topology = workspace.topology
    common.known_name("--type", event_type, workspace.catalog.events)
    common.known_name("--journey", journey, [each.id for each in (*topology.journeys, *topology.earlier)])
    common.known_name("--channel", channel, topology.policy.channels)
    everything = uses(topology, workspace.catalog)
    found = matching(everything, event_type=event_type, journey=journey, channel=channel)
    if json or told is Format.JSON:
        common.print_json({"uses": [_row(each) for each in found]})
    elif told is Format.TABLE:
        headers = ("TYPE", "FIELD", "JOURNEY", "STEP", "KIND", "EXPRESSION", "LEADS TO")
        common.print_table(headers, [_cells(each) for each in found])
    elif told is Format.OPENLINEAGE:
        _print_openlineage(everything, {each.journey for each in found}, workspace, settings.bootstrap_server)
    else:
        draw = picture.mermaid if told is Format.MERMAID else picture.svg
        is_coarse = not (event_type or journey or channel)
        typer.echo(draw(found, is_coarse=is_coarse, only=channel), nl=False)


def _print_openlineage(everything: list[Use], journeys: set[str], workspace: Workspace, brokers: str) -> None:
    import orjson

    from orchestrator.operate.lineage.openlineage import job_events

    for event in job_events(everything, workspace.topology, workspace.catalog, brokers, datetime.now(UTC)):
        if event["job"]["name"] in journeys:
            typer.echo(orjson.dumps(event))


def _cells(use: Use) -> tuple[str, ...]:
    journey = f"{use.journey} v{use.version}" if use.journey else "(policy)"
    field = f"{use.field} as {use.through}" if use.through and use.field else use.field or use.through
    return use.type, field, journey, use.step, use.kind, use.expression, ", ".join(map(str, use.leads_to))


def _row(use: Use) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(use)  # type: ignore[no-any-return]

"""The `topics` command: which topics a topology needs, and making them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.topics import Planned

Factor = Annotated[
    int,
    typer.Option(
        "--replication-factor", min=-1, metavar="N", help="Copies of each topic; from 3 on 2 must have a write. [broker's]"
    ),
]
Retention = Annotated[
    int | None,
    typer.Option("--retention-ms", min=-1, metavar="MS", help="Of event, action, decision topics; -1 for ever. [broker's]"),
]
EXAMPLES = common.examples(
    "orchestrator topics create --topologies topologies", "orchestrator topics create --bootstrap-server localhost:9092 --execute"
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    topics = typer.Typer(help="The Kafka topics that a topology needs.", no_args_is_help=True)
    topics.command("create", epilog=EXAMPLES)(create)
    app.add_typer(topics, name="topics")


def create(
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    replication_factor: Factor = -1,
    retention_ms: Retention = None,
    execute: common.Execute = False,
    json: common.AsJson = False,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show which topics are missing, and with --execute make them.

    Exit status: 0 all well, 3 Kafka does not answer, 4 a topic is there with another partition count.
    """
    from orchestrator import kafka
    from orchestrator.operate import topics
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config

    settings = common.load_settings(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    wiring = load_wiring(settings.topologies)
    chosen = topics.TopicOptions(replication_factor=replication_factor, retention_ms=retention_ms)
    specs = topics.plan(wiring.streams, wiring.policy, chosen)
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    admin = kafka.admin(conf)
    planned = topics.compare(admin, specs)
    wrong = topics.mismatch(planned)
    missing = [each.spec for each in planned if each.state == "create"]
    if execute and wrong is None:
        topics.create(admin, missing, replication_factor)
    _show(planned, executed=execute and wrong is None, json=json)
    if wrong is not None:
        raise wrong


def _show(planned: list[Planned], *, executed: bool, json: bool) -> None:
    if json:
        import msgspec

        found = [{"state": each.state, "found": each.found, "drift": each.drift} for each in planned]
        specs = [msgspec.to_builtins(each.spec) for each in planned]
        common.print_json({"executed": executed, "topics": [spec | state for spec, state in zip(specs, found, strict=True)]})
        return
    done = "created" if executed else "create"
    settings = [", ".join(f"{name}={value}" for name, value in each.spec.config.items()) for each in planned]
    rows_shown = [
        (each.spec.name, each.spec.partitions, done if each.state == "create" else each.state, text)
        for each, text in zip(planned, settings, strict=True)
    ]
    common.print_table(("TOPIC", "PARTITIONS", "STATE", "SETTINGS"), rows_shown)
    for each in planned:
        for name, value in each.drift.items():
            common.say(f"note: {each.spec.name} has {name}={value}; it is left as it is")
    missing = sum(each.state == "create" for each in planned)
    if missing and not executed:
        common.say(f"{missing} to create. Nothing was done: add --execute to do it.")
    else:
        common.say(f"{missing} created." if missing else "Nothing to do.")

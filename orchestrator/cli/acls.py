"""The `acls` command: what a worker's principal must be allowed to do in Kafka, and allowing it."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import common

Principal = Annotated[
    str, typer.Option("--principal", metavar="User:NAME", help="Who the workers are for Kafka, for example User:journeys.")
]
AsCommands = Annotated[bool, typer.Option("--as-commands", help="Print lines for Kafka's own kafka-acls.sh, and do nothing.")]
EXAMPLES = common.examples(
    "orchestrator acls create --principal User:journeys",
    "orchestrator acls create --principal User:journeys --as-commands",
    "orchestrator acls create --principal User:journeys --execute",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    acls = typer.Typer(help="What workers must be allowed to do in Kafka.", no_args_is_help=True)
    acls.command("create", epilog=EXAMPLES)(create)
    app.add_typer(acls, name="acls")


def create(
    principal: Principal,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    as_commands: AsCommands = False,
    execute: common.Execute = False,
    json: common.AsJson = False,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show the ACLs that a worker needs, all of them and no more, and with --execute add them.

    The plan needs no Kafka. Exit status: 0 all well, 3 Kafka does not answer, 4 it does not let this principal add ACLs.
    """
    from orchestrator import kafka
    from orchestrator.errors import UsageError
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config
    from orchestrator.stream import rights

    if ":" not in principal:
        raise UsageError(f"--principal {principal}: expected a kind and a name", next_step=f"for example User:{principal}")
    settings = common.load_settings(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    wiring = load_wiring(settings.topologies)
    wanted = rights.needed(wiring.streams, wiring.policy)
    if as_commands:
        for each in wanted:
            typer.echo(rights.command(each, principal, settings.bootstrap_server))
        return
    if execute:
        conf = client_config(settings)
        kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
        rights.give(kafka.admin(conf), wanted, principal)
    if json:
        import msgspec

        common.print_json({"executed": execute, "principal": principal, "acls": [msgspec.to_builtins(each) for each in wanted]})
        return
    rows = [(r.resource, r.name + ("*" if r.is_prefix else ""), r.operation, r.why) for r in wanted]
    common.print_table(("RESOURCE", "NAME", "OPERATION", "FOR"), rows)
    common.say(f"{len(wanted)} added for {principal}." if execute else "Nothing was done: add --execute to do it.")

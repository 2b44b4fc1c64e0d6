"""The `doctor` command: what is wrong with producers, topics and rights, seen from Kafka."""

from __future__ import annotations

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

EXAMPLES = common.examples("orchestrator doctor", "orchestrator doctor --json")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("doctor", epilog=EXAMPLES)(doctor)


def doctor(
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Look for what goes wrong quietly: other partitioners, wrong clocks, refused records, topics that lose data, missing rights.

    Reads the newest 500 records of each partition and changes nothing. Exit status: 0 nothing is wrong, 1 something is, 3 Kafka
    does not answer.
    """
    from msgspec import to_builtins

    from orchestrator import kafka
    from orchestrator.operate import doctor as room
    from orchestrator.settings import client_config
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace

    flags = {"topologies": topologies, "schemas": schemas, "bootstrap_server": bootstrap_server}
    settings = common.load_settings(config, assignments, **flags)
    workspace = Workspace.load(settings.topologies, settings.schemas)
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    known = load_schemas(workspace.schemas)
    with common.gate(settings, workspace.topology.streams, known) as gate:
        patient = room.Patient(workspace.topology, gate, room.now_ms())
        found = room.examine(conf, kafka.admin(conf), patient, common.say)
    if json:
        common.print_json([to_builtins(each) for each in found])
    else:
        common.print_table(("CHECK", "WHERE", "RESULT", "DETAIL"), [(e.check, e.where, e.result, e.detail) for e in found])
        for each in found:
            if each.next_step:
                common.say(f"{each.check} {each.where}: {each.detail}\n  next: {each.next_step}")
    if any(each.result == "wrong" for each in found):
        raise typer.Exit(ExitCode.NO)

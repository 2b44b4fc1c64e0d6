"""The `config` command: the settings in force and where they come from, and whether a worker could start with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.readiness import Finding

SHOW_EXAMPLES = common.examples(
    "orchestrator config show", "orchestrator config show --config /etc/journeys/settings.toml --json"
)
CHECK_EXAMPLES = common.examples(
    "orchestrator config check --topologies topologies", "orchestrator config check --config /etc/journeys/settings.toml"
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    config = typer.Typer(help="Settings: what is in force, and whether it works.", no_args_is_help=True)
    config.command("show", epilog=SHOW_EXAMPLES)(show)
    config.command("check", epilog=CHECK_EXAMPLES)(check)
    app.add_typer(config, name="config")


def show(
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    state_dir: common.StateDir = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show every setting with its value and where that comes from; secrets are ***.

    Exit status: 0 shown, 2 a setting is unknown or wrong.
    """
    from orchestrator.settings import TABLES, Settings, origins, overrides_from

    flags = {"topologies": topologies, "bootstrap_server": bootstrap_server, "state_dir": state_dir}
    overrides = overrides_from(assignments or (), **flags)
    shown = Settings.load(config, overrides).shown()
    of_clients = {f"{table}.{name}": value for table in TABLES for name, value in shown.pop(table).items()}
    found = origins(config, overrides)
    rows = [(name, value, _origin(found, name)) for name, value in {**shown, **of_clients}.items()]
    if json:
        common.print_json({name: {"value": value, "from": origin} for name, value, origin in rows})
    else:
        common.print_table(("SETTING", "VALUE", "FROM"), rows)


def _origin(found: Mapping[str, str], name: str) -> str:
    """Give where a value comes from; a variable may hold a whole table as JSON."""
    return found.get(name) or found.get(name.partition(".")[0], "default")


def check(
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    state_dir: common.StateDir = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Try out what a worker needs to start: journeys, state folder, Kafka, topics and rights. Changes nothing.

    Exit status: 0 a worker can start, else that of the first finding: 1 the journeys are not valid, 3 Kafka does not answer, 4 a
    topic or a right is missing, or Kafka does not know who asks.
    """
    from orchestrator.operate import readiness

    settings = common.load_settings(
        config,
        assignments,
        topologies=topologies,
        schemas=schemas,
        bootstrap_server=bootstrap_server,
        state_dir=state_dir,
    )
    findings = readiness.look(settings, common.say)
    _print(findings, json=json)
    for each in findings:
        if each.error is not None:
            raise each.error


def _print(findings: list[Finding], *, json: bool) -> None:
    if json:
        common.print_json([_plain(each) for each in findings])
    else:
        common.print_table(("CHECK", "RESULT", "DETAIL"), [(each.what, each.result, each.detail) for each in findings])


def _plain(finding: Finding) -> dict[str, Any]:
    error = finding.error
    return {
        "check": finding.what, "result": finding.result, "detail": finding.detail, "code": error.code if error else None,
    }  # fmt: skip

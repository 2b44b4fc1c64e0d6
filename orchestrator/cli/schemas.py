"""The `schemas` command: the event schemas against what the registry has, and registering them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from orchestrator.operate.contracts import Planned, Subjects

CHECK_EXAMPLES = common.examples(
    "orchestrator schemas check",
    "orchestrator schemas check --set registry.url=http://localhost:8081",
)
REGISTER_EXAMPLES = common.examples("orchestrator schemas register", "orchestrator schemas register --execute")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    schemas = typer.Typer(help="The contract with producers: event schemas, here and in the registry.", no_args_is_help=True)
    schemas.command("check", epilog=CHECK_EXAMPLES)(check)
    schemas.command("register", epilog=REGISTER_EXAMPLES)(register_)
    app.add_typer(schemas, name="schemas")


def check(
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Check the schema files, the journeys that read them, and where a registry is set, that no reader there would break.

    A change that takes from a journey what it reads is told with file, line, column and name, for every place.

    Exit status: 0 all well, 1 a file is wrong, a journey or a reader would break, 3 the registry does not answer.
    """
    subjects, wanted = _wired(config, assignments, topologies=topologies, schemas=schemas)
    if subjects is None:
        common.say(f"{len(wanted)} schemas are sound; registry.url is not set, so no registry was asked")
        return
    with contextlib.closing(subjects):
        planned = subjects.plan(wanted)
    _print(planned, json=json)
    if any(each.state == "BREAKS" for each in planned):
        raise typer.Exit(ExitCode.NO)


def register_(
    execute: common.Execute = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Register what the registry lacks, under the subjects and with the compatibility that this project works by.

    Exit status: 0 done or planned, 1 a file is wrong or a journey would break, 2 no registry is set, 3 it does not answer,
    4 a reader would break.
    """
    from orchestrator.errors import UsageError

    subjects, wanted = _wired(config, assignments, topologies=topologies, schemas=schemas)
    if subjects is None:
        raise UsageError("registry.url is not set", next_step="--set registry.url=http://localhost:8081")
    with contextlib.closing(subjects):
        planned = subjects.plan(wanted)
        if execute:
            planned = subjects.register(planned)
    _print(planned, json=json, executed=execute)
    if not json:
        new = sum(each.state in ("new subject", "new version") for each in planned)
        common.say("Registered." if execute else f"{new} to register. Nothing was done: add --execute to do it.")


def _wired(config: Any, assignments: Any, **flags: Any) -> tuple[Subjects | None, list[Any]]:
    from orchestrator.operate.contracts import Subjects, contracts
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.stream.registry import connect
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace

    settings = common.load_settings(config, assignments, **flags)
    wiring = load_wiring(settings.topologies)
    # Every expression is typed against the schemas; raises with each place that they do not bear out.
    known = load_schemas(Workspace.load(settings.topologies, settings.schemas).schemas)
    wanted = contracts(wiring.streams, wiring.policy, known)
    if not settings.registry:
        return None, wanted
    return Subjects(connect(settings.registry), settings.registry.get("url", "")), wanted


def _print(planned: list[Planned], *, json: bool, executed: bool | None = None) -> None:
    if json:
        found: dict[str, Any] = {} if executed is None else {"executed": executed}
        rows = [{"subject": e.contract.subject, "state": e.state, "id": e.id, "why": e.why} for e in planned]
        common.print_json(found | {"subjects": rows})
        return
    common.print_table(("SUBJECT", "STATE", "ID"), [(e.contract.subject, e.state, e.id or "") for e in planned])
    for each in planned:
        if each.why:
            common.say(f"{each.contract.subject}: {each.why}")

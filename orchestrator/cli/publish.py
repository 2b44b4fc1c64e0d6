"""`orchestrator plan` and `orchestrator apply`: what publishing a folder would change, and making it live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import acting, common
from orchestrator.errors import Unanswered

if TYPE_CHECKING:
    from orchestrator.operate.operations import Request
    from orchestrator.operate.publishing.plan import Plan
    from orchestrator.operate.sight.asking import Asker
    from orchestrator.workspace import Workspace

PLAN_EXAMPLES = common.examples(
    "orchestrator plan --topologies topologies",
    "orchestrator plan --detailed-exitcode --out plan.json",
)
APPLY_EXAMPLES = common.examples(
    "orchestrator apply plan.json --reason 'ticket 7'",
    "orchestrator apply --execute --reason 'ticket 7'",
)
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", dir_okay=False, help="Keep the plan, for apply.")]
Detailed = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit status 2 where something would change.")]
PlanFile = Annotated[Path | None, typer.Argument(metavar="[PLAN]", dir_okay=False, help="A plan that was kept. [made anew]")]
Rate = Annotated[
    int, typer.Option("--rate", min=1, metavar="N", help="Customers a second to take over or end, where `inherits` says so.")
]
RATE = 200
CHANGES = 2
_SHOWN = ("app", "base", "has_changes", "journeys", "shared", "entries", "taken_over", "counted_by", "counted_in_changelog")


def register(app: typer.Typer) -> None:
    """Add the commands to `orchestrator`."""
    app.command("plan", epilog=PLAN_EXAMPLES)(plan)
    app.command("apply", epilog=APPLY_EXAMPLES)(apply)


def plan(
    out: Out = None,
    detailed: Detailed = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> int:
    """Show what publishing the folder would change, and how many instances stand there. Nothing is done.

    Running instances stay on the version that they started on, unless the new file's `inherits` says otherwise of their step.

    Exit status: 0 planned, 1 not valid, 2 changes (with --detailed-exitcode), 3 Kafka does not answer, 4 it cannot be published.
    """
    from orchestrator.operate.publishing.plan import write_plan

    flags = {"topologies": topologies, "schemas": schemas, "bootstrap_server": bootstrap_server}
    conf, workspace = wired(config, assignments, **flags)
    made, _ = _make(conf, workspace, asks(config, assignments, **flags))
    if out is not None:
        write_plan(made, out)
    _print(made, json=json)
    return CHANGES if detailed and made.has_changes else 0


def apply(
    plan_file: PlanFile = None,
    reason: acting.Reason = "",
    by: acting.By = "",
    execute: common.Execute = False,
    wait: acting.Wait = acting.WAIT_S,
    rate: Rate = RATE,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Publish a plan that was kept, or the folder with --execute: workers take it while they run.

    Waits until every partition runs it, then takes over or ends who stands where `inherits` says so. Broken off, the others are
    taken over at their next event or timer; apply again goes on with them.

    Exit status: 0 live, planned or nothing to do, 1 not valid, 2 not said why, 3 Kafka or a worker does not answer, 4 stale or
    it does not fit.
    """
    from orchestrator.operate.publishing.plan import read_plan

    acts = execute or plan_file is not None
    who = acting.who(by, reason, acts)
    flags = {"topologies": topologies, "schemas": schemas, "bootstrap_server": bootstrap_server}
    conf, workspace = wired(config, assignments, **flags)
    if plan_file is not None:
        made, target = read_plan(plan_file, workspace)
    else:
        made, target = _make(conf, workspace, asks(config, assignments, **flags))
    if not acts or not (made.has_changes or made.taken_over):
        _print(made, json=json)
        if not json and (made.has_changes or made.taken_over):
            common.say(acting.NOTHING_DONE)
        return
    if not json:
        _print(made, json=False)
    number = _publish(conf, workspace, (made, target), who, wait) if made.has_changes else made.base
    if not json and made.has_changes:
        common.say(f"Revision {number} is live on all {workspace.topology.streams.partitions} partitions.")
    customers = _take_over(conf, workspace, target, who, (rate, wait))
    if json:
        common.print_json({"executed": True, "revision": number, "customers": customers, **_shown(made)})
    elif customers:
        common.say(f"{customers} customers had instances to take over or to end: done.")


def _publish(conf: dict[str, Any], workspace: Workspace, planned: Any, who: acting.Who, wait_s: float) -> int:
    from orchestrator import kafka
    from orchestrator.operate.produce import check_topics
    from orchestrator.operate.publishing.definitions import wait_until_live
    from orchestrator.operate.publishing.plan import read_live
    from orchestrator.operate.publishing.publish import Author, publish, revision_for

    made, target = planned
    streams = target.topology.streams
    channels = [channel.topic for channel in target.topology.policy.channels.values()]
    check_topics(kafka.partition_counts(kafka.reach(conf)), channels, streams.partitions)
    live = read_live(conf, workspace)
    base = None if live.program is None else live.program.revision
    revision = revision_for(target, base, streams.app)
    done = publish(conf, streams, made.base, revision, Author(who.by, who.reason), target.contents)
    wait_until_live(conf, streams, done.number, wait_s)
    return done.number


def _take_over(conf: dict[str, Any], workspace: Workspace, target: Any, who: acting.Who, pace: tuple[int, float]) -> int:
    """Have workers handle whom `inherits` concerns, and give how many those are: only who waits long needs to be asked for."""
    from orchestrator.names import Operation
    from orchestrator.operate import documents
    from orchestrator.operate.operations import Request
    from orchestrator.operate.publishing import differences

    if not differences.places(target.topology):
        return 0
    with acting.bar("reading the changelog") as move:
        found = documents.documents(conf, workspace.topology.streams, progress=move)
        customers = list(differences.inheriting(found, target.topology))
    again = "then apply again, it goes on with the others"
    ask_slowly(conf, workspace, customers, Request(Operation.TAKE_OVER, "", who.by, who.reason, 0), pace, ("taking over", again))
    return len(customers)


def ask_slowly(
    conf: dict[str, Any],
    workspace: Workspace,
    customers: list[str],
    what: Request,
    pace: tuple[int, float],
    told: tuple[str, str],
) -> None:
    """Ask the same for each customer. `told`: what the bar says, and what to do where it breaks off. Raises Unanswered."""
    from orchestrator.operate.operations import Desk
    from orchestrator.operate.publishing.journeys import ask_slowly as ask
    from orchestrator.wire.schemas import load_schemas

    if not customers:
        return
    streams = workspace.topology.streams
    with acting.bar(told[0]) as move:
        desk = Desk(conf, streams, load_schemas(workspace.schemas))
        answers = ask(desk, customers, what, pace, lambda done: move(done, len(customers)))
    handled = sum(each.decided is not None for each in answers)
    if handled < len(customers):
        raise Unanswered(
            f"{handled} of {len(customers)} customers are done; then no worker answered in {pace[1]:g} s",
            where=streams.operations,
            next_step=f"see whether workers run; {told[1]}",
        )


def wired(config: Path | None, assignments: Any, **flags: Any) -> tuple[dict[str, Any], Workspace]:
    """Read a folder and wait for Kafka. Raises UsageError, InvalidTopology, Unreachable."""
    from orchestrator import kafka
    from orchestrator.settings import client_config
    from orchestrator.workspace import Workspace

    settings = common.load_settings(config, assignments, **flags)
    workspace = Workspace.load(settings.topologies, settings.schemas)
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    return conf, workspace


def asks(config: Path | None, assignments: Any, **flags: Any) -> Asker:
    """Give who asks workers in the name of whom the settings say. Raises UsageError."""
    from orchestrator.operate.sight.asking import asker

    return asker(common.load_settings(config, assignments, **flags))


def _make(conf: dict[str, Any], workspace: Workspace, asker: Asker) -> Any:
    from orchestrator.operate.publishing.plan import make_plan

    with acting.bar("counting instances") as move:
        return make_plan(conf, workspace, asker, move)


def _shown(made: Plan) -> dict[str, Any]:
    import msgspec

    shown: dict[str, Any] = msgspec.to_builtins(made)
    return {name: shown[name] for name in _SHOWN}


def _print(made: Plan, *, json: bool) -> None:
    if json:
        common.print_json({"executed": False, **_shown(made)})
        return
    on = f"revision {made.base}" if made.base else "nothing: workers run their folders"
    if not made.has_changes:
        common.say(f"No changes: what is live ({on}) says the same.")
        _print_taken_over(made)
        return
    common.say(f"Live now: {on}.")
    rows = [
        (each.journey, _arrow(each.before, each.after), *row)
        for each in made.journeys
        for row in [("", "", each.instances, "")] + [_row(change) for change in each.changes]
    ]
    if rows:
        common.print_table(("JOURNEY", "ENTRIES", "WHERE", "WHAT", "INSTANCES", "THEY"), rows)
    for name in made.shared:
        typer.echo(f"{name} changes: it holds at once, for instances of every version")
    _print_taken_over(made)
    if rows:
        from orchestrator.operate.sight.counting import told_by

        common.say(f"Instances as counted by {told_by(made.counted_by, made.counted_in_changelog)}.")


def _print_taken_over(made: Plan) -> None:
    if made.taken_over:
        common.say(f"{made.taken_over} instances are to be taken over or ended: by apply, or at their next event or timer.")


def _arrow(before: int | None, after: int | None) -> str:
    return f"{before or '-'} -> {after or '-'}"


def _row(change: Any) -> tuple[str, str, int | str, str]:
    where = "/".join(part for part in (change.state, change.step) if part) or change.part
    if change.version:
        where = f"{where} (version {change.version})"
    counts = bool(change.state or change.step)
    return where, change.what, change.instances if counts else "", f"{change.policy} {change.to}".rstrip() if counts else ""

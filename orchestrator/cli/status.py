"""`orchestrator status`: how the group stands, on one screen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.sight.standing import Standing

EXAMPLES = common.examples(
    "orchestrator status",
    "orchestrator status --set http_token_file=token --watch",
    "orchestrator status --parked",
    "orchestrator status --json",
)
CLEAR = "\x1b[H\x1b[2J"


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("status", epilog=EXAMPLES)(status)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.5, metavar="SECONDS", help="How often, with --watch.")] = 5.0,
    late: Annotated[bool, typer.Option("--overdue", help="List customers whose timer should have fired, as hashes.")] = False,
    parked: Annotated[bool, typer.Option("--parked", help="Count who stands parked, too; reads the whole changelog.")] = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show the group: workers, partitions, lag, restores, timers, what is overdue or stopped, journeys, incidents.

    Members, lag and stops are Kafka's. Each worker is asked for the rest over HTTP, where it serves that and takes your token.

    Exit status: 0 all partitions are at work, 1 some are not or are overdue, 3 Kafka does not answer, 4 a topic is missing.
    """
    import time

    from msgspec.structs import replace

    from orchestrator import kafka
    from orchestrator.names import ExitCode
    from orchestrator.operate.parked import count
    from orchestrator.operate.sight.asking import asker
    from orchestrator.operate.sight.standing import overdue, standing
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config

    settings = common.load_settings(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    streams, asks, conf = load_wiring(settings.topologies).streams, asker(settings), client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    if late:
        _print_overdue(overdue(conf, streams, asks), json=json)
        return

    def look() -> Standing:
        found = standing(conf, streams, asks)
        return replace(found, parked_now=count(conf, streams)) if parked else found

    while watch:
        _look_again(look, json=json)
        time.sleep(every)
    found = look()
    _print(found, json=json, clear=False)
    if not found.is_well:
        raise typer.Exit(ExitCode.NO)


def _look_again(look: Callable[[], Standing], *, json: bool) -> None:
    """Show how things stand now. While Kafka does not answer it says so: that is when somebody watches."""
    from orchestrator.errors import Unreachable

    try:
        _print(look(), json=json, clear=sys.stdout.isatty())
    except Unreachable as error:
        common.say(f"error: {error}")
    sys.stdout.flush()


def _print(found: Standing, *, json: bool, clear: bool) -> None:
    if json:
        import msgspec

        plain: dict[str, Any] = msgspec.to_builtins(found)
        common.print_json({**plain, "well": found.is_well})
        return
    from orchestrator.operate.sight import screen

    lines = list(screen.headline(found))
    if found.workers:
        lines += ["", *common.table(screen.WORKER_HEAD, screen.worker_rows(found), width=80)]
    troubled = screen.partition_rows(found)
    if troubled:
        lines += ["", *common.table(screen.PARTITION_HEAD, troubled, width=80)]
    below = list(screen.tail(found))
    typer.echo((CLEAR if clear else "") + "\n".join([*lines, *([""] if below else []), *below]))


def _print_overdue(found: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        common.print_json({"overdue": found})
    elif found:
        rows = [(each["due"], each["partition"], each["worker"], each["customer"]) for each in found]
        common.print_table(("DUE", "PARTITION", "WORKER", "CUSTOMER"), rows)
    else:
        common.say("Nobody is overdue.")

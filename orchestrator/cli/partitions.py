"""The `partitions` command: which partitions the circuit breaker stopped, and letting them go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.language.model import Streams
    from orchestrator.wire.stops import Stop

Numbers = Annotated[list[int] | None, typer.Argument(metavar="[PARTITION]...", help="Which ones. [all that are stopped]")]
LIST_EXAMPLES = common.examples("orchestrator partitions list", "orchestrator partitions list --json")
RESUME_EXAMPLES = common.examples(
    "orchestrator partitions resume 3",
    "orchestrator partitions resume 3 --execute",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    partitions = typer.Typer(help="Partitions that stand still after too many incidents.", no_args_is_help=True)
    partitions.command("list", epilog=LIST_EXAMPLES)(show)
    partitions.command("resume", epilog=RESUME_EXAMPLES)(resume)
    app.add_typer(partitions, name="partitions")


def show(
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show the partitions that the circuit breaker stopped, and where.

    Exit status: 0 shown, even if there are none, 3 Kafka does not answer, 4 a topic is missing.
    """
    from orchestrator.operate import partitions

    conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    _print(partitions.stopped(conf, streams), json=json)


def resume(
    numbers: Numbers = None,
    execute: common.Execute = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Let stopped partitions go on where they stopped; counting begins anew, so the next hundred incidents stop them again.

    Workers hear of it within seconds. Look at the incidents first: each names its reason.

    Exit status: 0 done or planned, 3 Kafka does not answer, 4 a partition is not stopped, or a topic is missing.
    """
    from orchestrator.operate import partitions

    conf, streams = _wired(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    stops = partitions.chosen(partitions.stopped(conf, streams), numbers or (), streams.app)
    if execute:
        partitions.release(conf, streams, stops)
    _print(stops, json=json, executed=execute)
    if not json:
        common.say("Released." if execute else "Nothing was done: add --execute to let them go on.")


def _wired(config: Any, assignments: Any, **flags: Any) -> tuple[dict[str, Any], Streams]:
    from orchestrator import kafka
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config

    settings = common.load_settings(config, assignments, **flags)
    streams = load_wiring(settings.topologies).streams
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    return conf, streams


def _print(stops: Sequence[Stop], *, json: bool, executed: bool | None = None) -> None:
    if json:
        import msgspec

        found: dict[str, Any] = {} if executed is None else {"executed": executed}
        common.print_json(found | {"stopped": [msgspec.to_builtins(stop) for stop in stops]})
        return
    rows = [
        (stop.partition, f"{stop.topic}/{stop.partition}", stop.offset, f"> {stop.incidents} in {stop.window}", _instant(stop.at))
        for stop in stops
    ]
    if rows:
        common.print_table(("PARTITION", "WHERE", "NEXT OFFSET", "INCIDENTS", "STOPPED AT"), rows)
    else:
        common.say("No partition is stopped.")


def _instant(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")

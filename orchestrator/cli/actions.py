"""The `actions` command: what the journeys told the channel services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.tail import Tailed

LAST = 10

Channel = Annotated[str, typer.Option("--channel", help="Only this channel of policy.yaml. [default: all]")]
Beginning = Annotated[bool, typer.Option("--from-beginning", help="All actions, not only the last ones.")]
Most = Annotated[int | None, typer.Option("--max", min=1, metavar="N", help=f"How many. [{LAST}; --from-beginning: all]")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
EXAMPLES = common.examples(
    "orchestrator actions tail",
    "orchestrator actions tail --channel email --follow",
    "orchestrator actions tail --from-beginning --json",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    actions = typer.Typer(help="The actions that journeys decided.", no_args_is_help=True)
    actions.command("tail", epilog=EXAMPLES)(tail)
    app.add_typer(actions, name="actions")


def tail(
    channel: Channel = "",
    from_beginning: Beginning = False,
    most: Most = None,
    follow: Follow = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show actions, decoded: the last ones, or all, or as they come. Only committed ones, as channel services see them.

    Exit status: 0 all shown, 2 no such channel, 3 Kafka does not answer, 4 a topic is missing, 130 after Ctrl-C.
    """
    from orchestrator import kafka
    from orchestrator.operate import tail as tailing
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config

    settings = common.load_settings(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    policy = load_wiring(settings.topologies).policy
    common.known_name("--channel", channel, policy.channels)
    topics = tailing.action_topics(policy, channel)
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    last = None if from_beginning else most or LAST
    tailed = tailing.tail(conf, topics, last=last, follow=follow)
    if not json:
        typer.echo(tailing.table_head())
    for number, each in enumerate(tailed, 1):
        _show(each, json=json)
        if number == most:
            break


def _show(each: Tailed, *, json: bool) -> None:
    import orjson

    from orchestrator.operate.tail import table_line
    from orchestrator.wire.lines import action_line

    if each.action is None:
        common.say(f"{each.position}: no action of this version")
    elif json:
        typer.echo(orjson.dumps(action_line(each.action)).decode())
    else:
        typer.echo(table_line(each.action))

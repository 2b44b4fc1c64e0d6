"""The `channel` command: a conformance check for channel services."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

Channel = Annotated[str, typer.Option("--channel", help="The channel that the commands name.")]
Actions = Annotated[str, typer.Option("--actions-topic", metavar="TOPIC", help="Where commands are played; of its own.")]
Outcomes = Annotated[str, typer.Option("--outcomes-topic", metavar="TOPIC", help="Where the service reports; of its own.")]
Wait = Annotated[float, typer.Option("--wait", min=1, metavar="S", help="How long to wait for the service's reports.")]
EXAMPLES = common.examples("orchestrator channel check --channel email", "orchestrator channel check --json --wait 20")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    channel = typer.Typer(help="What a channel service owes, checked.", no_args_is_help=True)
    channel.command("check", epilog=EXAMPLES)(check)

    @channel.callback()
    def group() -> None:
        """What a channel service owes, checked."""

    app.add_typer(channel, name="channel")


def check(
    channel: Channel = "email",
    actions_topic: Actions = "channel-check.actions",
    outcomes_topic: Outcomes = "channel-check.outcomes",
    wait: Wait = 30.0,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Play commands to a channel service that runs, and judge what it reports: repeats, attempts, expiry, aborted transactions.

    Point the service at the two topics first; they are made where they are missing. No topic of the topology is touched.

    Exit status: 0 the service does well, 1 it does not, 2 a topic is one of the topology's, 3 Kafka does not answer.
    """
    from msgspec import to_builtins

    from orchestrator import kafka
    from orchestrator.errors import UsageError
    from orchestrator.operate import conformance, topics
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config
    from orchestrator.wire.schemas import load_schemas

    settings = common.load_settings(config, assignments, topologies=topologies, bootstrap_server=bootstrap_server)
    wiring = load_wiring(settings.topologies)
    live = {spec.name for spec in topics.plan(wiring.streams, wiring.policy)}
    if taken := live & {actions_topic, outcomes_topic}:
        raise UsageError(
            f"{', '.join(sorted(taken))} is a topic of the topology", next_step="name topics that serve nothing else"
        )
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    count = wiring.streams.partitions
    specs = [topics.TopicSpec(name, count, "check", {}) for name in (actions_topic, outcomes_topic)]
    planned = topics.compare(kafka.admin(conf), specs)
    if error := topics.mismatch(planned):
        raise error
    topics.create(kafka.admin(conf), [each.spec for each in planned if each.state == "create"])
    common.say(f"playing commands to {actions_topic}; waiting at most {wait:.0f} s for reports on {outcomes_topic}")
    where = conformance.Play(conf, actions_topic, outcomes_topic, count, wait)
    with common.gate(settings, conformance.streams_of(where), load_schemas(settings.schemas)) as gate:
        verdicts = conformance.play(where, conformance.cases(channel, conformance.now_ms()), gate)
    if json:
        common.print_json([to_builtins(each) for each in verdicts])
    else:
        common.print_table(("CASE", "RESULT", "WHAT IT OWES"), [(v.name, "WRONG" if v.fault else "ok", v.duty) for v in verdicts])
        for each in verdicts:
            if each.fault:
                common.say(f"{each.name}: {each.fault}")
    if any(each.fault for each in verdicts):
        raise typer.Exit(ExitCode.NO)

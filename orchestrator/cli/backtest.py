"""The `backtest` command: a draft of a journey over recorded events in virtual time, beside the live version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.operate.backtest.draft import Pair
    from orchestrator.operate.backtest.history import History
    from orchestrator.settings import Settings

Draft = Annotated[Path, typer.Argument(metavar="JOURNEY", help="The draft: one journey as YAML.")]
Events = Annotated[
    Path | None, typer.Option("--events", metavar="FILE", help="Events as JSON lines. [those on Kafka, from the beginning]")
]
From = Annotated[str, typer.Option("--from", metavar="TIME", help="Count from here on, ISO 8601. [the first event]")]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="Run and count up to here. [the last event]")]
Outcome = Annotated[
    list[str] | None,
    typer.Option("--outcome", metavar="CHANNEL=STATUS:SHARE,...", help="What becomes of a channel's actions; may be repeated."),
]
Seed = Annotated[int, typer.Option("--seed", help="Which actions get which outcome.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Write a page with charts, too.")]

EXAMPLES = common.examples(
    "orchestrator backtest drafts/winback.yaml --events events.jsonl",
    "orchestrator backtest w.yaml --from 2026-01-01T00:00:00Z --html w.html",
    "orchestrator backtest w.yaml --outcome email=delivered:0.97,bounced:0.03",
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("backtest", epilog=EXAMPLES)(backtest)


def backtest(
    journey: Draft,
    events: Events = None,
    begin: From = "",
    end: To = "",
    outcome: Outcome = None,
    seed: Seed = 0,
    html: Html = None,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """What a draft would have done: who enters, what is sent, held and refused by which rule, beside the live version.

    Both versions live through the same recorded events in virtual time, with all other journeys and the policy of --topologies:
    it shows, too, what the draft takes from others. Events before --from are lived through and not counted. Nothing is sent,
    and nothing written to Kafka. What became of actions is assumed; the result says how.

    Exit status: 0 done, 1 the draft or some lines are wrong, 2 wrong use, 3 Kafka does not answer, 4 a topic is missing.
    """
    from orchestrator.operate.backtest import assumptions, result
    from orchestrator.operate.backtest.draft import load_pair
    from orchestrator.operate.backtest.page import page

    settings = common.load_settings(
        config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server
    )
    pair = load_pair(journey, settings.topologies, settings.schemas)
    assumed = assumptions.parse(outcome or (), pair.draft.policy.channels, seed)
    window = common.instant("--from", begin), common.instant("--to", end)
    _check_place(html)
    history = _history(settings, pair, events, window[1])
    first, last = _window(history, *window)
    with common.progress("running", 2 * len(history.records)) as (moved_to, _):
        found = result.run(pair, history, assumed, (first, last), moved_to)
    if html is not None:
        html.write_text(page(found), encoding="utf-8")
    if json:
        common.print_json(result.as_json(found))
    else:
        for line in result.lines(found):
            typer.echo(line)
    if html is not None:
        common.say(f"Written to {html}.")


def _history(settings: Settings, pair: Pair, events: Path | None, until: int | None) -> History:
    from orchestrator import kafka
    from orchestrator.cli import acting
    from orchestrator.operate.backtest import history
    from orchestrator.settings import client_config
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import schemas_beside

    schemas = load_schemas(settings.schemas or schemas_beside(settings.topologies))
    if events is not None:
        return history.from_lines(events, schemas, until)
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    with common.gate(settings, pair.live.streams, schemas) as gate, acting.bar("reading") as moved:
        return history.from_kafka(conf, pair.live.streams, gate, until, moved)


def _window(history: History, begin: int | None, end: int | None) -> tuple[int, int]:
    from orchestrator.errors import UsageError

    if not history.records:
        raise UsageError("there are no events up to --to", next_step="give a later --to, or other --events")
    first = history.records[0].time if begin is None else begin
    last = history.records[-1].time if end is None else end
    if last < first:
        raise UsageError("--to is before --from, or before the first event", next_step="give the earlier time first")
    return first, last


def _check_place(path: Any) -> None:
    from orchestrator.errors import UsageError

    if path is not None and not path.parent.is_dir():
        raise UsageError("cannot write there", where=str(path), next_step="name a file in a folder that exists")

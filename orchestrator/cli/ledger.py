"""`orchestrator ledger`: whether everything that was decided was sent, held or refused, and what was sent was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common
from orchestrator.cli.sight import Reason, progress_bar

if TYPE_CHECKING:
    from orchestrator.language.model import Streams
    from orchestrator.operate.sight.books import Difference
    from orchestrator.operate.sight.ledger import Account

EXAMPLES = common.examples(
    "orchestrator ledger",
    "orchestrator ledger --json",
    "orchestrator ledger --watch --every 60 --set metrics_address=9402",
)
SHOWN = 20
HEAD = ("JOURNEY/STEP", "CHANNEL", "DECIDED", "EMITTED", "HELD", "SUPPR", "CANC", "PARKED", "OPEN")
Reveal = Annotated[bool, typer.Option("--reveal", help="Show customers' ids, not hashes; the audit topic says who did.")]


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("ledger", epilog=EXAMPLES)(ledger)


def ledger(
    watch: Annotated[bool, typer.Option("--watch", help="Read on and add up again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, metavar="SECONDS", help="How often, with --watch.")] = 30.0,
    reveal: Reveal = False,
    reason: Reason = "",
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Add up, for each step: decided = emitted + held + suppressed + cancelled + parked; emitted = acknowledged + open.

    Read from the decision log, the channels' topics, the outcomes and the journal, each from its beginning, read committed;
    workers may go on meanwhile. What does not come out is listed with the customers concerned.

    Exit status: 0 all sums come out, 1 some do not, 3 Kafka does not answer, 4 a topic is missing.
    """
    import contextlib
    import time

    from orchestrator import kafka
    from orchestrator.names import ExitCode
    from orchestrator.observe import logs, metrics
    from orchestrator.operate.sight.ledger import Ledger
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.settings import client_config
    from orchestrator.wire.schemas import load_schemas

    settings = common.load_settings(
        config, assignments, topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server
    )
    wiring, conf = load_wiring(settings.topologies), client_config(settings)
    logs.use_key_of(settings.log_key_file)
    if watch and settings.metrics_address:
        metrics.serve(settings.metrics_address)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    noted: set[str] = set()
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(common.gate(settings, wiring.streams, load_schemas(settings.schemas_dir)))
        books = stack.enter_context(contextlib.closing(Ledger(conf, wiring.streams, wiring.policy, gate)))
        while True:
            with progress_bar() as progress:
                found = books.account(progress)
            metrics.show_differences(found.by_equation())
            if reveal:
                _note(conf, wiring.streams, _shown_of(found, json=json) - noted, reason)
                noted |= _shown_of(found, json=json)
            _print(found, json=json, reveal=reveal)
            if not watch:
                break
            time.sleep(every)
    if found.differences:
        raise typer.Exit(ExitCode.NO)


def _shown_of(found: Account, *, json: bool) -> set[str]:
    """Whose ids are shown: of all differences in JSON, else of the first."""
    differences = found.differences if json else found.differences[:SHOWN]
    return {each.customer for each in differences if each.customer}


def _note(conf: dict[str, Any], streams: Streams, customers: set[str], reason: str) -> None:
    """Write down whose ids are shown, once a run. Raises Unreachable, NotAllowed, TopicMismatch: then they are not."""
    from orchestrator.stream.auditing import Reading, note_reveal

    note_reveal(conf, streams, *(Reading(customer, "ledger", reason) for customer in sorted(customers)))


def _print(found: Account, *, json: bool, reveal: bool) -> None:
    if json:
        common.print_json(_plain(found, reveal=reveal))
        return
    rows = [_row("/".join(filter(None, place[:2])), place[2], sums) for place, sums in found.sums.items()]
    for line in common.table(HEAD, [*rows, _row("the whole", "", found.whole)], width=80):
        typer.echo(line)
    typer.echo(f"acknowledged: {_counts(found.whole.acknowledged)}; suppressed: {_counts(found.whole.suppressed)}")
    if found.without_cycles:
        common.say(f"The journal of {len(found.without_cycles)} partitions is compacted: its cycles cannot be added up.")
    if not found.differences:
        typer.echo("All sums come out.")
    for difference in found.differences[:SHOWN]:
        typer.echo(_told(difference, reveal=reveal))
    if len(found.differences) > SHOWN:
        typer.echo(f"... and {len(found.differences) - SHOWN} more: --json has all")


def _row(place: str, channel: str, sums: Any) -> tuple[object, ...]:
    return (
        place, channel, sums.decided, sums.emitted, sums.held, sums.suppressed.total(), sums.cancelled.total(), sums.parked,
        sums.outstanding,
    )  # fmt: skip


def _counts(counts: Any) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


def _customer(difference: Difference, *, reveal: bool) -> str:
    from orchestrator.observe.logs import customer_ref

    return difference.customer if reveal or not difference.customer else customer_ref(difference.customer)


def _told(difference: Difference, *, reveal: bool) -> str:
    place = "/".join(filter(None, (difference.journey, difference.step)))
    who = f"  customer {_customer(difference, reveal=reveal)}, action {difference.action_id}" if difference.action_id else ""
    lines = [f"DIFFERENCE in {difference.equation}, partition {difference.partition}{f', {place}' if place else ''}:"]
    return "\n".join([*lines, f"  {difference.what}", *([who] if who else [])])


def _plain(found: Account, *, reveal: bool) -> dict[str, Any]:
    import msgspec

    return {
        "holds": not found.differences,
        "whole": msgspec.to_builtins(found.whole),
        "steps": [
            {"journey": journey, "step": step, "channel": channel, **msgspec.to_builtins(sums)}
            for (journey, step, channel), sums in found.sums.items()
        ],
        "differences": [msgspec.to_builtins(each) | {"customer": _customer(each, reveal=reveal)} for each in found.differences],
        "partitions_without_cycles": list(found.without_cycles),
    }

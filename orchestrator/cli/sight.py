"""`orchestrator why` and `orchestrator inspect`: what became of a customer, and what is known of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common

if TYPE_CHECKING:
    from orchestrator.language.model import Streams
    from orchestrator.operate.documents import Progress
    from orchestrator.operate.sight.asking import Asker
    from orchestrator.settings import Settings

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id, as events have it.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show personal values; the audit topic says who did.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why values are shown; for the audit topic.")]
Offline = Annotated[bool, typer.Option("--offline", help="Ask no worker: read Kafka itself.")]
SAY_EVERY = 1_000
WHY_EXAMPLES = common.examples(
    "orchestrator why c-1042 --set http_token_file=token",
    "orchestrator why c-1042 --journey winback --at 2026-11-25T09:00Z",
    "orchestrator why c-1042 --offline --json",
)
INSPECT_EXAMPLES = common.examples(
    "orchestrator inspect c-1042 --set http_token_file=token",
    "orchestrator inspect c-1042 --reveal --set http_token_file=token",
)


def register(app: typer.Typer) -> None:
    """Add the commands to `orchestrator`."""
    app.command("why", epilog=WHY_EXAMPLES)(why)
    app.command("inspect", epilog=INSPECT_EXAMPLES)(inspect)


def why(
    customer: Customer,
    journey: Annotated[str, typer.Option("--journey", metavar="ID", help="Only of this journey.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="As it was then; ISO 8601, UTC where no zone stands.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, help="So many of the newest decisions.")] = 30,
    reveal: Reveal = False,
    reason: Reason = "",
    offline: Offline = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Tell every entry and send that was decided or refused, by which rule, on which values, and what is waited for.

    Decisions come from the log, what is waited for from the worker that has the customer, over HTTP; where none answers, from the
    changelog. Both are read whole, a partition each, which takes a second per some hundred thousand records.

    Exit status: 0 told, 2 no such journey or time, 3 Kafka does not answer, 4 a worker refuses, or a topic is missing.
    """
    from orchestrator.operate.sight import answering
    from orchestrator.operate.sight.why import Question
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace

    instant = _instant(at) if at else None
    settings, asker = _wired(
        config, assignments, offline=offline,
        topologies=topologies, schemas=schemas, bootstrap_server=bootstrap_server,
    )  # fmt: skip
    workspace = Workspace.load(settings.topologies, settings.schemas)
    common.known_name("--journey", journey, {each.id for each in (*workspace.topology.journeys, *workspace.topology.earlier)})
    question = Question(journey, 1 << 62 if instant is None else instant, last, reveal)
    conf = _reached(settings)
    if reveal:
        _note(conf, workspace.topology.streams, customer, "why", reason)
    gate = common.gate(settings, workspace.topology.streams, load_schemas(workspace.schemas))
    with gate as opened, progress_bar() as progress:
        sources = answering.Sources(conf, workspace.topology, opened, asker, progress)
        found = answering.answer(customer, question, sources, instant)
    if json:
        common.print_json({"customer": customer, **found.plain()})
        return
    for line in answering.lines(found):
        typer.echo(line)


def inspect(
    customer: Customer,
    reveal: Reveal = False,
    reason: Reason = "",
    offline: Offline = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    bootstrap_server: common.BootstrapServer = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Show everything that is kept of a customer, decoded: instances, profile, consents, caps, what is held.

    The worker that has the customer is asked over HTTP; where none answers, the changelog is read. Without --reveal values are
    shown as ***.

    Exit status: 0 shown, 1 nothing is kept, 3 Kafka does not answer, 4 the worker refuses, or a topic is missing.
    """
    from orchestrator.names import ExitCode
    from orchestrator.operate.sight.looking_up import document_of
    from orchestrator.operate.wiring import load_wiring

    settings, asker = _wired(config, assignments, offline=offline, topologies=topologies, bootstrap_server=bootstrap_server)
    streams = load_wiring(settings.topologies).streams
    conf = _reached(settings)
    if reveal:
        _note(conf, streams, customer, "inspect", reason)
    with progress_bar() as progress:
        found = document_of(conf, streams, customer, asker, progress, reveal=reveal)
    if json:
        common.print_json({"customer": customer, "from": found.source, "document": found.value})
    elif found.value is None:
        common.say(f"Nothing is kept of this customer (asked: {found.source}).")
    else:
        typer.echo(_tree(found.value))
        common.say(f"from {found.source}{_known_in_logs(settings, customer)}")
    if found.value is None:
        raise typer.Exit(ExitCode.NO)


def _known_in_logs(settings: Settings, customer: str) -> str:
    """How logs name the customer, where all processes hash with one key."""
    from orchestrator.observe import logs

    if settings.log_key_file is None:
        return ""
    logs.use_key_of(settings.log_key_file)
    return f"; logs call this customer {logs.customer_ref(customer)}"


def _tree(document: dict[str, Any]) -> str:
    """A document for people: indented, without the signs that only machines need."""
    import io

    from ruamel.yaml import YAML

    out = io.StringIO()
    yaml = YAML()
    yaml.width = 76
    yaml.dump(document, out)
    return out.getvalue().rstrip()


def _wired(config: Any, assignments: Any, *, offline: bool, **flags: Any) -> tuple[Settings, Asker | None]:
    from orchestrator.operate.sight.asking import asker

    settings = common.load_settings(config, assignments, **flags)
    return settings, None if offline else asker(settings)


def _note(conf: dict[str, Any], streams: Streams, customer: str, command: str, reason: str) -> None:
    """Write down that values are shown. Raises Unreachable, NotAllowed, TopicMismatch: then they are not."""
    from orchestrator.stream.auditing import Reading, note_reveal

    note_reveal(conf, streams, Reading(customer, command, reason))


def _reached(settings: Settings) -> dict[str, Any]:
    from orchestrator import kafka
    from orchestrator.settings import client_config

    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    return conf


def _instant(text: str) -> int:
    from datetime import UTC, datetime

    from orchestrator.errors import UsageError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text}: that is no time", next_step="write 2026-11-25T09:00Z") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw a bar on a terminal while partitions are read, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("reading Kafka"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("read", total=None)

        def moved(done: int, total: int) -> None:
            if done % SAY_EVERY == 0 or done == total:
                bar.update(task, completed=done, total=total)

        yield moved

"""What the commands share that act on customers through the operators' topic: options, the plan shown, the answer told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from orchestrator.cli import common
from orchestrator.errors import OperationRefused, RefusedByState, Unanswered, UsageError

if TYPE_CHECKING:
    from orchestrator.engine.document import Document
    from orchestrator.language.model import Topology
    from orchestrator.operate.operations import Answer, Request
    from orchestrator.settings import Settings
    from orchestrator.wire.schemas import SchemaSet

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
Journey = Annotated[str | None, typer.Option("--journey", metavar="ID", help="Only instances of this journey.")]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Only the instance with this key.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; stays in the logs. Needed with --execute.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who asks; stays in the logs. [who is logged in]")]
Wait = Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for a worker's answer.")]
WAIT_S: Final = 30.0
NOTHING_DONE: Final = 'Nothing was done: add --execute --reason "..." to do it.'


@dataclass(frozen=True)  # no Struct: msgspec is heavy for a module that `--help` reads
class Room:
    """What an acting command works with."""

    conf: dict[str, Any]
    topology: Topology
    schemas: SchemaSet
    settings: Settings


@dataclass(frozen=True)
class Who:
    """Who acts and why, and whether it is meant."""

    by: str
    reason: str
    execute: bool


def enter(config: Path | None, assignments: Sequence[str] | None, **flags: Any) -> Room:
    """Wait for Kafka and read what workers run: what was published, else the folder.

    Raises UsageError, InvalidTopology, Unreachable, TopicMismatch.
    """
    from orchestrator import kafka
    from orchestrator.operate.publishing.plan import read_live
    from orchestrator.settings import client_config
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace

    settings = common.load_settings(config, assignments, **flags)
    workspace = Workspace.load(settings.topologies, settings.schemas)
    conf = client_config(settings)
    kafka.wait_for_broker(conf, settings.connect_timeout_s, common.say)
    live = read_live(conf, workspace)
    topology = workspace.topology if live.program is None else live.program.topology
    return Room(conf, topology, load_schemas(workspace.schemas), settings)


def who(by: str, reason: str, execute: bool) -> Who:
    """Say who acts. Raises UsageError where somebody acts without a reason."""
    import getpass

    if execute and not reason.strip():
        raise UsageError("who acts says why", where="--reason", next_step='for example --reason "ticket 4711"')
    return Who(by or getpass.getuser(), reason.strip() or "a plan", execute)


@contextlib.contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar on a terminal once something takes longer than a second; gives what moves it: (done, of)."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console, started = Console(stderr=True), time.monotonic()
    shown = Progress(
        TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    task = shown.add_task("", total=None)

    def move(done: int, total: int) -> None:
        if time.monotonic() - started > 1:
            shown.start()
            shown.update(task, completed=done, total=total)

    try:
        yield move
    finally:
        shown.stop()


def instances(document: Document) -> list[dict[str, Any]]:
    """Give the instances as they are shown."""
    from orchestrator.wire.lines import iso

    return [
        {
            "journey": each.journey,
            "version": each.version,
            "key": each.key,
            "state": each.state,
            "step": each.step,
            "due": iso(each.due) if each.due else "",
            "parked": each.parked,
        }
        for each in document.instances
    ]


def print_instances(found: Sequence[dict[str, Any]]) -> None:
    """Show where a customer stands."""
    if not found:
        common.say("The customer is on no journey.")
        return
    rows = [
        (f"{each['journey']} v{each['version']}", each["key"], each["state"], each["step"], each["parked"] or each["due"])
        for each in found
    ]
    common.print_table(("JOURNEY", "KEY", "STATE", "STEP", "UNTIL OR PARKED"), rows)


def print_decisions(decisions: Sequence[dict[str, Any]]) -> None:
    """Show what was decided, or would be."""
    rows = [(each["kind"], _where(each), each["step"], _why(each)) for each in decisions]
    common.print_table(("DECISION", "JOURNEY/STATE", "STEP", "WHY"), rows)


def _where(decision: dict[str, Any]) -> str:
    return "/".join(decision[name] for name in ("journey", "state") if decision[name])


def _why(decision: dict[str, Any]) -> str:
    return " ".join(str(decision[name]) for name in ("reason", "outcome", "channel") if decision[name])


def check_plan(decisions: Sequence[dict[str, Any]]) -> None:
    """Raise RefusedByState where a worker would do nothing at all."""
    refused = sorted({each["reason"] for each in decisions if each["kind"] == "operation_refused"})
    if refused and not any(each["kind"] == "operated" for each in decisions):
        advice = "docs/operations.md says what each means"
        raise RefusedByState(f"the workers would refuse it: {', '.join(refused)}", next_step=advice)


def ask(room: Room, requests: Sequence[Request], wait_s: float) -> list[Answer]:
    """Have workers do it; gives their answers. Raises Unreachable, RefusedByState where a request could not be written."""
    from orchestrator.operate.operations import Desk

    with bar("waiting for workers") as move:
        return Desk(room.conf, room.topology.streams, room.schemas).ask(requests, wait_s, lambda n: move(n, len(requests)))


def answered(room: Room, answer: Answer, wait_s: float) -> Answer:
    """Give an answer that a worker gave. Raises Unanswered where none did in time, OperationRefused where it did nothing."""
    place = f"{room.topology.streams.operations}/{answer.place[0]}/{answer.place[1]}"
    if answer.decided is None:
        raise Unanswered(
            f"no worker has handled the request in {wait_s:g} s; it stands, and is handled once one gets there",
            where=place,
            next_step="see whether workers run and how far they lag; do not ask again",
        )
    if not answer.is_done:
        raise OperationRefused(
            f"the worker did nothing: {', '.join(answer.refusals) or 'it was a repeat'}",
            where=place,
            next_step="see how the customer stands now, and ask anew",
        )
    return answer

"""The answer to "why": everything that is asked of Kafka, the workers and the files, put together, and told in 80 columns."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.language.model import Topology
from orchestrator.names import Kind
from orchestrator.operate.documents import Progress
from orchestrator.operate.sight import why
from orchestrator.operate.sight.asking import Asker
from orchestrator.operate.sight.customer_log import Place, handlings_of, records_at
from orchestrator.operate.sight.looking_up import document_of
from orchestrator.operate.sight.waits import Wait, waits_at, waits_now
from orchestrator.operate.sight.why import Question, Told
from orchestrator.wire.gate import Gate, Refusal

_WIDTH: Final = 80
_WORDS: Final = {
    Kind.ENTERED: "entered", Kind.ENTRY_REFUSED: "did not enter", Kind.HOLD_RESOLVED: "a wait is over",
    Kind.ACTION_EMITTED: "sent", Kind.ACTION_SUPPRESSED: "not sent", Kind.ACTION_HELD: "has to wait",
    Kind.ACTION_RELEASED: "need not wait any more", Kind.ACTION_CANCELLED: "called off", Kind.OUTCOME_RECEIVED: "reported back",
    Kind.CALL_FAILED: "call given up", Kind.RETRY_SCHEDULED: "call to be made again", Kind.CONDITION_ERROR: "could not be told",
    Kind.TAKEN_OVER: "goes on by a newer version",
    Kind.EXITED: "left", Kind.ENDED: "ended", Kind.EXPIRED: "expired", Kind.MERGED: "merged", Kind.ERASED: "erased",
}  # fmt: skip


class Answer(Struct, frozen=True):
    """What is known; `document_from` says who told what the customer waits for, "" where the decision log did."""

    decisions: list[Told]
    waits: list[Wait]
    held: list[dict[str, Any]]
    document_from: str
    decisions_known: int
    is_merged: bool = False  # into another id, under which all goes on

    def plain(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        for told, wait in zip(found["waits"], self.waits, strict=True):
            told["change"] = wait.change
        return found


class Sources(Struct, frozen=True):
    """Whom to ask; `asker` None asks no worker, `gate` hears all types."""

    conf: Mapping[str, Any]
    topology: Topology
    gate: Gate
    asker: Asker | None
    progress: Progress


def answer(customer: str, question: Question, sources: Sources, at: int | None) -> Answer:
    """Find out. Blocks; raises Unreachable, WorkerRefuses, TopicMismatch."""
    topology, streams = sources.topology, sources.topology.streams
    handlings = handlings_of(sources.conf, streams, customer, sources.progress)
    pairs = why.chosen(handlings, question)
    decisions = why.told(pairs, topology, _payloads(sources, why.places(pairs, topology)), question)
    if at is not None:
        return Answer(decisions, waits_at(handlings, topology, at, question.journey), [], "", len(handlings))
    document = document_of(sources.conf, streams, customer, sources.asker, sources.progress, reveal=question.reveal)
    waits = waits_now(document.value, topology, question.journey)
    held = [each for each in (document.value or {}).get("held", ()) if question.journey in ("", each["journey"])]
    is_merged = "merged_into" in (document.value or {})
    return Answer(decisions, waits, held, document.source, len(handlings), is_merged)


def _payloads(sources: Sources, places: list[Place]) -> dict[Place, Mapping[str, Any]]:
    """Decode the records that were handled; one that the schemas of now refuse has no values to show."""
    now = time.time_ns() // 1_000_000
    found: dict[Place, Mapping[str, Any]] = {}
    for place, message in records_at(sources.conf, places).items():
        record = sources.gate.admit(message, now)
        if record is not None and not isinstance(record, Refusal):
            found[place] = record.payload
    return found


def lines(found: Answer) -> Iterator[str]:
    """Tell it to people."""
    if found.is_merged:
        yield "This id was merged into another: ask about that one. `inspect --reveal` names it."
    elif not found.decisions_known and not found.waits:
        yield "Nothing is known of this customer: no decision was ever logged, and there is no document."
        return
    yield "WHAT WAS DECIDED, oldest first" if found.decisions else "Nothing was decided that fits what was asked."
    for each in found.decisions:
        yield from _decision(each)
    yield ""
    yield "WHAT IS WAITED FOR" + (f" (from {found.document_from})" if found.document_from else "")
    if not found.waits and not found.held:
        yield "  Nothing: the customer is on no journey."
    for wait in found.waits:
        yield from _wait(wait)
    for held in found.held:
        until = f"until {held['looked_at_again']}" if held["looked_at_again"] else "until its journey is resumed"
        yield f"  {held['journey']}/{held['step']} by {held['channel']} is held: {held['reason']}, {until}"


def _decision(each: Told) -> Iterator[str]:
    place = "/".join(filter(None, (each.journey, each.step)))
    reason = ", ".join(filter(None, (each.channel, each.outcome, each.reason)))
    yield f"{each.at}  {place or each.event}: {_WORDS[each.kind]}{f' ({reason})' if reason else ''}"
    if each.event:
        yield f"    on {each.event}"
    values = ", ".join(f"{name} = {value}" for name, value in each.values.items())
    for label, text in (
        ("why", each.meaning), ("rule", each.expression), ("it saw", values), ("note", each.note), ("to change", each.change),
    ):  # fmt: skip
        if text:
            yield from textwrap.wrap(f"{label}: {text}", _WIDTH, initial_indent="    ", subsequent_indent="      ")


def _wait(wait: Wait) -> Iterator[str]:
    where = f"{wait.journey} version {wait.version}, in {wait.state or 'no state'}"
    yield f"  {where}{f' at {wait.step} ({wait.verb})' if wait.step else ''}"
    if wait.parked:
        yield f"    it stands parked: {wait.parked}"
    if wait.is_held_out:
        yield "    the customer is in a control group: the journey is walked silently"
    yield from textwrap.wrap(f"goes on with: {wait.change}", _WIDTH, initial_indent="    ", subsequent_indent="      ")
    if wait.exits:
        yield from textwrap.wrap(f"ends with: {', '.join(wait.exits)}", _WIDTH, initial_indent="    ", subsequent_indent="      ")

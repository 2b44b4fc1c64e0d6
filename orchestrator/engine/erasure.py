"""Erasing a customer: `privacy.erasure_requested` (rule F1, ruling A05).

Nothing is kept: the document becomes a tombstone in the changelog, and so do the aliases of ids that were merged into it. A
request under such an id erases the person. Held sends are cancelled, emitted ones that nobody answered are asked to be. Later
events start clean; a repeat of the request is one of them, since nothing is left to know it by, and erases again.

The receipt is the detail of the first `erased` decision: the record that asked, what went, where from, and which topics hold what
was written to them before until their retention lets go of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from orchestrator.engine import held, withdrawal
from orchestrator.engine.contact import OPEN
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import Topology

ERASED: Final = "erased"  # the reason of what an erasure cancels


def carry_out(turn: Turn) -> None:
    """Erase the customer, and leave a receipt in the decision log."""
    document = turn.document
    decisions = [
        Decision(Kind.ERASED, one.journey, one.version, uuid_text(one.id), one.key, one.state, one.step)
        for one in document.instances
    ] or [Decision(Kind.ERASED)]
    receipt = decisions[0].detail = _request(turn)
    turn.handling.decisions += decisions
    receipt["instances"] = str(len(document.instances))
    receipt["held_cancelled"], receipt["cancels_asked"] = (str(count) for count in _cancel(turn))
    turn.program.sends.addresses.erase(turn)
    receipt["other_ids"] = str(_forget_other_ids(turn))
    receipt |= turn.program.places
    document.clear()
    turn.forget_profile()


def places(topology: Topology) -> Mapping[str, str]:
    """Give what a receipt says of stores and topics."""
    streams = topology.streams
    written = {streams.transitions, streams.incidents, streams.exports, streams.audit}
    written |= {*(channel.topic for channel in topology.policy.channels.values())}
    return {
        "erased_from": f"{streams.changelog} (tombstone), the local store of the partition",
        "left_to_retention": ", ".join(sorted(written.union(streams.sources))),
    }


def _request(turn: Turn) -> dict[str, str]:
    record = turn.record
    if record is None:
        return {}
    asked = {"record": f"{record.topic}/{record.partition}/{record.offset}"}
    if record.payload.get("request_id"):
        asked["request_id"] = str(record.payload["request_id"])
    return asked


def _cancel(turn: Turn) -> tuple[int, int]:
    """Cancel what is held, ask to cancel what is on its way; give how many of each."""
    contact = turn.contact
    if contact is None:
        return 0, 0
    waiting = len(contact.held)
    on_their_way = [sent for sent in contact.sent if sent.status == OPEN and turn.now < sent.expires]
    for sent in on_their_way:
        withdrawal.ask_to_cancel(turn, sent, ERASED)
    held.cancel(turn, ERASED, lambda each: True)
    return waiting, len(on_their_way)


def _forget_other_ids(turn: Turn) -> int:
    """Forget the ids that were merged into this one; give how many there were."""
    merged = turn.document.merged
    names = merged.ids if merged is not None else []
    for name in names:
        alias = turn.neighbour(name)
        if alias is not None:
            alias.open().clear()
    return len(names)

"""Exporting a customer: `privacy.export_requested` (rule F2).

The answer is one document with all that is kept of the customer as the request is handled: what journeys then make of the same
event is not in it. Nothing changes. What stands in topics the engine cannot read; the document names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine.handling import Decision
from orchestrator.engine.outputs import Export
from orchestrator.engine.portrait import portrait
from orchestrator.engine.storing import encode
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn

PLACES: Final = "left_to_retention"


def carry_out(turn: Turn) -> None:
    """Give out what is kept of the customer, and note that it was."""
    record, document = turn.record, turn.document
    customer = turn.handling.customer
    stored = encode(document)
    merged = document.merged.ids if document.merged is not None else []
    asked = str(record.payload.get("request_id") or "") if record is not None else ""
    turn.handling.export = Export(
        asked,
        {
            "ids": [customer, *merged],
            "kept": {} if stored is None else {customer: portrait(stored, reveal=True)},
            "kept_in": turn.program.places["erased_from"],
            "more_in": turn.program.places[PLACES].split(", "),
        },
    )
    detail = {"record": f"{record.topic}/{record.partition}/{record.offset}"} if record is not None else {}
    turn.handling.decisions.append(Decision(Kind.EXPORTED, detail=detail | ({"request_id": asked} if asked else {})))

"""Which fields of an event a program reads: nothing else of it needs to be decoded."""

from __future__ import annotations

from orchestrator.language.model import Topology, expressions_in
from orchestrator.language.references import references
from orchestrator.names import CUSTOMER_ID, EVENT_ID


def event_fields(topology: Topology) -> frozenset[str]:
    """Give the fields that some expression names, whatever the type it is asked of; of the reserved ones `occurred_at` alone.

    Id and customer are read in any case.
    Expressions see what their text names and no more (`language.activation`), and none may name `event` as a whole.
    """
    named = [references(expr.source) for expr in expressions_in(topology)]
    paths = [path for each in named for path in (*each.paths, *(presence.path for presence in each.presences))]
    return frozenset(path.parts[0] for path in paths if path.root == "event").difference((EVENT_ID, CUSTOMER_ID))

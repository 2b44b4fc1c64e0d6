"""Which topic carries which event type, as streams.yaml says: the gate refuses by it, producers choose by it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.language.model import Streams
from orchestrator.names import ACTION_OUTCOME, OPERATION_REQUESTED


def carried_types(streams: Streams, known: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Give the event types that each topic may carry: those listed, all known ones where none is; outcomes carries outcomes.

    Operators have a topic of their own, so that Kafka's access rights tell who is one: no other carries what they ask for.
    """
    carried = {each.topic: frozenset(each.schemas) or known - {OPERATION_REQUESTED} for each in streams.events}
    carried[streams.operations] = frozenset({OPERATION_REQUESTED})
    carried[streams.outcomes] = carried.get(streams.outcomes, frozenset()) | {ACTION_OUTCOME}
    return carried


def topic_for(streams: Streams, event_type: str) -> str | None:
    """Give the topic that an event of this type goes to: one that lists it before one that takes all. None where none may."""
    if event_type == ACTION_OUTCOME:
        return streams.outcomes
    if event_type == OPERATION_REQUESTED:
        return streams.operations
    listing = [each.topic for each in streams.events if event_type in each.schemas]
    taking_all = [each.topic for each in streams.events if not each.schemas]
    return next(iter(listing + taking_all), None)

"""What a customer's document remembers of past events: when they were, to count them, and what they said, to look back.

Only types that some journey counts or looks back for are kept (`engine.keeping`), at most 100 of a type (rule G2).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from orchestrator import names
from orchestrator.engine.document import Document, Memory, Remembered
from orchestrator.engine.values import key_text, storable
from orchestrator.language.unknown import UNKNOWN
from orchestrator.names import Count

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.keeping import Keep
    from orchestrator.engine.record import Record
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk

MOST: Final = 100  # kept of one type; the oldest is forgotten first


def note(turn: Turn, record: Record, keep: Keep) -> None:
    """Remember the record at hand, before anything is decided about it."""
    memory = turn.document.memory
    if memory is None:
        memory = turn.document.memory = Memory()
    if keep.count_ms:
        times = memory.times.setdefault(record.type, [])
        insort(times, record.time)
        first = max(bisect_right(times, times[-1] - keep.count_ms), len(times) - MOST)
        if first > 0:
            memory.times[record.type] = times[first:]
    if keep.is_whole:
        memory.last += 1
        turn.number = memory.last
        payload = {name: storable(value) for name, value in record.payload.items() if value is not None}
        memory.events.append(Remembered(memory.last, record.type, record.time, payload, record.event_id, record.occurred_at))


def count_within(document: Document, event_type: str, now: int, span_ms: int) -> int:
    """Count the events of a type with time in (now - span, now] (rule G2)."""
    times = () if document.memory is None else document.memory.times.get(event_type, ())
    return bisect_right(times, now) - bisect_right(times, now - span_ms)


def mark(turn: Turn) -> int:
    """Give what an instance that enters now keeps as `since`: the last remembered event, and whether it is its entry's own."""
    memory = turn.document.memory
    return 0 if memory is None else 2 * memory.last + (turn.number > 0)


def look_back(walk: Walk, types: Mapping[str, Any], span_ms: int | None, *, include_entry: bool) -> Iterator[Remembered]:
    """Give the remembered events of these types that a wait beginning now may look back at, earliest first (rulings A42, A44).

    `span_ms` None reaches to the instance's entry: what was offered to it since. Never among them: the record at hand, which
    moved the instance here (rule W4), and, unless `include_entry`, the entry's own event (rule E5).
    """
    memory = walk.turn.document.memory
    if memory is None:
        return
    now, instance = walk.turn.now, walk.instance
    last_before, is_kept = divmod(instance.since, 2)
    for one in sorted(memory.events, key=lambda one: (one.time, one.number)):
        if one.type not in types:
            continue
        if is_kept and one.number == last_before:
            if include_entry and one.time <= now:
                yield one
            continue
        is_reached = one.number > last_before if span_ms is None else one.time >= now - span_ms
        if is_reached and one.time < now and one.number != walk.turn.number and _is_for(walk, one):
            yield one


def event_of(one: Remembered, customer: str) -> dict[str, Any]:
    """Give a remembered event as expressions see it."""
    event = {**one.payload, names.CUSTOMER_ID: customer}
    if one.event_id:
        event[names.EVENT_ID] = one.event_id
    if one.occurred_at:
        event[names.OCCURRED_AT] = one.occurred_at
    return event


def unite(ours: Document, theirs: Document) -> None:
    """Make one memory of those of two ids that are one person, in `ours`, before the instances are brought together.

    Events keep the order that they have on each side, the sides fall in by time. So an instance that looks back to its entry
    sees what the person has done since under either id, as far as it was remembered there.
    """
    if ours.memory is None and theirs.memory is None:
        return
    first, second = ours.memory or Memory(), theirs.memory or Memory()
    events = list(merge(first.events, second.events, key=lambda one: one.time))
    for document, own in ((ours, first.events), (theirs, second.events)):
        mine = {id(one) for one in own}
        for instance in document.instances:
            instance.since = _since_among(events, mine, instance)
    for number, one in enumerate(events, 1):
        one.number = number
    times = {
        name: sorted(first.times.get(name, []) + second.times.get(name, []))[-MOST:] for name in {**first.times, **second.times}
    }
    ours.memory = Memory(len(events), events, times)


def _since_among(events: list[Remembered], mine: set[int], instance: Instance) -> int:
    """Give an instance's `since` for the places, from 1, that the events are about to have."""
    last_before, is_kept = divmod(instance.since, 2)
    place, is_entry = 0, False
    for number, one in enumerate(events, 1):
        if id(one) in mine:
            if one.number > last_before:
                break
            place, is_entry = number, is_kept == 1 and one.number == last_before
        elif one.time <= instance.started and not is_entry:
            place = number
    return 2 * place + is_entry


def forget(turn: Turn) -> None:
    """Drop what no look-back can need any more, at the end of a handling."""
    memory = turn.document.memory
    if memory is None or not memory.events:
        return
    kept: list[Remembered] = []
    of_type: dict[str, int] = {}
    for one in reversed(memory.events):
        if not _is_needed(turn, one):
            continue
        of_type[one.type] = of_type.get(one.type, 0) + 1
        if of_type[one.type] > MOST:
            turn.count(Count.FORGOTTEN_EVENTS)
        else:
            kept.append(one)
    kept.reverse()
    memory.events = kept


def _is_needed(turn: Turn, one: Remembered) -> bool:
    keep = turn.program.keeps.get(one.type)
    if keep is None:
        return False
    if keep.span_ms and one.time >= turn.now - keep.span_ms:
        return True
    return any(_since(instance, one) for instance in turn.document.instances if instance.journey in keep.journeys)


def _since(instance: Instance, one: Remembered) -> bool:
    last_before, is_kept = divmod(instance.since, 2)
    return one.number > last_before or (is_kept == 1 and one.number == last_before)


def _is_for(walk: Walk, one: Remembered) -> bool:
    """Tell whether a remembered event was offered to the instance: its key, if any, agrees (rule W6)."""
    key = walk.journey.key
    if key is None:
        return True
    value = key.evaluate(walk.turn.scope({}, event_of(one, walk.turn.customer)))
    return value is UNKNOWN or (key_text(value) or "") in ("", walk.instance.key)

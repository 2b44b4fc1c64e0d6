"""What a handling may know beyond its own customer: others of the partition, notes that all share, which journeys are paused.

A note is stored like a customer's document, under the key U+0000 and its name: a format byte, `next_due` as 8 bytes big-endian,
then whatever its kind keeps. So it has a place in the changelog and, if it wants one, a timer. What stands before the first `:`
of its name is its kind.

The engine asks for both through its `Turn`, which remembers what it got: after the handling all of it is kept, after a failure
all of it is as before (rule A5). Whoever implements `Vicinity` keeps every customer and note that it gave with the same cycle as
the customer at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from orchestrator.engine import addresses, notes, rates

if TYPE_CHECKING:
    from orchestrator.engine.customer import Customer
    from orchestrator.engine.handling import Handling
    from orchestrator.engine.program import Program

# By journey: from when until when its timers stand still, ms UTC, earliest first; until 0 for as long as nobody resumes it.
Freezes = Mapping[str, Sequence[tuple[int, int]]]
NO_FREEZES: Final[Freezes] = {}
NOTE: Final = "\x00"  # begins the ids of notes, and so no customer's


class Vicinity(Protocol):
    """The rest of the partition, as its owner gives it. Blocks on disk at most; the same id gives the same object in a cycle."""

    paused: frozenset[str]  # ids of the journeys that are paused (rule V6)
    freezes: Freezes  # pauses in which timers stand still, those that are over included

    def customer(self, customer_id: str) -> Customer | None:
        """Give a customer of the same partition, one without any state included; None for one of another partition."""

    def note(self, name: str) -> Customer:
        """Give a note by its name, without U+0000; its `stored` is None where nothing was noted yet."""


class Alone:
    """The vicinity of an engine that knows nobody but the customer at hand, as in a test of one customer."""

    paused: frozenset[str] = frozenset()
    freezes: Freezes = NO_FREEZES

    def customer(self, customer_id: str) -> Customer | None:
        """Give None: whoever else there is, is elsewhere."""
        return None

    def note(self, name: str) -> Customer:
        """Refuse: nobody would keep it."""
        raise LookupError("this engine was called without a vicinity, so it has no notes: hand one to `handle` and `fire`")


ALONE: Final = Alone()

# What a note's timer does: (program, note, due in ms UTC, vicinity). It sets `note.stored`, whose next timer must be later.
NoteTimer = Callable[["Program", "Customer", int, Vicinity], "list[Handling]"]
NOTE_TIMERS: Final[Mapping[str, NoteTimer]] = {addresses.KIND: notes.forget, rates.KIND: notes.forget}


def frozen(freezes: Freezes, journey: str, since: int) -> Freezes:
    """Give the pauses with one more that begins."""
    return {**freezes, journey: (*freezes.get(journey, ()), (since, 0))}


def thawed(freezes: Freezes, journey: str, until: int) -> Freezes:
    """Give the pauses with the journey's last one over, if it lasts."""
    pauses = freezes.get(journey, ())
    if not pauses or pauses[-1][1]:
        return freezes
    since = pauses[-1][0]
    return {**freezes, journey: (*pauses[:-1], (since, max(until, since + 1)))}


def is_note(customer_id: str) -> bool:
    """Tell whether an id is a note's."""
    return customer_id.startswith(NOTE)


def kind_of(note_id: str) -> str:
    """Give the kind of a note."""
    return note_id.removeprefix(NOTE).partition(":")[0]

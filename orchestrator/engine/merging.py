"""Two ids turn out to be one person: `profile.merged {from, into}` (rules M1-M3; rulings A76-A78).

Everything that is known of `from` moves into `into`; what is left of `from` is an alias, a document that names `into`. Events for
`from` are handled for `into` from then on, along a chain of aliases where `into` was merged in its turn. Ids of instances and
actions stay what they were, everything is reported for the id that goes on.

A merge of ids that are one person already changes nothing and is counted, whichever of their names it uses; where `into` goes on
as `from` itself, it is a cycle, and an incident. `into` must be in the partition of `from`: else nothing is moved, and an
incident says so.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Final

from orchestrator.engine import freezing, held, union
from orchestrator.engine.document import Merged
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.vicinity import is_note
from orchestrator.names import Count, Kind, Reason

if TYPE_CHECKING:
    from orchestrator.engine.customer import Customer
    from orchestrator.engine.turn import Turn

ID_BYTES: Final = 1_024  # the longest customer id: no event's key is longer either
_UNUSABLE: Final = "profile.merged needs `from`, which is the record's customer, and `into`: two customer ids"
_ELSEWHERE: Final = (
    "`into` is in another partition: nothing was moved, both ids go on. Have the sources send the events of `from` under the id "
    "of `into` from now on, or merge into an id of the same partition"
)


def line_of(customer_id: object, find: Callable[[str], Customer | None]) -> list[Customer]:
    """Give a customer and, after it, each that it goes on as; the last is the one that does.

    Empty for what is no customer id, and for another partition's.
    """
    line: list[Customer] = []
    found = find(customer_id) if isinstance(customer_id, str) and is_id(customer_id) else None
    while found is not None:
        line.append(found)
        merged = found.open().merged
        if merged is None or not merged.into:
            return line
        found = find(merged.into)
    return []


def is_id(text: str) -> bool:
    """Tell whether this may be a customer's id."""
    return 0 < len(text.encode(errors="replace")) <= ID_BYTES and not is_note(text)


def carry_out(turn: Turn) -> None:
    """Move the turn's customer into another, and go on as that one."""
    given, into = turn.payload.get("from"), turn.payload.get("into")
    source = line_of(given, turn.neighbour)
    if not source or source[-1].id != turn.customer or not isinstance(into, str) or not is_id(into):
        turn.incident(Reason.UNUSABLE_EVENT, _UNUSABLE)
        return
    if given == into:
        turn.count(Count.MERGES_WITHOUT_EFFECT)
        return
    target = line_of(into, turn.neighbour)
    if not target:
        turn.incident(Reason.MERGE_ELSEWHERE, _ELSEWHERE)
    elif any(each.id == given for each in target):
        turn.incident(Reason.MERGE_CYCLE, "`into` was merged into `from` before: nothing was moved")
    elif target[-1].id == turn.customer:
        turn.count(Count.MERGES_WITHOUT_EFFECT)
    else:
        _move(turn, target[-1])


def _move(turn: Turn, target: Customer) -> None:
    theirs, name = copy(turn.document), turn.customer
    turn.document.clear()
    turn.document.merged = Merged(into=target.id)
    turn.become(target.id, target.open())
    if turn.vicinity.freezes:
        freezing.begin(turn)
    turn.handling.joined = name
    ended = union.unite(turn, theirs)
    _take_name(turn, name, theirs.merged)
    for instance in ended:
        turn.handling.decisions.append(
            Decision(
                Kind.MERGED, instance.journey, instance.version, uuid_text(instance.id), instance.key, instance.state,
                instance.step,
            )
        )  # fmt: skip
        turn.at_work = instance
        held.drop(turn, instance.id, Kind.MERGED)
    turn.at_work = None
    turn.count(Count.MERGES)


def _take_name(turn: Turn, name: str, theirs: Merged | None) -> None:
    """Note the ids that go on as this one."""
    ours = turn.document.merged
    ids = [*(ours.ids if ours is not None else ()), name, *(theirs.ids if theirs is not None else ())]
    turn.document.merged = Merged(ids=ids)

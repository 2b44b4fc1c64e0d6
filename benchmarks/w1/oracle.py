"""What W1's job must give, worked out in a dozen lines."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from benchmarks.w1.workload import EventRecord

REMEMBERED = 16
# (type of event, state) -> (next state, template)
MOVES = {
    ("signup.created", ""): ("not_activated", "welcome"),
    ("auth.login", "not_activated"): ("activated", "activated"),
    ("payment.failed", "activated"): ("payment_pending", "dunning"),
    ("payment.failed", "paid"): ("payment_pending", "dunning"),
    ("payment.succeeded", "payment_pending"): ("paid", "receipt"),
}
HEARD = frozenset(kind for kind, _ in MOVES)


class Sent(NamedTuple):
    """One action; `changes` counts the customer's changes of state, this one included; `at` in ms UTC."""

    customer: str
    template: str
    changes: int
    at: int


def expected(records: Iterable[EventRecord]) -> list[Sent]:
    """Do the job."""
    states: dict[str, tuple[str, int]] = {}
    ids: dict[str, deque[str]] = {}
    sent = []
    for record in records:
        if record.type not in HEARD:
            continue
        seen = ids.setdefault(record.customer, deque(maxlen=REMEMBERED))
        if record.id in seen:
            continue
        seen.append(record.id)
        state, changes = states.get(record.customer, ("", 0))
        move = MOVES.get((record.type, state))
        if move is not None:
            states[record.customer] = (move[0], changes + 1)
            sent.append(Sent(record.customer, move[1], changes + 1, record.at))
    return sent


def digest(sent: Iterable[Sent]) -> str:
    """Give a hash of the actions, in which each customer's order counts and that between customers does not."""
    lines = [f"{one.customer} {one.template} {one.changes} {one.at}\n" for one in sorted(sent, key=attrgetter("customer"))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

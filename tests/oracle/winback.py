"""What the shipped win-back journey must do with the CDNOW purchases, worked out from the rules alone.

Standard library only, and nothing of the package: two programs that share no code and agree are right or wrong by
coincidence only. The rule, in words: sixty days without another purchase give `miss-you`, thirty days more `last-offer`.
A purchase at the very instant of a deadline is in time (rule T3), so the message needs the next purchase to be strictly
later. Whatever waits is replaced by every purchase, also by one of the same day.

    purchases   P...............P.........................................
    deadlines   |--60d-->(too early: P came)
                                |--60d-->miss-you --30d--> last-offer
"""

from __future__ import annotations

import csv
import datetime
import itertools
import lzma
import uuid
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

DAY_MS = 24 * 60 * 60 * 1000
CSV_XZ = Path(__file__).parents[2] / "orchestrator" / "operate" / "demo" / "cdnow.csv.xz"

# In the order in which one instance sends them: the step's and the template's name, days since the purchase.
MESSAGES = (("miss-you", 60), ("last-offer", 90))

# The published recipe of the ids: uuid5 over names joined by U+001F; the visit of both states is the first.
IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:journey-orchestrator:ids")


class Purchase(NamedTuple):
    """One row: its number, whose it is, and midnight UTC of its day in ms."""

    row: int
    customer: str
    at: int


class ExpectedAction(NamedTuple):
    """One message, in the order of comparison: `at` is its logical time in ms UTC."""

    at: int
    customer: str
    template: str
    instance_id: str
    action_id: str


def read_purchases(path: Path = CSV_XZ) -> list[Purchase]:
    """Read the packed file, in its own order."""
    epoch = datetime.date(1970, 1, 1)
    with lzma.open(path, "rt", encoding="ascii", newline="") as file:
        return [
            Purchase(int(line[""]), line["customer_id"], (datetime.date.fromisoformat(line["date"]) - epoch).days * DAY_MS)
            for line in csv.DictReader(file)
        ]


def instance_of(purchase: Purchase) -> str:
    """The id of the instance that a purchase starts."""
    return str(uuid.uuid5(IDS, "\x1f".join(("winback", purchase.customer, "", f"p{purchase.row}"))))


def expected_actions(rows: Iterable[Purchase], until_ms: int) -> list[ExpectedAction]:
    """Give every message that is due at or before `until_ms`, by time, then number of the customer."""
    lives: dict[str, list[Purchase]] = defaultdict(list)
    for purchase in rows:
        lives[purchase.customer].append(purchase)
    actions = []
    for life in lives.values():
        life.sort(key=lambda purchase: (purchase.at, purchase.row))
        for purchase, following in itertools.zip_longest(life, life[1:]):
            for template, days in MESSAGES:
                due = purchase.at + days * DAY_MS
                if due <= until_ms and (following is None or following.at > due):
                    instance = instance_of(purchase)
                    action = str(uuid.uuid5(uuid.UUID(instance), f"{template}\x1f1"))
                    actions.append(ExpectedAction(due, purchase.customer, template, instance, action))
    return sorted(actions, key=lambda action: (action.at, int(action.customer), action.template))

"""Frequency caps: how many slots of a window are taken, and when one comes free (rules K1, K3, K4; rulings A60-A63).

An emitted send takes a slot from the instant at which it left. One that is held, for anything but a cap, has its slot the whole
time that it is held, because it may leave at any later instant; so no window can end up with more than its limit.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from orchestrator.engine.contact import Contact, Sent
from orchestrator.engine.customer_clock import instant
from orchestrator.engine.document import NEVER
from orchestrator.engine.local_time import local_day

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from orchestrator.engine.contact import Held
    from orchestrator.language.model import Cap

_DAY_MS: Final = 86_400_000


def covers(cap: Cap, channel: str, purpose: str) -> bool:
    """Tell whether a cap counts sends of a channel and purpose."""
    return (not cap.channels or channel in cap.channels) and (not cap.purposes or purpose in cap.purposes)


def is_over(cap: Cap, contact: Contact | None, now: int, zone: ZoneInfo) -> bool:
    """Tell whether one more send at `now` would be over the cap."""
    if contact is None or not (contact.sent or contact.held):
        return cap.limit < 1
    return len(_sent(cap, contact, now, zone)) + len(_held(cap, contact)) >= cap.limit


def frees_at(cap: Cap, contact: Contact | None, now: int, zone: ZoneInfo) -> int:
    """Give the instant at which a cap that is over has a slot, as far as is known now; NEVER for a limit of 0."""
    if cap.limit < 1 or contact is None:
        return NEVER
    if cap.window == "calendar":
        return _calendar(cap, now, zone)[1]
    ends = [sent.time + cap.per_ms for sent in _sent(cap, contact, now, zone)]
    ends += [max(held.look_at, now) + cap.per_ms for held in _held(cap, contact)]
    return sorted(ends)[len(ends) - cap.limit]


def window_end(cap: Cap, now: int, zone: ZoneInfo) -> int:
    """Give the instant from which a send that leaves at `now` no longer counts."""
    return now + cap.per_ms if cap.window == "rolling" else _calendar(cap, now, zone)[1]


def _sent(cap: Cap, contact: Contact, now: int, zone: ZoneInfo) -> list[Sent]:
    """Give the emitted sends from the beginning of the window of `now` on.

    A late record finds sends that left after its time. They all count: its own send may be held and leave among them.
    """
    opens = _calendar(cap, now, zone)[0] if cap.window == "calendar" else now - cap.per_ms + 1
    return [sent for sent in contact.sent if opens <= sent.time and covers(cap, sent.channel, sent.purpose)]


def _held(cap: Cap, contact: Contact) -> list[Held]:
    return [held for held in contact.held if held.has_slot and covers(cap, held.action.channel, held.action.purpose)]


def _calendar(cap: Cap, now: int, zone: ZoneInfo) -> tuple[int, int]:
    """Give the local day or ISO week of `now`, as instants of its first and its following midnight."""
    return _day_or_week(cap.per_ms == _DAY_MS, local_day(now, zone), zone)


@lru_cache(maxsize=4096)
def _day_or_week(is_day: bool, today: date, zone: ZoneInfo) -> tuple[int, int]:
    if is_day:
        return instant(today, 0, zone), instant(today + timedelta(days=1), 0, zone)
    monday = today - timedelta(days=today.weekday())
    return instant(monday, 0, zone), instant(monday + timedelta(days=7), 0, zone)

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


class CapRule:
    """One cap of the policy. `over` is what becomes of a send beyond it, "hold" or "skip", held for `max_hold_ms` at most."""

    __slots__ = (
        "_channels", "_is_daily", "_is_rolling", "_latest", "_limit", "_per_ms", "_purposes", "id", "max_hold_ms", "over",
    )  # fmt: skip

    def __init__(self, cap: Cap) -> None:
        self.id = cap.id
        self.over = cap.over
        self.max_hold_ms: int = cap.max_hold_ms
        self._limit = cap.limit
        self._per_ms: int = cap.per_ms
        self._channels = frozenset(cap.channels)
        self._purposes = frozenset(cap.purposes)
        self._is_rolling = cap.window == "rolling"
        self._is_daily = cap.per_ms == _DAY_MS
        self._latest: tuple[ZoneInfo | None, int, int] = (None, 0, 0)  # the day or week that was asked for last, and its zone

    def covers(self, channel: str, purpose: str) -> bool:
        """Tell whether it counts sends of a channel and purpose."""
        return (not self._channels or channel in self._channels) and (not self._purposes or purpose in self._purposes)

    def is_over(self, contact: Contact | None, now: int, zone: ZoneInfo) -> bool:
        """Tell whether one more send at `now` would be over the cap."""
        if contact is None or not (contact.sent or contact.held):
            return self._limit < 1
        return len(self._sent(contact, now, zone)) + len(self._held(contact)) >= self._limit

    def frees_at(self, contact: Contact | None, now: int, zone: ZoneInfo) -> int:
        """Give the instant at which a cap that is over has a slot, as far as is known now; NEVER for a limit of 0."""
        if self._limit < 1 or contact is None:
            return NEVER
        if not self._is_rolling:
            return self._calendar(now, zone)[1]
        ends = [sent.time + self._per_ms for sent in self._sent(contact, now, zone)]
        ends += [max(held.look_at, now) + self._per_ms for held in self._held(contact)]
        return sorted(ends)[len(ends) - self._limit]

    def window_end(self, now: int, zone: ZoneInfo) -> int:
        """Give the instant from which a send that leaves at `now` no longer counts."""
        return now + self._per_ms if self._is_rolling else self._calendar(now, zone)[1]

    def _sent(self, contact: Contact, now: int, zone: ZoneInfo) -> list[Sent]:
        """Give the emitted sends from the beginning of the window of `now` on.

        A late record finds sends that left after its time. They all count: its own send may be held and leave among them.
        """
        opens = now - self._per_ms + 1 if self._is_rolling else self._calendar(now, zone)[0]
        return [sent for sent in contact.sent if opens <= sent.time and self.covers(sent.channel, sent.purpose)]

    def _held(self, contact: Contact) -> list[Held]:
        return [held for held in contact.held if held.has_slot and self.covers(held.action.channel, held.action.purpose)]

    def _calendar(self, now: int, zone: ZoneInfo) -> tuple[int, int]:
        """Give the local day or ISO week of `now`, as instants of its first and its following midnight."""
        known, starts, ends = self._latest
        if known is not zone or not starts <= now < ends:
            starts, ends = _day_or_week(self._is_daily, local_day(now, zone), zone)
            self._latest = (zone, starts, ends)
        return starts, ends


@lru_cache(maxsize=4096)
def _day_or_week(is_day: bool, today: date, zone: ZoneInfo) -> tuple[int, int]:
    if is_day:
        return instant(today, 0, zone), instant(today + timedelta(days=1), 0, zone)
    monday = today - timedelta(days=today.weekday())
    return instant(monday, 0, zone), instant(monday + timedelta(days=7), 0, zone)

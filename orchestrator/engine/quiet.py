"""Quiet hours: when a channel is silent for a customer, and when that ends (rule Q1; rulings A64, A66)."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.engine.contact import QUIET_HOURS
from orchestrator.engine.customer_clock import instant, zone_of
from orchestrator.engine.local_time import local_day

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from orchestrator.engine.handling import Action
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import QuietHours


def quiet_until(turn: Turn, action: Action) -> int | None:
    """Give the instant at which a send may go, ms UTC; None where it may go now.

    A send at the very end of the quiet hours, whose timers have not fired yet, queues behind what is held for the channel, so
    that a customer's sends keep their order.
    """
    quiet = turn.program.sends.quiet.get(action.channel)
    if quiet is None or action.urgent:
        return None
    ends = ends_at(quiet, zone_of(turn), turn.now)
    if ends is not None:
        return ends
    contact = turn.contact
    if contact is not None and turn.record is not None:
        for held in contact.held:
            if held.reason == QUIET_HOURS and held.action.channel == action.channel and held.look_at <= turn.now:
                return turn.now
    return None


def ends_at(quiet: QuietHours, zone: ZoneInfo, now: int) -> int | None:
    """Give the end of the quiet hours that hold at `now`, None where none do."""
    for starts, ends in _around(quiet.start, quiet.end, local_day(now, zone), zone):
        if starts <= now < ends:
            return ends
    return None


@lru_cache(maxsize=4096)
def _around(start: int, end: int, today: date, zone: ZoneInfo) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give first and following instant of the quiet hours that began yesterday, and of those that begin today.

    Worked out for each local date on its own (ruling A64). `start` and `end` are minutes after midnight.
    """
    a_day = timedelta(days=1)
    yesterday, over_midnight = today - a_day, a_day if end < start else timedelta()
    return (
        (instant(yesterday, start, zone), instant(yesterday + over_midnight, end, zone)),
        (instant(today, start, zone), instant(today + over_midnight, end, zone)),
    )

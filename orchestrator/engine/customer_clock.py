"""The customer's own clock: their zone, and when their days begin (rule D3; rulings A04, A63)."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestrator.engine import local_time
from orchestrator.names import Count

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn


def zone_of(turn: Turn) -> ZoneInfo:
    """Give the profile's zone, else the policy's, else UTC. A value of the profile that is no zone is counted."""
    found = turn.profile.get("timezone")
    if found is not None:
        zone = local_time.zone_of(found) if isinstance(found, str) else None
        if zone is not None:
            return zone
        turn.count(Count.UNKNOWN_ZONES)
    return turn.program.zone


@lru_cache(maxsize=4096)
def instant(day: date, minute: int, zone: ZoneInfo) -> int:
    """Give when the zone's clocks show `minute` on `day` (rule D2), ms UTC; customers of a zone share the answer."""
    return local_time.instant(day, minute, zone)

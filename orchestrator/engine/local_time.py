"""Local time: when a zone's clocks show a time of day (rules D1-D3). Pure, but for the zone database, read once a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
MINUTES_A_DAY = 1_440


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """Give the zone of a name of the IANA database, None where it has none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a legal key; a directory of the database
        return None


def local_day(now_ms: int, zone: tzinfo) -> date:
    """Give the date that the zone's clocks show at `now_ms` (ms UTC)."""
    return _day_of(now_ms // 1000, zone)


# Zones are whole seconds away from UTC. Sends of one second share the answer; finding it takes 3 us.
@lru_cache(maxsize=16_384)
def _day_of(now_s: int, zone: tzinfo) -> date:
    return _moment(now_s * 1000).astimezone(zone).date()


def instant(day: date, minute: int, zone: tzinfo) -> int:
    """Give when the zone's clocks show `minute` (after midnight) on `day`, in ms UTC.

    A time that occurs twice is the first; one that does not exist is the first instant after the gap (rule D2).
    """
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    found = local.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        found = _end_of_gap(local)
    return (found - _EPOCH) // _MILLISECOND


def next_at(now_ms: int, minute: int, weekdays: frozenset[int], zone: tzinfo) -> int:
    """Give the next time strictly after `now_ms` that clocks show `minute` on one of the weekdays (0 is Monday), in ms UTC."""
    day = local_day(now_ms, zone) - timedelta(days=1)
    while True:
        if day.weekday() in weekdays:
            found = instant(day, minute, zone)
            if found > now_ms:
                return found
        day += timedelta(days=1)


def _moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def _end_of_gap(local: datetime) -> datetime:
    """Find the instant at which clocks jump over `local`. Before it the offset is that of fold 0, from it on that of fold 1."""
    zone = local.tzinfo
    before, after = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    naive = local.replace(tzinfo=UTC)
    low, high = naive - (after or timedelta()) - _SECOND, naive - (before or timedelta())
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high

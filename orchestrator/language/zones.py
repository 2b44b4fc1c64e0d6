"""Time zones written in a file (ruling A04): they must be in the IANA database."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from orchestrator.language import codes
from orchestrator.language.model import Place
from orchestrator.language.problems import Problems


def is_zone(name: str) -> bool:
    """Tell whether the IANA database has this zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a legal key; a directory of the database
        return False
    return True


def check_zone(name: str, place: Place, problems: Problems) -> None:
    """Report a zone that does not exist."""
    if not is_zone(name):
        message = f"there is no time zone {name!r} in the IANA database"
        problems.error(place, codes.UNKNOWN_TIMEZONE, message, word=name, known=known_zones())


@lru_cache(maxsize=1)
def known_zones() -> tuple[str, ...]:
    """Give all zones, for suggestions; this reads the database's folder once."""
    return tuple(sorted(available_timezones()))

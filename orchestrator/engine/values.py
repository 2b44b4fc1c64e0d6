"""What becomes of an expression's value when it is kept in a document or sent out in an action."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def duration_text(value: timedelta) -> str:
    """Give a duration as CEL writes it: seconds with at most six decimals, "90s", "0.25s"."""
    whole, micros = divmod(value // timedelta(microseconds=1), 1_000_000)
    return f"{whole}.{micros:06d}".rstrip("0") + "s" if micros else f"{whole}s"


def instant_text(value: datetime) -> str:
    """Give a timestamp as RFC 3339 in UTC, with a fraction only where there is one."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def storable(value: Any) -> Any:
    """Give the value in the types that a document gives back as they were; durations become text."""
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, dict):
        return {name: storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def sendable(value: Any) -> Any:
    """Give the value in the types of JSON: timestamps and durations as text, bytes as hexadecimal text."""
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(name): sendable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(item) for item in value]
    return value


def key_text(value: Any) -> str | None:
    """Give a journey key as text (ruling A36): "" for absent, None for a value that cannot be a key."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    return None


def marker_name(journey: str, key: str) -> str:
    """Give the name of the marker of a journey and key."""
    return f"{journey}\x1f{key}" if key else journey

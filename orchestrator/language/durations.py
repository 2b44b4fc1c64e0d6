"""Durations as authors write them (ruling A108): `90s`, `15m`, `36h`, `3d`, `2w`, or ISO 8601 such as `PT36H`."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.language.model import Milliseconds

UNIT_MS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
LONGEST_MS: Final = 100 * 366 * UNIT_MS["d"]  # a century; what is longer is a slip of the keyboard and would overflow a deadline

_ONE_UNIT = re.compile(r"([0-9]{1,12})([wdhms])", re.ASCII)
_ISO = re.compile(
    r"P(?:([0-9]{1,12})W)?(?:([0-9]{1,12})D)?(?:T(?=[0-9])(?:([0-9]{1,12})H)?(?:([0-9]{1,12})M)?(?:([0-9]{1,12})S)?)?", re.ASCII
)
_MONTHS_OR_YEARS = re.compile(r"P[^T]*[YM]")
_FORMS = "write a whole number and one unit, such as 90s, 15m, 36h, 3d or 2w, or ISO 8601 such as PT36H"


def parse_duration(text: str) -> Milliseconds:
    """Give the milliseconds of a duration. Raises ValueError, with a message for the author, for anything else."""
    total = _one_unit(text)
    if total is None:
        total = _iso(text)
    if total is None:
        raise ValueError(_why_not(text))
    if total > LONGEST_MS:
        raise ValueError(f"{text!r} is longer than 100 years")
    return total


def format_duration(ms: Milliseconds) -> str:
    """Give the shortest text of one unit that `parse_duration` reads back; below a second as `0.250s`, for people only."""
    for unit, size in UNIT_MS.items():
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms / 1000:.3f}s" if ms else "0s"


def _one_unit(text: str) -> Milliseconds | None:
    found = _ONE_UNIT.fullmatch(text)
    return int(found[1]) * UNIT_MS[found[2]] if found else None


def _iso(text: str) -> Milliseconds | None:
    found = _ISO.fullmatch(text)
    if not found or not any(found.groups()):
        return None
    return sum(int(count) * UNIT_MS[unit] for count, unit in zip(found.groups(), "wdhms", strict=True) if count)


def _why_not(text: str) -> str:
    bare = text.lstrip("+-")
    if bare != text:
        return f"a duration has no sign: {text!r}"
    if bare.isdecimal():
        return f"{text!r} has no unit: {_FORMS}"
    if _MONTHS_OR_YEARS.match(text):
        return f"months and years have no fixed length: {text!r}; write days or weeks"
    if re.search(r"[0-9][.,][0-9]", text):
        return f"a duration has no fraction: {text!r}; use a smaller unit"
    return f"{text!r} is not a duration: {_FORMS}"

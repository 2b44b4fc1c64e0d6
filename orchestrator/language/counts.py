"""Which events an expression counts: the type and the span of every `count_within`, known before anything runs (rule G2)."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.language.durations import parse_duration
from orchestrator.language.model import Milliseconds
from orchestrator.language.references import Call, references

NAME: Final = "count_within"
_CEL_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+")
_CEL_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)")
_UNITS: Final = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def counted(source: str) -> list[tuple[str, Milliseconds]]:
    """Give the event type and the span in ms of each call that says both in plain text."""
    calls = [call for call in references(source).calls if not call.is_method]
    return [found for call in calls if call.name == NAME and (found := what_is_counted(call, calls)) is not None]


def what_is_counted(call: Call, calls: list[Call]) -> tuple[str, Milliseconds] | None:
    """Give what one call counts, None where its arguments are not plain text; `calls` are all calls of the expression."""
    if len(call.literals) != 2 or not call.literals[0]:
        return None
    text = call.literals[1]
    try:
        if text is not None:
            return call.literals[0], parse_duration(text)
    except ValueError:
        return None
    inner = next((other for other in calls if other.start == call.offsets[1] and other.name == "duration"), None)
    text = inner.literals[0] if inner is not None and len(inner.literals) == 1 else None
    if text is None or not _CEL_DURATION.fullmatch(text):
        return None
    return call.literals[0], int(sum(float(number) * _UNITS[unit] for number, unit in _CEL_PART.findall(text)))

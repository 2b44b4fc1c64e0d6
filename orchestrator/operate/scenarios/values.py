"""Values in a scenario: YAML as JSON would have it, and times as offsets or instants."""

from __future__ import annotations

from typing import Any

from orchestrator.language import codes
from orchestrator.language.durations import parse_duration
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node, described
from orchestrator.wire.normalise import epoch_ms


def plain(node: Node) -> Any:
    """Give a YAML value as JSON would have it."""
    if isinstance(node.value, dict):
        return {name: plain(value) for name, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def read_time(node: Node, problems: Problems, start: int) -> int | None:
    """Read an offset from the start, such as 2d or 0s, or an instant with its zone."""
    if isinstance(node.value, dict | list | bool) or node.value is None:
        problems.error(node.place, codes.WRONG_TYPE, f"a time belongs here, such as 2d, not {described(node)}")
        return None
    try:
        return start + parse_duration(node.text)
    except ValueError as error:
        instant = epoch_ms(node.text)
        if instant is None:
            message = f"{error}; or an instant with a zone, such as 2026-01-05T00:00:00Z"
            problems.error(node.place, codes.BAD_DURATION, message)
        return instant

"""Decisions as they are shown and exported: the fields of Handling.avsc, whether they were read or come from the engine."""

from __future__ import annotations

from typing import Any

from orchestrator.engine.handling import Handling


def decisions(handling: Handling) -> list[dict[str, Any]]:
    """Give a handling's decisions as a reader of the log would see them; incidents stand among them as `incident`."""
    found = [{name: value or None for name, value in each.fields().items()} for each in handling.decisions]
    empty = dict.fromkeys(("journey", "state", "step", "reason", "outcome", "channel"))
    return found + [empty | {"kind": "incident", "reason": each.reason, "journey": each.journey} for each in handling.incidents]

"""Reads the win-back actions that the orchestrator wrote as JSON lines, as the oracle's own values."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from tests.oracle.winback import ExpectedAction


def read_actions(path: Path) -> list[ExpectedAction]:
    """Read `simulate --actions` or `demo --keep` output; what other journeys sent is left out."""
    with path.open(encoding="utf-8") as file:
        return [_action(line) for line in map(json.loads, file) if line["journey"] == "winback"]


def _action(line: dict[str, str]) -> ExpectedAction:
    at = round(datetime.datetime.fromisoformat(line["at"]).timestamp() * 1000)
    return ExpectedAction(at, line["customer"], line["template"], line["instance"], line["action_id"])

"""What to try after the demo: commands that work as they stand, as the user would type them from here."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

EVENTS_FILE: Final = "events.jsonl"
EXAMPLE_EVENTS: Final = "examples/first-days.jsonl"


def commands(program: str, topologies: Path, keep: Path | None, customer: str | None) -> list[tuple[str, str]]:
    """Give what to try next, as (what for, command line); `keep` is where the run's files are, `customer` one of them."""
    folder = short(topologies)
    sound = ("See that the journeys are sound; then change one and look again:", f"{program} validate {folder}")
    simulate = f"{program} simulate --topologies {folder}"
    if keep is None:
        example = short(_examples_of(topologies) / EXAMPLE_EVENTS)
        return [
            sound,
            ("A few events in virtual time, without a broker:", f"{simulate} --events {example} --until 2026-07-01T00:00:00Z"),
            ("All this again, with every event, decision and action kept:", f"{program} demo --keep demo-run"),
        ]
    kept = short(keep)
    return [
        sound,
        ("The same events in virtual time:", f"{simulate} --events {kept}/{EVENTS_FILE} --until 2025-08-01T00:00:00Z"),
        ("Every decision about one customer:", f"grep {customer or '1'} {kept}/decisions.jsonl"),
    ]


def _examples_of(topologies: Path) -> Path:
    from orchestrator import defaults

    return topologies if (topologies / EXAMPLE_EVENTS).is_file() else defaults.TOPOLOGIES


def program_name() -> str:
    """Give what a user types to call this program, as short as it works from the current directory."""
    called = Path(sys.argv[0])
    if called.name != "orchestrator":
        return f"{short(Path(sys.executable))} -m orchestrator"
    found = shutil.which("orchestrator")
    if found is not None and Path(found).resolve() == called.resolve():
        return "orchestrator"
    return short(called)


def short(path: Path) -> str:
    """Give a path relative to the current directory where it lies below it, else in full."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative

"""The same history gives the same bytes, in this version as in the one that recorded it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.engine.engine import SEMANTICS
from tests.histories.recording import FOLDER, run

HISTORIES = sorted(FOLDER.glob("*.json"))
ADVICE = "if that is meant: raise engine.SEMANTICS, tell it in CHANGELOG.md, and run python -m tests.histories"


def test_there_are_histories() -> None:
    assert len(HISTORIES) >= 6


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_t1_i3_a_history_replays_byte_for_byte(path: Path) -> None:
    history = json.loads(path.read_text("utf-8"))
    assert history["semantics"] == SEMANTICS, "recorded for other semantics: run python -m tests.histories"
    handlings, documents = run(history["files"], history["records"], history["until"])
    for number, (recorded, now) in enumerate(zip(history["handlings"], handlings, strict=False)):
        assert now == recorded, f"handling {number} of {path.name} differs; {ADVICE}"
    assert len(handlings) == len(history["handlings"])
    assert documents == history["documents"], f"a document of {path.name} differs; {ADVICE}"

"""The same history gives the same bytes, in this version as in the one that recorded it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.document import Document
from orchestrator.engine.engine import EARLIER_SEMANTICS, SEMANTICS
from orchestrator.engine.storing import decode
from tests.histories.recording import FOLDER, run

HISTORIES = sorted(FOLDER.glob("*.json"))
EARLIER = sorted((FOLDER / "earlier").glob("*.json"))
ADVICE = "if that is meant: raise engine.SEMANTICS, tell it in CHANGELOG.md, and run python -m tests.histories"


def test_there_are_histories() -> None:
    assert len(HISTORIES) >= 6
    assert {_read(path)["semantics"] for path in EARLIER} == set(EARLIER_SEMANTICS)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_t1_i3_a_history_replays_byte_for_byte(path: Path) -> None:
    history = _read(path)
    assert history["semantics"] == SEMANTICS, "recorded for other semantics: run python -m tests.histories"
    documents = _replayed(path, history, SEMANTICS)
    assert documents == history["documents"], f"a document of {path.name} differs; {ADVICE}"


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.stem)
def test_t1_i3_an_earlier_releases_history_replays_handling_by_handling_and_says_the_same_of_everybody(path: Path) -> None:
    """Documents have fields by now that were not there then: they are compared by what both know."""
    history = _read(path)
    documents = _replayed(path, history, history["semantics"])
    assert {name: _known_then(text) for name, text in documents.items()} == {
        name: _known_then(text) for name, text in history["documents"].items()
    }


def _replayed(path: Path, history: dict[str, Any], semantics: int) -> dict[str, str]:
    handlings, documents = run(history["files"], history["records"], history["until"], semantics)
    for number, (recorded, now) in enumerate(zip(history["handlings"], handlings, strict=False)):
        assert now == recorded, f"handling {number} of {path.name} differs; {ADVICE}"
    assert len(handlings) == len(history["handlings"])
    return documents


def _known_then(text: str) -> Document:
    document = decode(bytes.fromhex(text))
    for instance in document.instances:
        instance.arrived, instance.stood = 0, -1
    return document


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found

"""The advice for a program of the journal that is not at hand: a published one comes from no folder."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.engine.engine import EARLIER_SEMANTICS, SEMANTICS
from orchestrator.errors import ProgramUnknown
from orchestrator.operate.replay import programs as room
from orchestrator.operate.replay.programs import Programs
from orchestrator.wire.gate import DEFAULT_LIMITS
from orchestrator.wire.programs import ProgramBoard, Revision, encode_revision
from tests.contract.stage import SHIPPED


def refused(name: str, monkeypatch: pytest.MonkeyPatch, published: Mapping[int, str] | None = None) -> ProgramUnknown:
    board = ProgramBoard("journeys")
    for number, digest in (published or {}).items():
        board.read([encode_revision(Revision("journeys", number, digest, ()))])
    monkeypatch.setattr(room, "read_board", lambda *_: board)
    monkeypatch.setattr(room, "program_of", lambda *_: None)
    with pytest.raises(ProgramUnknown) as caught:
        Programs([SHIPPED], None, DEFAULT_LIMITS, conf={}).named(name, "here")
    return caught.value


def test_r1_a_folders_program_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--earlier" in (refused("0123456789abcdef-1", monkeypatch).next_step or "")


def test_r1_a_published_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    advice = refused("0123456789abcdef-1@7", monkeypatch).next_step or ""
    assert "--earlier" not in advice
    assert "revision 7" in advice
    assert "journeys.definitions" in advice


def test_r1_one_of_other_semantics_needs_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"0123456789abcdef-{SEMANTICS + 1}@7"
    assert "another version" in (refused(name, monkeypatch, {7: "0123456789abcdef"}).next_step or "")


def test_r1_what_an_earlier_release_decided_is_replayed_by_its_semantics() -> None:
    at_hand = Programs([SHIPPED], None, DEFAULT_LIMITS)
    digest = at_hand.found[0].name.rpartition("-")[0]
    for semantics in EARLIER_SEMANTICS:
        program = at_hand.named(f"{digest}-{semantics}", "here")
        assert (program.name, program.engine.program.semantics) == (f"{digest}-{semantics}", semantics)
    with pytest.raises(ProgramUnknown):
        at_hand.named(f"{digest}-{SEMANTICS + 1}", "here")

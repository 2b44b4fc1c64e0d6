"""Published programs on the definitions topic: what is written is read again, for its own app only."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.errors import NotPublishable
from orchestrator.wire.ours import our_schema
from orchestrator.wire.programs import (
    Freeze,
    ProgramBoard,
    Revision,
    RevisionFile,
    digest_of,
    encode_file,
    encode_revision,
    freezes_of,
    program_name,
    revision_of,
    semantics_of,
    sha256_of,
)

FILE = RevisionFile("journeys/a.yaml", "journey", sha256_of(b"journey: a"))
FIRST = Revision("shop", 1, digest_of([FILE]), (FILE,), by="olga", reason="ticket 7", at=5)
SECOND = Revision("shop", 2, digest_of([FILE]), (FILE,), {"a": 3}, ("a", "b"))


def test_v4_every_revision_is_read_again_in_any_order() -> None:
    board = ProgramBoard("shop")
    board.read([encode_revision(SECOND), encode_file("shop", b"journey: a"), encode_revision(FIRST)])

    assert board.revisions == {1: FIRST, 2: SECOND} and board.latest == SECOND
    assert board.contents == {FILE.sha256: b"journey: a"}
    assert len({encode_revision(each)[0] for each in (FIRST, SECOND)}) == 2, "compaction keeps both"


def test_v6_only_where_timers_stood_still_does_a_revision_have_a_form_that_earlier_releases_cannot_read() -> None:
    freezes = (Freeze("a", 20), Freeze("b", 7, 9), Freeze("a", 5, 8))
    third = replace(SECOND, number=3, freezes=freezes)
    board = ProgramBoard("shop")
    board.read([encode_revision(SECOND), encode_revision(third)])
    assert board.revisions == {2: SECOND, 3: third}
    assert freezes_of(third) == {"a": ((5, 8), (20, 0)), "b": ((7, 9),)}
    before, now = our_schema("history/Revision-2").prefix, our_schema("Revision").prefix
    assert [encode_revision(each)[1][: len(now)] for each in (SECOND, third)] == [before, now]


def test_what_is_of_others_is_left_to_them() -> None:
    board = ProgramBoard("shop")
    board.read([encode_revision(Revision("other", 9, "d", ())), encode_file("other", b"x"), encode_file("shop/inner", b"y")])
    board.read([(b"partition/shop/3/stopped", b"?"), (b"source/shop/events", b"id"), (None, b""), (b"file/shop/0", None)])

    assert (board.latest, board.revisions, board.contents) == (None, {}, {})


def test_a_latest_revision_that_cannot_be_read_lets_no_earlier_one_run() -> None:
    board = ProgramBoard("shop")
    board.read([encode_revision(FIRST), (encode_revision(SECOND)[0], b"\xc3\x01 of a later version")])

    with pytest.raises(NotPublishable, match="revision 2 was written by another version"):
        _ = board.latest


def test_v4_a_programs_name_tells_its_revision_and_a_folders_has_none() -> None:
    assert program_name("0123", 1) == "0123-1" and revision_of("0123-1") == 0
    assert program_name("0123", 1, 7) == "0123-1@7" and revision_of("0123-1@7") == 7
    assert [semantics_of(each) for each in ("0123-2", "0123-3@7", "no-such", "")] == [2, 3, 0, 0]
    assert digest_of([FILE]) != digest_of([RevisionFile(FILE.name, "earlier", FILE.sha256)])

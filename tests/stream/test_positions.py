"""What a cycle leaves behind with its offsets and in the journal, read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.stream.positions import _read_metadata, metadata_of
from orchestrator.wire.journal import JournalRecord, Run, chain_of, decode_journal, encode_journal

LONG = st.integers(0, 2**62)
RUNS = st.builds(Run, topic=st.text(max_size=20), first=LONG, next=LONG, clock=LONG)
RECORDS = st.builds(
    JournalRecord,
    cycle=LONG,
    worker=st.text(max_size=20),
    program=st.text(max_size=20),
    partition=st.integers(0, 2**31 - 1),
    newest=LONG,
    runs=st.lists(RUNS, max_size=5),
    sources=st.dictionaries(st.text(max_size=20), LONG, max_size=3),
    decisions=st.integers(0, 2**31 - 1),
    actions=st.integers(0, 2**31 - 1),
    incidents=st.integers(0, 2**31 - 1),
    previous=st.integers(0, 2**32 - 1),
)


@given(LONG, st.integers(0, 2**32 - 1), LONG)
def test_an_offsets_metadata_comes_back(cycle: int, chain: int, newest: int) -> None:
    text = metadata_of(cycle, chain, newest)
    assert _read_metadata(text) == (cycle, chain, newest)
    assert len(text) < 4096  # the broker's offset.metadata.max.bytes


@pytest.mark.parametrize("text", [None, "", "7", "1 2", "1 2 3 4", "a b c", "{}"])
def test_metadata_of_another_program_counts_as_none(text: str | None) -> None:
    assert _read_metadata(text) == (0, 0, 0)


@given(RECORDS)
def test_i1_a_journal_record_comes_back_and_its_checksum_with_it(record: JournalRecord) -> None:
    value = encode_journal(record)
    again = decode_journal(value)
    assert again == record
    assert chain_of(encode_journal(again)) == chain_of(value)


@given(RECORDS, st.integers(0, 2**32 - 1))
def test_i1_the_checksum_covers_the_link_before_it(record: JournalRecord, other: int) -> None:
    value = encode_journal(record)
    changed = decode_journal(value)
    changed.previous = other
    assert (chain_of(encode_journal(changed)) == chain_of(value)) == (other == record.previous)


@pytest.mark.parametrize("value", [b"", b"\xc3\x01", b"\xc3\x0112345678", b"something else"])
def test_what_is_no_journal_record_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a journal record"):
        decode_journal(value)

"""The timer calendar against a sorted list: nothing lost, nothing taken twice, earliest first, whatever happens between."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.engine import NEVER
from orchestrator.stream import calendar as calendar_module
from orchestrator.stream.calendar import Calendar
from orchestrator.stream.store import FORMAT, Identity, PartitionStore, Position

Entry = tuple[int, bytes]

IDENTITY = Identity(FORMAT, "cluster", "app", 0)
ENTRIES = st.tuples(st.integers(0, 30), st.sampled_from([b"a", b"b", b"bb", b"c", b"d"]))
STEPS = st.one_of(
    st.tuples(st.just("take"), st.integers(0, 34), st.integers(1, 6)),
    st.tuples(st.just("commit"), st.lists(ENTRIES, max_size=6), st.lists(ENTRIES, max_size=2)),
    st.tuples(st.just("drop")),
    st.tuples(st.just("reopen")),
)


class Book:
    """A calendar over a real store, and beside it what must be in it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "0"
        self.entries: set[Entry] = set()  # what RocksDB holds
        self._open()

    def _open(self) -> None:
        self.store = PartitionStore(self._path, IDENTITY)
        self.calendar = Calendar(self.store)
        self.taken: list[Entry] = []

    @property
    def left(self) -> list[Entry]:
        """What may still be taken in this cycle, in order."""
        return sorted(self.entries - set(self.taken))

    def take(self, before: int, limit: int) -> None:
        wanted = [entry for entry in self.left if entry[0] < before]
        taken = self.calendar.take(before, limit)
        assert len(taken) <= limit
        assert taken == sorted(taken)
        assert all(due < before for due, _ in taken)
        fresh = []  # an entry deleted meanwhile may still come: a stale hint, which the document tells
        for entry in taken:
            if entry in self.left:
                fresh.append(entry)
                self.taken.append(entry)
        assert fresh == wanted[: len(fresh)], "one that was due earlier was passed over"
        if len(taken) < limit:
            assert fresh == wanted, "fewer than asked for, though more are due"

    def commit(self, armed: list[Entry], moved: list[Entry]) -> None:
        """What Partition.written does: delete what was taken or has moved, put what was armed."""
        gone = [*self.taken, *moved]
        position = Position(cycle=self.store.position.cycle + 1, timers_from=self.calendar.committed(armed))
        self.store.write({}, gone, armed, position)
        self.entries = (self.entries - set(gone)) | set(armed)
        self.taken = []

    def drop(self) -> None:
        self.calendar.rewind()
        self.taken = []

    def reopen(self) -> None:
        self.store.close()
        self._open()

    def check(self) -> None:
        left = self.left
        assert self.calendar.earliest <= (left[0][0] if left else NEVER)


@given(st.lists(STEPS, max_size=25), st.sampled_from([1, 2, 1000]))
@settings(max_examples=60, deadline=None)
def test_t6_nothing_is_lost_and_nothing_taken_twice(steps: list[tuple[Any, ...]], read_ahead: int) -> None:
    kept, calendar_module._BATCH = calendar_module._BATCH, read_ahead
    try:
        with tempfile.TemporaryDirectory() as folder:
            book = Book(Path(folder))
            for name, *arguments in steps:
                getattr(book, name)(*arguments)
                book.check()
            book.drop()
            while book.left:
                before = len(book.left)
                book.take(NEVER, 3)
                assert len(book.left) < before
            book.store.close()
    finally:
        calendar_module._BATCH = kept


def _book(tmp_path: Path, *entries: Entry) -> Book:
    book = Book(tmp_path)
    book.commit(list(entries), [])
    return book


def test_t8_a_limit_leaves_the_rest_for_the_next_turn(tmp_path: Path) -> None:
    book = _book(tmp_path, *((n, b"c") for n in range(2500)))
    turns = 0
    while book.left:
        book.take(5000, 500)
        turns += 1
    assert turns == 5
    assert book.calendar.take(5000, 500) == []
    book.store.close()


def test_t6_an_entry_armed_behind_the_cursor_comes_before_what_was_read_ahead(tmp_path: Path) -> None:
    book = _book(tmp_path, (10, b"a"), (20, b"b"), (30, b"c"))
    assert book.calendar.take(100, 1) == [(10, b"a")]
    book.taken.append((10, b"a"))
    book.commit([(15, b"a")], [])
    assert book.calendar.take(100, 2) == [(15, b"a"), (20, b"b")]
    book.store.close()


def test_t6_a_dropped_cycle_gives_back_what_it_took_also_from_behind_the_cursor(tmp_path: Path) -> None:
    book = _book(tmp_path, (10, b"a"), (20, b"b"))
    book.take(100, 1)
    book.commit([(5, b"a")], [])
    book.take(100, 5)
    assert book.left == []
    book.drop()
    assert book.calendar.take(100, 5) == [(5, b"a"), (20, b"b")]
    book.store.close()


def test_an_idle_calendar_knows_when_to_look_again(tmp_path: Path) -> None:
    book = _book(tmp_path, (10, b"a"), (50, b"b"))
    book.take(20, 5)
    assert book.calendar.earliest == 50
    book.commit([(30, b"a")], [])
    assert book.calendar.earliest == 30
    book.take(60, 5)
    assert book.calendar.earliest == NEVER
    book.store.close()


def test_the_low_watermark_never_passes_an_entry(tmp_path: Path) -> None:
    book = _book(tmp_path, (10, b"a"), (20, b"b"), (30, b"c"))
    book.take(25, 5)
    book.commit([(12, b"a")], [])
    assert book.store.position.timers_from <= 12
    book.reopen()
    assert book.calendar.take(100, 5) == [(12, b"a"), (30, b"c")]
    book.store.close()


def test_t6_a_dropped_cycle_gives_back_what_was_read_ahead_before_the_last_commit(tmp_path: Path) -> None:
    book = _book(tmp_path, (10, b"a"), (10, b"b"), (10, b"c"), (20, b"d"))
    book.take(100, 1)
    book.commit([], [])
    book.take(100, 2)
    book.drop()
    assert book.calendar.take(100, 9) == [(10, b"b"), (10, b"c"), (20, b"d")]
    book.store.close()


def test_t8_after_a_dropped_cycle_deleted_entries_of_the_same_instant_are_not_gone_through_again(tmp_path: Path) -> None:
    book = _book(tmp_path, *((10, b"%04d" % n) for n in range(50)))
    book.take(100, 40)
    book.commit([], [])
    book.drop()
    assert book.calendar._low == (10, b"0039")
    assert book.calendar.take(100, 9) == [(10, b"%04d" % n) for n in range(40, 49)]
    book.store.close()

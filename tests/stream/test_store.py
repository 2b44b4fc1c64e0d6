"""The partition's RocksDB: all or nothing, found again, and never believed where it is damaged or somebody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.document import NEVER
from orchestrator.engine.storing import HEAD
from orchestrator.errors import StoreDamaged, StoreUnusable
from orchestrator.stream import store as store_module
from orchestrator.stream.store import FORMAT, Identity, PartitionStore, Position, move_aside

MINE = Identity(FORMAT, "cluster", "app", 0)
CUSTOMERS = 3000


def _filled(path: Path) -> None:
    """A store whose entries fill many blocks of one SST file: documents first, timers last."""
    store = PartitionStore(path, MINE)
    documents = {b"c%05d" % n: os.urandom(100) for n in range(CUSTOMERS)}
    timers = [(n, b"c%05d" % n) for n in range(CUSTOMERS)]
    store.write(documents, (), timers, Position(cycle=3, chain=7, newest=9, sources={"t": 4}, changelog=5))
    store._db.flush()
    store.close()


def _sst(path: Path) -> Path:
    (found,) = path.glob("*.sst")
    return found


def _flip(path: Path, at: float) -> None:
    """Turn one byte of a file over, at this part of its length."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    path.write_bytes(content)


def test_a_cycle_is_found_again_after_reopening(tmp_path: Path) -> None:
    first = PartitionStore(tmp_path / "0", MINE)
    assert first.position == Position()
    first.write({b"a": b"1", b"b": b"2"}, (), [(5, b"a")], Position(cycle=1, sources={"t": 3}))
    first.write({b"b": None, b"c": b"3"}, [(5, b"a")], [(7, b"a"), (6, b"c")], Position(cycle=2, chain=8, sources={"t": 4}))
    first.close()

    again = PartitionStore(tmp_path / "0", MINE)
    assert (again.position.cycle, again.position.chain, again.position.sources) == (2, 8, {"t": 4})
    assert again.get_many([b"c", b"b", b"a"]) == [b"3", None, b"1"]
    assert again.due((0, b""), 100, 10) == [(6, b"c"), (7, b"a")]
    assert list(again.documents()) == [(b"a", b"1"), (b"c", b"3")]
    again.close()


def test_an_entry_that_is_deleted_and_put_in_one_cycle_stays(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "0", MINE)
    store.write({}, [(5, b"a")], [(5, b"a")], Position(cycle=1))
    assert store.due((0, b""), 6, 10) == [(5, b"a")]
    assert store.earliest_due(0) == 5
    assert store.earliest_due(6) is None
    store.close()


def test_due_begins_behind_an_entry_and_ends_before_an_instant(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "0", MINE)
    store.write({}, (), [(1, b"a"), (2, b"a"), (2, b"aa"), (2, b"b"), (3, b"a")], Position(cycle=1))
    assert store.due((2, b""), 3, 10) == [(2, b"a"), (2, b"aa"), (2, b"b")]
    assert store.due((2, b"a"), 3, 10) == [(2, b"aa"), (2, b"b")]
    assert store.due((2, b"b"), 4, 10) == [(3, b"a")]
    assert store.due((0, b""), 9, 2) == [(1, b"a"), (2, b"a")]
    store.close()


def test_i3_a_killed_process_leaves_whole_cycles(tmp_path: Path) -> None:
    """Copied while it is open, as a crash would leave it; the end of the log of writes is torn off byte by byte."""
    store = PartitionStore(tmp_path / "0", MINE)
    for cycle in range(1, 6):
        store.write({b"c": b"%d" % cycle}, [(cycle - 1, b"c")], [(cycle, b"c")], Position(cycle=cycle))
    seen = set()
    (wal,) = (tmp_path / "0").glob("*.log")
    size = wal.stat().st_size
    for kept in range(0, size + 1, 7):
        copy = tmp_path / f"copy-{kept}"
        shutil.copytree(tmp_path / "0", copy)
        with (copy / wal.name).open("r+b") as file:
            file.truncate(kept)
        torn = PartitionStore(copy, MINE)
        cycle = torn.position.cycle
        seen.add(cycle)
        assert torn.get_many([b"c"]) == [b"%d" % cycle if cycle else None]
        assert torn.due((0, b""), 100, 10) == ([(cycle, b"c")] if cycle else [])
        torn.close()
        shutil.rmtree(copy)
    store.close()
    assert {0, 1, 3, 4} <= seen


@pytest.mark.parametrize(
    "other",
    [
        Identity(FORMAT + 1, "cluster", "app", 0),
        Identity(FORMAT, "another", "app", 0),
        Identity(FORMAT, "cluster", "another", 0),
        Identity(FORMAT, "cluster", "app", 1),
    ],
    ids=["format", "cluster", "app", "partition"],
)
def test_a_store_of_somebody_else_is_refused_and_let_go(tmp_path: Path, other: Identity) -> None:
    _filled(tmp_path / "0")
    with pytest.raises(StoreDamaged, match="belongs to another"):
        PartitionStore(tmp_path / "0", other)
    mine = PartitionStore(tmp_path / "0", MINE)
    assert mine.position.cycle == 3
    mine.close()


def _truncate_manifest(path: Path) -> None:
    (manifest,) = path.glob("MANIFEST-*")
    with manifest.open("r+b") as file:
        file.truncate(10)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "the SST file is gone": lambda path: _sst(path).unlink(),
    "CURRENT is garbage": lambda path: (path / "CURRENT").write_bytes(b"garbage"),
    "the manifest is gone": lambda path: next(path.glob("MANIFEST-*")).unlink(),
    "the manifest is cut off": _truncate_manifest,
    "the end of the SST file is flipped": lambda path: _flip(_sst(path), 0.999),
    "the directory is gone": shutil.rmtree,
    "the directory is a file": lambda path: (shutil.rmtree(path), path.write_text("?"))[0],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_t6_a_damaged_directory_is_refused_or_empty_and_can_be_replaced(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "0"
    _filled(path)
    damage(path)
    try:
        store = PartitionStore(path, MINE)
    except StoreDamaged as error:
        assert str(path) in str(error)
        assert move_aside(path).exists()
        store = PartitionStore(path, MINE)
    # An empty store has no position, so that everything is restored into it.
    assert store.position == Position()
    assert store.get_many([b"c00001"]) == [None]
    assert store.earliest_due(0) is None
    store.close()


READS: dict[str, tuple[float, Callable[[PartitionStore], object]]] = {
    "documents": (0.05, lambda store: store.get_many([b"c%05d" % n for n in range(CUSTOMERS)])),
    "due timers": (0.93, lambda store: store.due((0, b""), CUSTOMERS, CUSTOMERS)),
    "the earliest timer": (0.93, lambda store: [store.earliest_due(n) for n in range(CUSTOMERS)]),
}


@pytest.mark.parametrize(("at", "read"), READS.values(), ids=READS.keys())
def test_t6_damage_met_while_reading_is_told_and_remembered(
    tmp_path: Path, at: float, read: Callable[[PartitionStore], object]
) -> None:
    """RocksDB checks a block when it is read: the opening finds nothing, and a damaged iterator only seems to have ended."""
    path = tmp_path / "0"
    _filled(path)
    _flip(_sst(path), at)
    store = PartitionStore(path, MINE)
    with pytest.raises(StoreDamaged, match="cannot be read"):
        read(store)
    store.close()

    with pytest.raises(StoreDamaged, match="found damaged"):
        PartitionStore(path, MINE)
    move_aside(path)
    fresh = PartitionStore(path, MINE)
    assert fresh.position == Position()
    fresh.close()


def test_only_the_latest_store_moved_aside_is_kept(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        (tmp_path / "0").mkdir()
        (tmp_path / "0" / "file").write_bytes(content)
        moved = move_aside(tmp_path / "0")
    (kept,) = tmp_path.iterdir()
    assert kept == moved
    assert (kept / "file").read_bytes() == b"second"


def test_moving_aside_what_is_not_there_leaves_room_for_a_new_store(tmp_path: Path) -> None:
    move_aside(tmp_path / "0")
    PartitionStore(tmp_path / "0", MINE).close()


def test_a_store_whose_folder_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "partitions").write_text("a file where the folder should be")
    with pytest.raises(StoreDamaged) as caught:
        PartitionStore(tmp_path / "partitions" / "0", MINE)
    assert str(tmp_path) in str(caught.value)


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from orchestrator.errors import StoreUnusable
from orchestrator.stream.store import FORMAT, Identity, PartitionStore, Position
store = PartitionStore(Path(sys.argv[1]), Identity(FORMAT, "cluster", "app", 0))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    for cycle in range(1, 1000):
        store.write({b"c%d" % cycle: bytes(1000)}, (), (), Position(cycle=cycle))
except StoreUnusable as error:
    print(error)
    store.close()
    sys.exit(cycle)
"""


def test_i3_a_write_that_finds_no_room_is_refused_and_what_was_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "0"
    ended = subprocess.run([sys.executable, "-c", NO_ROOM, str(path)], capture_output=True, text=True, timeout=60, check=False)
    refused = ended.returncode
    assert 50 < refused < 110, ended.stderr
    assert "ORC-013" in ended.stdout
    assert "make room" in ended.stdout
    assert str(path) in ended.stdout
    store = PartitionStore(path, MINE)
    assert store.position.cycle == refused - 1
    assert len(dict(store.documents())) == refused - 1
    store.close()


def test_a_store_that_may_not_be_opened_is_not_taken_for_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Exception("IO error: No space left on device: While appending to file: /x/MANIFEST-000005")

    monkeypatch.setattr(store_module, "Rdict", refuse)
    with pytest.raises(StoreUnusable, match="No space left") as caught:
        PartitionStore(tmp_path / "0", MINE)
    assert "make room" in caught.value.next_step


def test_a_store_in_use_that_met_damage_can_be_replaced_while_the_error_is_at_hand(tmp_path: Path) -> None:
    """An iterator that lives on in a traceback would keep the directory locked."""
    path = tmp_path / "0"
    _filled(path)
    _flip(_sst(path), 0.93)
    store = PartitionStore(path, MINE)
    with pytest.raises(StoreDamaged) as caught:
        store.due((0, b""), CUSTOMERS, CUSTOMERS)
    store.close()
    move_aside(path)
    PartitionStore(path, MINE).close()
    assert caught.value.__traceback__ is not None


def test_t6_what_is_written_in_bulk_is_there_after(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "0", MINE)
    due = HEAD.pack(1, 77)
    with store.bulk():
        store.write_restored({b"a": due + b"1", b"b": HEAD.pack(1, NEVER)}, Position(changelog=2))
        store.write_restored({b"b": None, b"c": due + b"3"}, Position(changelog=4))
    assert list(store.documents()) == [(b"a", due + b"1"), (b"c", due + b"3")]
    assert store.due((0, b""), 100, 10) == [(77, b"a"), (77, b"c")]
    assert store.is_settled
    store.close()
    again = PartitionStore(tmp_path / "0", MINE)
    assert again.position.changelog == 4
    again.close()


def test_a_store_keeps_its_options_when_it_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        PartitionStore(tmp_path / "0", MINE).close()
    said = (tmp_path / "0" / "LOG").read_text(encoding="utf-8")
    assert "filter_policy: bloomfilter" in said

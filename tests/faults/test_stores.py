"""Rows 12 to 14 of the matrix: stores damaged in every way, foreign, exchanged, too old; a disk that is full.

Whatever was done to a store, opening it gives what the changelog says, and nothing in Kafka changes for it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from orchestrator.errors import StoreDamaged
from orchestrator.stream import changelog
from orchestrator.stream.store import FORMAT, Identity, PartitionStore
from tests.brokers import Broker
from tests.checker import check
from tests.contract.cdnow import some_purchases, wait_for_all
from tests.contract.stage import Stage, WorkerProcess
from tests.stream.bench import DAY, START
from tests.stream.test_restore import Log, document

CUSTOMERS = 400
ONE_IN = 64  # of the CDNOW customers


@pytest.fixture
def stage(kafka: Broker, tmp_path: Path) -> Iterator[Stage]:
    """A stage with one partition; so is that of each log below."""
    (tmp_path / "stage").mkdir()
    made = Stage(kafka, tmp_path / "stage", partitions=1)
    yield made
    made.close()


def _customers(first: int) -> dict[bytes, bytes | None]:
    return {b"c%05d" % n: document(f"c{n:05}", START + n) for n in range(first, first + CUSTOMERS)}


def _store_of(path: Path) -> Path:
    return path / "partitions" / "0"


@pytest.fixture(scope="module")
def log(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Some cycles, and the state as a crash leaves it: part in an SST file, part in RocksDB's own log. Beside it an old copy."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "stage").mkdir()
    made = Log(Stage(kafka, folder / "stage", partitions=1), folder / "open")
    made.cycle_with(_customers(0))
    store = made.open()
    store._db.flush()
    store.close()
    shutil.copytree(made.folder, folder / "older")
    for number in range(3):
        made.cycle_with({**_customers(100 * number), b"c%05d" % (100 * number): None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changelog, "_BATCH", 50)
        store = made.open()
    made.folder = folder / "state"
    shutil.copytree(folder / "open", made.folder)
    store.close()
    return made


def _truncate(path: Path, kept: float) -> None:
    size = path.stat().st_size
    assert size > 100
    os.truncate(path, int(size * kept))


def _flip(path: Path, *places: float) -> None:
    content = bytearray(path.read_bytes())
    assert len(content) > 100
    for at in places:
        content[int(len(content) * at)] ^= 0xFF
    path.write_bytes(content)


def _only(path: Path, pattern: str) -> Path:
    """The largest file of a kind."""
    return max(path.glob(pattern), key=lambda file: file.stat().st_size)


def _older_copy(path: Path) -> None:
    shutil.rmtree(path)
    shutil.copytree(path.parents[2] / "older" / "partitions" / "0", path)


def _of(identity: Identity) -> Callable[[Path], None]:
    """A sound store that is somebody else's, with a customer that never was."""

    def put_there(path: Path) -> None:
        shutil.rmtree(path)
        store = PartitionStore(path, identity)
        store.write({b"ghost": document("ghost", START)}, (), (), store.position)
        store.close()

    return put_there


DAMAGES: dict[str, Callable[[Path], None]] = {
    "WAL truncated": lambda path: _truncate(_only(path, "*.log"), 0.25),
    "WAL flipped in the middle": lambda path: _flip(_only(path, "*.log"), 0.4, 0.5, 0.6),
    "SST flipped, documents": lambda path: _flip(_only(path, "*.sst"), 0.2),
    "SST flipped, timers": lambda path: _flip(_only(path, "*.sst"), *(n / 100 for n in range(60, 96))),
    "SST flipped at its end": lambda path: _flip(_only(path, "*.sst"), 0.999),
    "SST missing": lambda path: _only(path, "*.sst").unlink(),
    "MANIFEST truncated": lambda path: _truncate(_only(path, "MANIFEST-*"), 0.1),
    "MANIFEST flipped": lambda path: _flip(_only(path, "MANIFEST-*"), 0.5),
    "MANIFEST missing": lambda path: _only(path, "MANIFEST-*").unlink(),
    "CURRENT garbage": lambda path: (path / "CURRENT").write_bytes(b"garbage"),
    "CURRENT empty": lambda path: (path / "CURRENT").write_bytes(b""),
    "directory deleted": shutil.rmtree,
    "all files deleted": lambda path: (shutil.rmtree(path), path.mkdir())[1],
    "older copy restored": _older_copy,
    "of another partition": _of(Identity(FORMAT, "cluster", "app", 7)),
    "of another app": _of(Identity(FORMAT, "cluster", "another", 0)),
    "of another cluster": _of(Identity(FORMAT, "another", "app", 0)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_t6_whatever_happened_to_a_store_it_is_opened_as_the_changelog_says(
    log: Log, damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(log.folder.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("stage", "open"))
    monkeypatch.setattr(log, "folder", tmp_path / "copy" / "state")
    damage(_store_of(log.folder))

    store = log.open()
    try:
        found = dict(store.documents())
    except StoreDamaged:  # a block that nobody had read yet, which a cycle of the worker may meet
        store.close()
        store = log.open()
        assert log.moved_aside
        found = dict(store.documents())
    assert found == log.documents
    log.assert_level(store)


def test_t6_directories_of_two_partitions_exchanged_are_both_rebuilt(kafka: Broker, tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    log = Log(Stage(kafka, tmp_path / "stage", partitions=2), tmp_path / "state")
    log.cycle_with({b"a": document("a", START)})
    log.open().close()
    log.open_partition(1).close()
    stores = log.folder / "partitions"
    for source, target in (("0", "x"), ("1", "0"), ("x", "1")):
        (stores / source).rename(stores / target)
    log.assert_level(log.open())
    other = log.open_partition(1)
    assert (dict(other.documents()), other.position.cycle) == ({}, 0)
    other.close()
    assert {path.name.partition(".bad-")[0] for path in stores.glob("*.bad-*")} == {"0", "1"}


def test_t6_a_store_below_the_changelogs_start_is_rebuilt_and_deleted_customers_stay_deleted(
    stage: Stage, tmp_path: Path
) -> None:
    """What follows the store's offset is gone, tombstones with it, as after a worker was away for longer than they are kept."""
    log = Log(stage, tmp_path / "state")
    log.cycle_with({b"gone": document("gone", START), b"stays": document("stays", START)})
    log.open().close()
    log.cycle_with({b"gone": None})
    log.cycle_with({b"stays": document("stays", START + DAY)})
    admin = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    end = TopicPartition(log.streams.changelog, 0, 5)  # two documents and a marker, the tombstone and its marker
    admin.delete_records([end])[end].result(30)
    log.assert_level(log.open())
    assert log.moved_aside
    assert b"gone" not in log.documents


def test_t6_a_restore_cut_off_is_no_reason_to_trust_what_it_wrote_for_longer(stage: Stage, tmp_path: Path) -> None:
    """A restore that goes on after a day may have missed tombstones: its age counts from its begin, not from its last batch."""
    log = Log(stage, tmp_path / "state")
    log.cycle_with(_customers(0))
    path = _store_of(log.folder)
    store = PartitionStore(path, Identity(FORMAT, "cluster", log.streams.app, 0))
    position = store.position
    position.changelog, position.written_at = 1, 1  # one batch, of a restore that began in 1970
    store.write_restored({b"ghost": document("ghost", START)}, position)
    assert store.position.written_at == 1
    store.close()
    log.assert_level(log.open())
    assert log.moved_aside


def test_t6_restores_in_bulk_and_batch_by_batch_give_the_same(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "_BULK_FROM", 1)
    monkeypatch.setattr(changelog, "_BATCH", 7)
    monkeypatch.setattr(log, "folder", tmp_path)
    log.assert_level(log.open())
    log.assert_level(log.open())
    assert not log.moved_aside


# A real worker


def _wait_for_log(stage: Stage, worker: WorkerProcess, event: str) -> None:
    stage.wait_until(event, lambda: f'"{event}"' in worker.log.read_text(encoding="utf-8"))


def _assert_exactly_once(stage: Stage, worker: WorkerProcess) -> None:
    assert worker.stop() == 0
    report = check(stage.broker.bootstrap, stage.topologies, state_dirs=[stage.state_of("w0")])
    assert not report.differences, report


def test_i3_t6_a_store_damaged_under_a_running_worker_is_rebuilt_while_it_works(stage: Stage) -> None:
    """Opening finds nothing: RocksDB checks a block when it is read. The next record of a customer in it does."""
    lines = some_purchases(ONE_IN)
    half = len(lines) // 2
    worker = stage.worker()
    stage.produce(lines[:half])
    stage.wait_until("the first half is handled", lambda: stage.handled_records() == half)
    assert worker.stop() == 0
    path = _store_of(stage.state_of("w0"))
    for _ in range(2):  # an opening turns RocksDB's own log into an SST file
        store = PartitionStore(path, _identity_of(path))
        store._db.flush()
        store.close()
    _flip(_only(path, "*.sst"), *(n / 100 for n in range(1, 60)))

    worker = stage.worker()
    _wait_for_log(stage, worker, "worker_ready")
    stage.produce(lines[half:])
    _wait_for_log(stage, worker, "store_rebuilt")
    wait_for_all(stage, len(lines))
    assert worker.exit_code is None
    assert '"store_damaged"' in worker.log.read_text(encoding="utf-8")
    _assert_exactly_once(stage, worker)


def _identity_of(path: Path) -> Identity:
    from rocksdict import Options, Rdict

    from orchestrator.stream.store import _Meta, msgspec

    database = Rdict(str(path), Options(raw_mode=True))
    meta = msgspec.msgpack.decode(database[b"m"], type=_Meta)
    database.close()
    return meta.identity


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    path = tmp_path / "small-disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only; tests/stream/test_store.py has a limit on files instead")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def _fill_up(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                for _ in itertools.count():
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def test_i3_t6_a_full_disk_stops_the_worker_and_loses_nothing(
    stage: Stage, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "state_of", lambda name: small_disk / name)
    lines = some_purchases(ONE_IN)
    half = len(lines) // 2
    worker = stage.worker()
    stage.produce(lines[:half])
    stage.wait_until("the first half is handled", lambda: stage.handled_records() == half)
    ballast = _fill_up(small_disk)
    stage.produce(lines[half:])
    _assert_stops_for_the_disk(worker)

    worker = stage.worker()
    _assert_stops_for_the_disk(worker)  # still full: nothing is moved aside, nothing begun
    assert not list(small_disk.glob("w0/partitions/*.bad-*"))

    ballast.unlink()
    for process in stage._workers:
        process.end()
    stage._workers.clear()
    worker = stage.worker()
    wait_for_all(stage, len(lines))
    assert '"store_rebuilt"' not in worker.log.read_text(encoding="utf-8")
    _assert_exactly_once(stage, worker)


def _assert_stops_for_the_disk(worker: WorkerProcess) -> None:
    assert worker.wait(60) == 4, worker.tail()
    said = worker.log.read_text(encoding="utf-8")
    assert "ORC-013" in said
    assert "No space left" in said
    assert "make room on the disk" in said
    assert "partitions/0" in said

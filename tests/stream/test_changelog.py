"""Restoring much: it goes on where it was killed, in bounded memory, and says how far it is."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.storing import FORMAT as DOCUMENT_FORMAT
from orchestrator.engine.storing import HEAD
from orchestrator.errors import Unreachable
from orchestrator.observe import metrics
from orchestrator.stream import changelog
from orchestrator.stream.changelog import Progress
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.failpoints import VARIABLE, Failpoint
from orchestrator.stream.restore import Restorer
from orchestrator.stream.store import FORMAT, Identity, PartitionStore
from tests.brokers import Broker
from tests.contract.stage import Stage
from tests.stream.bench import START
from tests.stream.test_restore import Log

DOCUMENTS = 8_000
BYTES = 50_000  # large ones, so that a few seconds make half a gigabyte
GROWTH_MB = 256

# Restores partition 0 in batches of 50, whose size in bytes is that of 5,000 common ones; tells how much memory that took.
CHILD = """
import json, sys, resource
from pathlib import Path
from orchestrator.stream import changelog
from orchestrator.stream.restore import Restorer, Source
changelog._BULK_FROM, changelog._BATCH = 1, 50
def peak():
    return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1]) // 1024
restorer = Restorer(Source(**json.loads(sys.argv[1])), Path(sys.argv[2]), lambda: False)
before = peak()
from orchestrator.observe import metrics
store = restorer.open(0)
store.close()
restored = metrics.RESTORED_DOCUMENTS.labels(0)._value.get()
print(json.dumps({"grown_mb": peak() - before, "restored": restored}))
"""


@pytest.fixture(scope="module")
def log(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("large")
    (folder / "stage").mkdir()
    made = Log(Stage(kafka, folder / "stage", partitions=1), folder / "state")
    noise = random.Random(5).randbytes(BYTES)
    for first in range(0, DOCUMENTS, 400):
        made.cycle_with({b"c%05d" % n: _document(n, noise) for n in range(first, first + 400)})
    return made


def _document(number: int, noise: bytes) -> bytes:
    """An eighth of it is noise: it is small on its way here, and large in memory."""
    return HEAD.pack(DOCUMENT_FORMAT, START + number) + noise[: BYTES // 8] + bytes(BYTES * 7 // 8)


def _restore(log: Log, **environment: str) -> subprocess.CompletedProcess[str]:
    source: Mapping[str, Any] = {name: getattr(log.source, name) for name in log.source.__struct_fields__}
    return subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(source), str(log.folder)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=250,
        check=False,
    )


def _stored_position(log: Log) -> int:
    store = PartitionStore(log.folder / "partitions" / "0", Identity(FORMAT, "cluster", log.streams.app, 0))
    store.close()
    return store.position.changelog


def test_t6_a_killed_restore_goes_on_where_it_was_in_bounded_memory(log: Log) -> None:
    killed = _restore(log, **{VARIABLE: f"{Failpoint.RESTORE_BATCH_WRITTEN}:60=kill"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    reached = _stored_position(log)
    assert 10 * 50 < reached <= 61 * 50, "what was written to disk before the kill is kept, with its position"

    went_on = _restore(log)
    assert went_on.returncode == 0, went_on.stderr
    told = json.loads(went_on.stdout.splitlines()[-1])
    assert told["restored"] <= DOCUMENTS - reached * 0.98, "it began anew"
    size_mb = told["restored"] * BYTES / 1e6
    print(f"went on from {reached}; {size_mb:.0f} MB restored, memory grew by {told['grown_mb']} MB")
    assert size_mb > GROWTH_MB
    assert told["grown_mb"] < GROWTH_MB
    assert not log.moved_aside
    log.assert_level(log.open())


def test_t6_a_restore_called_off_keeps_every_batch(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "_BATCH", 10)
    monkeypatch.setattr(log, "folder", tmp_path)
    answers, counted = iter([False] * 30), metrics.RESTORED_DOCUMENTS.labels(0)._value
    before = counted.get()
    restorer = Restorer(log.source, tmp_path, lambda: next(answers, True))
    with pytest.raises(Interrupted):
        restorer.open(0)
    restorer.close()
    assert counted.get() > before
    assert _stored_position(log) >= counted.get() - before


def test_progress_says_how_far_it_is_and_how_long_it_takes_yet(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changelog.time, "monotonic", lambda: now[0])
        progress = Progress(55, start=1000, target=5000)
        assert metrics.RESTORE_REMAINING.labels(55)._value.get() == 4000
        now[0] += 4
        with caplog.at_level("INFO"):
            progress.moved_to(2000, 900)
    assert metrics.RESTORE_REMAINING.labels(55)._value.get() == 3000
    assert metrics.RESTORE_ETA.labels(55)._value.get() == 12.0
    assert metrics.RESTORED_DOCUMENTS.labels(55)._value.get() == 900
    (said,) = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    expected = {
        "partition": 55,
        "documents": 900,
        "documents_per_s": 225,
        "done_offsets": 1000,
        "of_offsets": 4000,
        "eta_s": 12.0,
    }
    assert {name: said[name] for name in expected} == expected


def test_an_end_that_never_comes_is_given_up_and_explained() -> None:
    now = [100.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changelog.time, "monotonic", lambda: now[0])
        progress = Progress(56, start=0, target=10)
        progress.moved_to(4, 4)
        now[0] += changelog.STABLE_END_TIMEOUT_S - 1
        progress.moved_to(4, 0)
        now[0] += 2
        with pytest.raises(Unreachable, match="4 of 10") as caught:
            progress.moved_to(4, 0)
    assert "find-hanging" in caught.value.next_step

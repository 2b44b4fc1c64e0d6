"""`orchestrator replay --mode rebuild` on a real Kafka: the state comes back from the events, and workers go on from it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]
from rocksdict import Options, Rdict

from orchestrator.operate.demo.cohort import cohort
from orchestrator.operate.replay import snapshot
from orchestrator.operate.sight.owners import group_of
from orchestrator.stream.failpoints import VARIABLE, Failpoint
from orchestrator.wire.acts import decode_operator_act
from orchestrator.wire.partitioning import partition_for
from tests import proc
from tests.brokers import Broker
from tests.contract.cdnow import some_purchases, wait_for_all
from tests.contract.stage import SHIPPED, Stage

SEED = 20261127
JOURNEYS = ("winback", "onboarding", "payment-recovery", "welcome-offer")
PARTITIONS = 4
WHY = ("--execute", "--reason", "the changelog was spoiled", "--by", "olga")


@pytest.fixture
def stage(kafka: Broker, tmp_path: Path) -> Iterator[Stage]:
    """A worker has handled half of the events, and has stopped; timers wait."""
    own = {"experiments.yaml": (SHIPPED / "experiments.yaml").read_text()}
    made = Stage(kafka, tmp_path, journeys=JOURNEYS, partitions=PARTITIONS, own=own)
    try:
        yield made
    finally:
        made.close()


def _run(stage: Stage, out: str, *more: str, **environment: str) -> tuple[int, Any, str]:
    """Run the command; give its status, its JSON and what it said."""
    done = subprocess.run(
        _command(stage, out, *more), capture_output=True, text=True, timeout=240, check=False, env=os.environ | environment
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def _command(stage: Stage, out: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "orchestrator", "replay", "--topologies", str(stage.topologies),
        "--bootstrap-server", stage.broker.bootstrap, "--out", str(stage.folder / out), "--json", *more,
    ]  # fmt: skip


def _rebuild(stage: Stage, *more: str, **environment: str) -> tuple[int, Any, str]:
    return _run(stage, "rebuilt", "--mode", "rebuild", *more, **environment)


def _spoil_changelog(stage: Stage, documents: Mapping[bytes, bytes]) -> dict[str, int]:
    """Lose some documents, change some, and put in some of nobody; gives how many of each."""
    names = sorted(documents)
    wrong: dict[bytes, bytes | None] = dict.fromkeys(names[0::7])
    wrong |= {name: documents[names[-1 - at]] for at, name in enumerate(names[1::7])}
    ghosts = {b"ghost-%d" % number: documents[names[number]] for number in range(9)}
    producer = Producer({"bootstrap.servers": stage.broker.bootstrap})
    for name, stored in (wrong | ghosts).items():
        producer.produce(stage.topology.streams.changelog, stored, name, partition_for(name, PARTITIONS))
    producer.flush(30)
    changed = sum(stored is not None and stored != documents[name] for name, stored in wrong.items())
    return {"added": sum(stored is None for stored in wrong.values()), "changed": changed, "removed": len(ghosts)}


def _spoil_stores(stage: Stage, documents: Mapping[bytes, bytes]) -> None:
    """Put a customer into a worker's store of whom the changelog never knew."""
    for path in (stage.state_of("w0") / "partitions").iterdir():
        database: Any = Rdict(str(path), Options(raw_mode=True))
        database[b"dghost-of-the-store"] = next(iter(documents.values()))
        database.close()


def _totals(told: Any) -> dict[str, int]:
    return {name: sum(each[name] for each in told["partitions"]) for name in ("added", "changed", "removed")}


def _sent(stage: Stage) -> list[tuple[str, int]]:
    return sorted((action["action_id"], action["attempt"]) for action in stage.actions())


@pytest.mark.long
def test_r2_state_is_rebuilt_however_often_it_is_killed_and_workers_go_on_from_it(stage: Stage) -> None:
    lines = [*some_purchases(80), *cohort(SEED, 50)]
    records = stage.produce(lines[: len(lines) // 2])
    worker = stage.worker()
    wait_for_all(stage, records)

    status, _, said = _rebuild(stage)
    assert (status, "ORC-004" in said, "active" in said) == (4, True, True), said

    assert worker.stop() == 0
    stage.wait_until("the group is empty", lambda: not _is_active(stage))
    documents, sent = stage.changelog_documents(), _sent(stage)
    assert len(documents) > 100
    assert sent
    spoiled = _spoil_changelog(stage, documents)
    _spoil_stores(stage, documents)

    before = len(stage.rows(stage.topology.streams.changelog))
    status, told, said = _rebuild(stage)
    assert (status, told["executed"], _totals(told)) == (0, False, spoiled), said
    assert len(stage.rows(stage.topology.streams.changelog)) == before

    for point in ("half_produced", "all_produced", "offsets_sent", "committed:2"):
        status, _, said = _rebuild(stage, *WHY, **{VARIABLE: point})
        assert status == -signal.SIGKILL, said
    status, told, said = _rebuild(stage, *WHY)
    assert (status, told["executed"]) == (0, True), said
    assert stage.changelog_documents() == documents
    assert _sent(stage) == sent
    _, told, _ = _rebuild(stage)
    assert _totals(told) == {"added": 0, "changed": 0, "removed": 0}

    acts = [decode_operator_act(row.value or b"") for row in stage.rows(stage.topology.streams.audit)]
    assert {(act.act, act.by, act.reason) for act in acts} == {("rebuilt", "olga", "the changelog was spoiled")}
    assert {act.subject for act in acts} == {f"partition {number}" for number in range(PARTITIONS)}

    worker = stage.worker()
    records += stage.produce(lines[len(lines) // 2 :])
    wait_for_all(stage, records)
    assert worker.stop() == 0
    stage.wait_until("the group is empty", lambda: not _is_active(stage))
    assert "rebuilt from events" in worker.log.read_text()
    assert stage.stored_documents("w0") == stage.changelog_documents()
    again = _sent(stage)
    assert len(again) == len(set(again)) > len(sent)
    status, told, said = _run(stage, "afterwards")
    assert (status, told["differences"]) == (0, {"added": 0, "missing": 0, "changed": 0}), said


def test_r2_a_worker_that_went_on_meanwhile_is_seen(stage: Stage) -> None:
    records = stage.produce(some_purchases(400))
    worker = stage.worker()
    wait_for_all(stage, records)
    assert worker.stop() == 0
    stage.wait_until("the group is empty", lambda: not _is_active(stage))
    assert _rebuild(stage)[0] == 0
    worker = stage.worker()
    wait_for_all(stage, records + stage.produce(cohort(SEED, 5)))
    assert worker.stop() == 0
    stage.wait_until("the group is empty", lambda: not _is_active(stage))
    documents = stage.changelog_documents()
    status, _, said = _rebuild(stage, *WHY)
    assert (status, "begin anew" in said) == (4, True), said
    assert stage.changelog_documents() == documents


def test_r2_a_worker_that_starts_before_the_commit_ends_it(stage: Stage) -> None:
    records = stage.produce(some_purchases(400))
    worker = stage.worker()
    wait_for_all(stage, records)
    assert worker.stop() == 0
    stage.wait_until("the group is empty", lambda: not _is_active(stage))
    documents = stage.changelog_documents()
    _spoil_changelog(stage, documents)
    spoiled = stage.changelog_documents()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "orchestrator", "replay", "--topologies", str(stage.topologies), "--bootstrap-server",
            stage.broker.bootstrap, "--out", str(stage.folder / "rebuilt"), "--mode", "rebuild", *WHY,
        ],
        stderr=subprocess.PIPE, text=True,
        env=os.environ | {VARIABLE: f"{Failpoint.HALF_PRODUCED}=stop"},
    )  # fmt: skip
    stage.wait_until("the rebuilding stands still", lambda: proc.state(process.pid) == "T")
    stage.worker()
    stage.wait_until("the group has a member", lambda: _is_active(stage))
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, "active" in said) == (4, True), said
    assert stage.changelog_documents() == spoiled


def test_r2_a_lost_changelog_comes_back_from_a_snapshot_and_the_events_behind_it(stage: Stage) -> None:
    lines = list(some_purchases(400))
    third, records = len(lines) // 3, 0
    for part in (lines[:third], lines[third : 2 * third]):
        worker = stage.worker()
        records += stage.produce(part)
        wait_for_all(stage, records)
        assert worker.stop() == 0
        stage.wait_until("the group is empty", lambda: not _is_active(stage))
        if not (stage.folder / "kept").exists():
            assert _run(stage, "night", "--snapshots", str(stage.folder / "kept"))[0] == 0
    documents = stage.changelog_documents()
    _forget_what_was_before(stage, stage.folder / "kept")
    _lose_changelog(stage)
    assert stage.changelog_documents() == {}

    status, _, said = _run(stage, "none", "--mode", "rebuild", *WHY)
    assert (status, "ORC-041" in said) == (4, True), said
    _kill_now_and_then(stage)
    status, told, said = _rebuild(stage, *WHY, "--snapshots", str(stage.folder / "kept"))
    assert (status, _totals(told)) == (0, {"added": len(documents), "changed": 0, "removed": 0}), said
    assert stage.changelog_documents() == documents

    worker = stage.worker()
    records += stage.produce(lines[2 * third :])
    wait_for_all(stage, records)
    assert worker.stop() == 0
    assert stage.stored_documents("w0") == stage.changelog_documents()
    sent = _sent(stage)
    assert len(sent) == len(set(sent))


def _kill_now_and_then(stage: Stage) -> None:
    """Plan, and be killed wherever the plan is by then: loading, following, holding against the changelog."""
    for tenths in range(6, 30, 5):
        process = subprocess.Popen(
            _command(stage, "rebuilt", "--mode", "rebuild", "--snapshots", str(stage.folder / "kept")),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(tenths / 10)
        process.kill()
        process.wait(30)


def _forget_what_was_before(stage: Stage, kept: Path) -> None:
    """Delete events and journal up to the snapshots."""
    journal, streams = stage.topology.streams.journal, stage.topology.streams
    ends = []
    for number in range(PARTITIONS):
        (latest, *others) = snapshot.kept(kept, journal, number)
        for each in (latest, *others):
            each.file.close()
        found = latest.snapshot
        ends.append(TopicPartition(journal, number, found.journal_next))
        ends += [TopicPartition(topic, number, found.reached.positions[topic]) for topic in streams.sources]
    admin: Any = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    for future in admin.delete_records(ends).values():
        future.result(30)


def _lose_changelog(stage: Stage) -> None:
    name = stage.topology.streams.changelog
    admin: Any = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    for future in admin.delete_topics([name]).values():
        future.result(30)
    stage.wait_until("it is gone", lambda: name not in admin.list_topics(timeout=10).topics)
    stage.broker.create_topic(name, PARTITIONS)


def _is_active(stage: Stage) -> bool:
    return bool(group_of({"bootstrap.servers": stage.broker.bootstrap}, stage.topology.streams.app).owners)


def test_r2_what_is_asked_wrongly_is_told() -> None:
    for wrong in (
        ("--execute",),
        ("--mode", "other"),
        ("--mode", "rebuild", "--by-duration", "1h"),
        ("--mode", "rebuild", "--to-topic", "shadow"),
        ("--mode", "rebuild", "--execute"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "replay", "--bootstrap-server", "127.0.0.1:9", *wrong,
             "--set", "connect_timeout_s=1"], capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, "ORC-001" in done.stderr) == (2, True), (wrong, done.stderr)

"""`orchestrator replay` over runs on a real Kafka: killed workers leave no difference, another program does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from orchestrator.operate.demo.cohort import cohort
from orchestrator.stream.failpoints import VARIABLE, Action, Failpoint
from tests.brokers import Broker
from tests.contract.cdnow import some_purchases, wait_for_all
from tests.contract.stage import SHIPPED, Stage

SEED = 20261126
ONE_IN = 80  # of the customers of CDNOW
JOURNEYS = ("winback", "onboarding", "payment-recovery", "welcome-offer")


@pytest.fixture(scope="module")
def tormented(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two workers share the partitions; one is killed, the other takes over; the first comes back and is killed again."""
    stage = Stage(
        kafka,
        tmp_path_factory.mktemp("replay"),
        journeys=JOURNEYS,
        own={"experiments.yaml": (SHIPPED / "experiments.yaml").read_text()},
    )
    try:
        records = stage.produce([*some_purchases(ONE_IN), *cohort(SEED, 50)]) + _produce_broken(stage)
        slow = {VARIABLE: f"{Failpoint.BLOCK_TAKEN}={Action.SLEEP}:8"}
        first, second = stage.worker("w1", **slow), stage.worker("w2", **slow)
        stage.wait_until("both have committed", lambda: {r.worker for r, _ in stage.journal()} >= {"w1", "w2"}, 120)
        first.kill()
        third = stage.worker("w1")
        time.sleep(1.5)
        third.kill()
        wait_for_all(stage, records)
        assert second.stop() == 0
        yield stage
    finally:
        stage.close()


def _produce_broken(stage: Stage) -> int:
    producer = Producer({"bootstrap.servers": stage.broker.bootstrap})
    for number in range(8):
        producer.produce(stage.events, b"not avro", f"broken{number}".encode(), partition=number % 4)
    producer.flush(30)
    return 8


def _command(stage: Stage, out: Path, *more: str) -> list[str]:
    topologies = () if "--topologies" in more else ("--topologies", str(stage.topologies))
    where = ("--bootstrap-server", stage.broker.bootstrap, "--out", str(out))
    return [sys.executable, "-m", "orchestrator", "replay", *topologies, *where, *more]


def _replay(stage: Stage, out: Path, *more: str) -> tuple[int, Any, str]:
    """Run the command; give its status, its JSON and what it said."""
    done = subprocess.run([*_command(stage, out, *more), "--json"], capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def _written(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.jsonl"))}


def _changed_topologies(stage: Stage, folder: Path, old: str, new: str) -> Path:
    path = shutil.copytree(stage.topologies, folder)
    winback = path / "journeys" / "winback.yaml"
    text = winback.read_text()
    assert old in text
    winback.write_text(text.replace(old, new))
    return path


def test_r1_the_replay_of_a_tormented_run_has_no_difference(tormented: Stage, tmp_path: Path) -> None:
    status, told, said = _replay(tormented, tmp_path / "out")
    assert (status, told["differences"]) == (0, {"added": 0, "missing": 0, "changed": 0}), said
    assert told["records"] == tormented.handled_records()
    assert told["compared"]["action"] == len(tormented.actions())
    assert told["compared"]["decisions"] == len(tormented.handlings())
    assert told["compared"]["incident"] == len(tormented.incidents()) >= 8
    lines = b"".join(text for name, text in _written(tmp_path / "out").items() if name.endswith("actions.jsonl")).splitlines()
    assert sorted(json.loads(line)["action_id"] for line in lines) == sorted(a["action_id"] for a in tormented.actions())


def test_r1_another_program_is_refused_and_if_wanted_differs_with_its_first_cause(tormented: Stage, tmp_path: Path) -> None:
    draft = str(_changed_topologies(tormented, tmp_path / "draft", "template: miss-you", "template: come-back"))
    status, _, said = _replay(tormented, tmp_path / "refused", "--topologies", draft)
    assert (status, "ORC-040" in said) == (4, True), said

    status, told, said = _replay(tormented, tmp_path / "out", "--topologies", draft, "--any-program")
    sent = [action for action in tormented.actions() if action["template"] == "miss-you"]
    assert status == 1, said
    assert len(sent) > 200
    assert told["differences"] == {"added": 0, "missing": 0, "changed": len(sent)}
    assert {each["customer"] for each in told["customers"]} == {action["customer"] for action in sent}
    for each in told["customers"]:
        first = each["first"]
        assert (first["what"], first["kind"], first["fields"]) == ("action", "changed", ["template"])
        assert (first["log"]["template"], first["replay"]["template"]) == ("miss-you", "come-back")


def test_r1_a_window_of_offsets_compares_the_cycles_that_handled_them(tormented: Stage, tmp_path: Path) -> None:
    window = ("--topic", f"{tormented.events}:1", "--from-offset", "20", "--to-offset", "21")
    status, told, said = _replay(tormented, tmp_path / "out", *window)
    assert status == 0, said
    cycles = [
        record
        for record, _ in tormented.journal()
        if record.partition == 1 and any(r.topic == tormented.events and r.first <= 20 < r.next for r in record.runs)
    ]
    assert told["cycles"] == len(cycles) == 1
    lines = (tmp_path / "out" / "partition-1" / "decisions.jsonl").read_bytes().splitlines()
    assert len(lines) == cycles[0].decisions > 0
    assert not (tmp_path / "out" / "partition-0").exists()


def test_r1_ctrl_c_and_the_same_command_again_give_what_one_run_gives(tormented: Stage, tmp_path: Path) -> None:
    draft = str(_changed_topologies(tormented, tmp_path / "draft", "60d", "30d"))
    more = ("--topologies", draft, "--any-program", "--jobs", "1")
    _, whole, _ = _replay(tormented, tmp_path / "whole", *more)
    _assert_buyers_waited_less_long(whole["customers"])
    out, interruptions = tmp_path / "parts", 0
    for _ in range(2):
        process = subprocess.Popen(_command(tormented, out, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seen, deadline = _size(out), time.monotonic() + 60
        while process.poll() is None and _size(out) == seen and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        interruptions += process.returncode == 130
        assert process.returncode != 130 or "goes on from here" in said
    status, told, said = _replay(tormented, out, *more)
    assert status == 1, said
    assert interruptions
    for figures in (whole, told):
        del figures["seconds"]
    assert told == whole
    assert _written(out) == _written(tmp_path / "whole")


def _assert_buyers_waited_less_long(customers: list[Any]) -> None:
    purchases = {line.customer for line in some_purchases(ONE_IN)}
    buyers = [each for each in customers if each["customer"] in purchases]
    assert {each["customer"] for each in buyers} == purchases
    for each in buyers:
        first = each["first"]
        assert (first["what"], first["cause"].split()[-1]) == ("decisions", "purchase.made")
        assert "delay_started" in {decision["kind"] for decision in first["replay"]["decisions"]}


def _size(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.jsonl"))


def test_r1_a_folder_with_other_work_is_left_alone(tormented: Stage, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    status, _, said = _replay(tormented, tmp_path)
    assert (status, "ORC-042" in said) == (4, True), said
    assert (tmp_path / "mine").read_text() == "precious"


def test_r1_what_a_replay_gives_goes_to_a_topic_of_its_own_once_though_interrupted(tormented: Stage, tmp_path: Path) -> None:
    topic = f"{tormented.topology.streams.app}-replayed"
    more = ("--to-topic", topic, "--jobs", "1")
    out = tmp_path / "out"
    process = subprocess.Popen(_command(tormented, out, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and not _size(out) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    status, told, said = _replay(tormented, out, *more)
    assert status == 0, said
    rows = tormented.rows(topic)
    assert len(rows) == sum(told["compared"].values())

    def meant(name: str) -> list[Any]:
        return [
            (row.partition, row.key, row.value)
            for row in rows
            if (name.encode()) == dict(row.headers)["orchestrator.replay.topic"]
        ]

    streams = tormented.topology.streams
    for name in (streams.transitions, streams.incidents, tormented.topology.policy.channels["email"].topic):
        assert meant(name) == [(row.partition, row.key, row.value) for row in tormented.rows(name)], name

    status, _, said = _replay(tormented, tmp_path / "other", *more)
    assert (status, "ORC-042" in said) == (4, True), said
    status, _, said = _replay(tormented, tmp_path / "own", "--to-topic", tormented.topology.streams.transitions)
    assert (status, "ORC-001" in said) == (2, True), said


@pytest.fixture
def in_two_parts(kafka: Broker, tmp_path: Path) -> Iterator[Stage]:
    """A worker had handled half of the events before the others came."""
    stage, lines, records = Stage(kafka, tmp_path / "stage"), list(some_purchases(ONE_IN)), 0
    try:
        worker = stage.worker()
        for part in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
            records += stage.produce(part)
            wait_for_all(stage, records)
        assert worker.stop() == 0
        yield stage
    finally:
        stage.close()


def test_r1_a_replay_begins_with_the_nearest_snapshot_and_gives_the_same(in_two_parts: Stage, tmp_path: Path) -> None:
    stage, kept = in_two_parts, ("--snapshots", str(tmp_path / "snapshots"))
    runs = [run for record, _ in stage.journal() if record.partition == 1 for run in record.runs if run.topic == stage.events]
    window = ("--topic", f"{stage.events}:1", "--from-offset", str(runs[-1].first))
    _, whole, _ = _replay(stage, tmp_path / "without", *window)
    status, told, said = _replay(stage, tmp_path / "first", *window, *kept)
    assert (status, told["cycles"]) == (0, whole["cycles"]), said
    status, again, said = _replay(stage, tmp_path / "second", *window, *kept)
    assert status == 0, said
    assert again["records"] < told["records"] == whole["records"]
    assert (again["cycles"], again["compared"]) == (told["cycles"], told["compared"])
    assert _written(tmp_path / "second") == _written(tmp_path / "without")

    draft = str(_changed_topologies(stage, tmp_path / "draft", "60d", "30d"))
    earlier = ("--topic", f"{stage.events}:1", "--from-offset", "0")
    _, from_start, _ = _replay(stage, tmp_path / "start", *earlier, *kept, "--topologies", draft, "--any-program")
    assert from_start["records"] == told["records"], "no snapshot is from before the window"

    (snapshot, *_) = sorted((tmp_path / "snapshots").rglob("*.snapshot"))
    assert snapshot.stat().st_mode & 0o077 == 0
    snapshot.write_bytes(b"damaged")
    status, _, said = _replay(stage, tmp_path / "third", *window, *kept)
    assert status == 0, said

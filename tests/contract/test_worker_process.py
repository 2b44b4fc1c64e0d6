"""The worker as whoever runs it sees it: exit statuses, what it says when it cannot work, and that it goes on when it can."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from orchestrator.kafka import admin
from orchestrator.names import Header, Reason
from orchestrator.operate.demo.events import EventLine
from orchestrator.wire.schemas import load_schemas
from tests.brokers import Broker, KafkaBroker, Row, fill
from tests.contract.cdnow import assert_as_the_oracle_says, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage, WorkerProcess

NOBODY = "127.0.0.1:1"


def _ready(stage: Stage, worker: Any) -> None:
    stage.wait_until("the worker is ready", lambda: "worker_ready" in worker.tail())


def _run_worker(*arguments: str, timeout_s: float = 90, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "worker", *arguments],
        capture_output=True, text=True, timeout=timeout_s, check=False, env=os.environ | environment,
    )  # fmt: skip


# What ends it before it begins


def test_a_broker_that_is_down_is_told_at_once_and_given_up_after_the_stated_time(tmp_path: Path) -> None:
    started = time.monotonic()
    done = _run_worker(
        "--bootstrap-server", NOBODY, "--state-dir", str(tmp_path / "s"), ORCHESTRATOR_CONNECT_TIMEOUT_S="3"
    )  # fmt: skip
    assert done.returncode == 3
    assert time.monotonic() - started < 45
    (told,) = (line for line in done.stderr.splitlines() if "trying for 3 s" in line)
    assert f"Kafka at {NOBODY} does not answer" in told
    assert "ORC-003" in done.stderr
    assert "next: start the broker" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_before_kafka_has_answered_ends_quietly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "worker", "--bootstrap-server", NOBODY, "--state-dir", str(tmp_path / "s")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "trying for" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert "ORC-" not in said


def test_topics_that_are_missing_are_named_with_what_makes_them(embedded: Broker, tmp_path: Path) -> None:
    streams = (Path(__file__).parents[2] / "topologies/streams.yaml").read_text().replace(" journeys.", " nowhere.")
    shutil.copytree(Path(__file__).parents[2] / "topologies", tmp_path / "topologies")
    (tmp_path / "topologies/streams.yaml").write_text(streams.replace("app: journeys ", "app: nowhere "))
    done = _run_worker(
        "--bootstrap-server", embedded.bootstrap, "--state-dir", str(tmp_path / "s"),
        "--topologies", str(tmp_path / "topologies"),
    )  # fmt: skip
    assert done.returncode == 4
    assert "ORC-005" in done.stderr
    assert "nowhere.incidents (0)" in done.stderr
    assert "orchestrator topics create" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_journeys_are_told_all_at_once_before_kafka_is_asked(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "topologies", tmp_path / "topologies")
    journey = tmp_path / "topologies/journeys/winback.yaml"
    journey.write_text(journey.read_text().replace("delay: 60d", "delay: soon").replace("go: lapsing", "go: lapsin"))
    done = _run_worker(
        "--bootstrap-server", NOBODY, "--state-dir", str(tmp_path / "s"), "--topologies", str(tmp_path / "topologies")
    )
    assert done.returncode == 1
    assert "soon" in done.stderr
    assert "lapsing" in done.stderr
    assert done.stderr.count("winback.yaml:") >= 2
    assert "Traceback" not in done.stderr


def test_one_state_directory_serves_one_worker(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=1)
    first = stage.worker("w0")
    _ready(stage, first)
    second = stage.worker("w0")
    assert second.wait(60) == 4
    assert "ORC-007" in second.tail()
    assert "--state-dir" in second.tail()
    assert first.exit_code is None
    second.log.write_text("")  # its end was meant
    stage._workers.remove(second)
    assert first.stop() == 0


# Stopping


def test_sigterm_ends_a_working_worker_with_0_within_30_s(stage_on: MakeStage) -> None:
    stage = stage_on(partitions=2)
    stage.produce(some_purchases(40))
    worker = stage.worker()
    stage.wait_until("something is handled", lambda: stage.handled_records() > 0)
    assert worker.stop(30) == 0
    assert "worker_stopped" in worker.tail()
    assert "Traceback" not in worker.tail()


# Being replaced, and brokers that go away


def test_a_second_worker_of_the_same_name_ends_the_first_with_orc_009(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    first = stage.worker("w0")
    _ready(stage, first)
    shutil.copytree(stage.state_of("w0"), stage.state_of("copy"), ignore=shutil.ignore_patterns("lock", "partitions"))
    second = stage.worker("copy", "--worker-id", "w0")
    stage._workers.remove(first)
    stage.produce(some_purchases(200))
    try:
        status = first.wait(120)  # it looks for as long as a dead member would be shown
    finally:
        first.end()
    said = first.tail()
    assert status == 1, said
    assert "ORC-009" in said
    stage.wait_until("the second has partitions", lambda: "worker_ready" in second.log.read_text())
    assert "fenced" not in second.log.read_text()


def test_t6_a_broker_killed_and_started_again_costs_nothing(kafka_alone: KafkaBroker, tmp_path: Path) -> None:
    stage = Stage(kafka_alone, tmp_path, partitions=2)
    records = stage.produce(some_purchases(20))
    worker = stage.worker()
    stage.wait_until("something is handled", lambda: stage.handled_records() > 0)
    kafka_alone.kill()
    kafka_alone.start()
    more = stage.produce([EventLine(1_000_000_000_000, "late", "account.closed", "x", {})])
    try:
        wait_for_all(stage, records + more)
        assert worker.exit_code is None
        assert_as_the_oracle_says(stage, 20)
        assert worker.stop() == 0
    except BaseException:
        print(stage.handled_records(), records, more, stage.timers_fired_before())
        for record, _ in stage.journal():
            print(record.partition, record.cycle, record.sources, [(r.topic[-6:], r.first, r.next, r.clock) for r in record.runs])
        raise
    finally:
        stage.close()


def test_t6_a_worker_fenced_by_itself_after_a_broker_was_away_joins_anew(kafka_alone: KafkaBroker, tmp_path: Path) -> None:
    """What librdkafka does to a static member by chance is done here on purpose: another member of its name comes and goes."""
    stage = Stage(kafka_alone, tmp_path, partitions=2)
    records = stage.produce(some_purchases(20))
    worker = stage.worker("w0")
    try:
        stage.wait_until("something is handled", lambda: stage.handled_records() > 0)
        kafka_alone.kill()
        kafka_alone.start()
        # The worker, itself joining again at that moment, may push the twin out instead: then comes another.
        assert any(_is_fenced_by_a_twin(stage, worker) for _ in range(4))
        more = stage.produce([EventLine(1_000_000_000_000, "late", "account.closed", "x", {})])
        wait_for_all(stage, records + more)
        assert_as_the_oracle_says(stage, 20)
        assert worker.stop() == 0
    finally:
        stage.close()


def _is_fenced_by_a_twin(stage: Stage, worker: WorkerProcess) -> bool:
    """Let another member of the worker's name come and go; tell whether the worker noticed. It must not come back meanwhile."""
    assigned: list[Any] = []
    twin = Consumer(
        {
            "bootstrap.servers": stage.broker.bootstrap, "group.id": stage.topology.streams.app, "group.instance.id": "w0",
            "session.timeout.ms": 6000,
        }
    )  # fmt: skip
    twin.subscribe([stage.events], on_assign=lambda _, parts: assigned.append(parts))
    try:
        _until(lambda: twin.poll(0.2) is not None or bool(assigned), 30)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            twin.poll(0.2)
            if '"fenced"' in worker.log.read_text():
                assert "joining_anew" not in worker.log.read_text()
                return True
        return False
    finally:
        twin.close()


def _until(is_true: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sigterm_ends_a_busy_worker_within_30_s_while_no_broker_answers(kafka_alone: KafkaBroker, tmp_path: Path) -> None:
    stage = Stage(kafka_alone, tmp_path, partitions=2)
    stage.produce(some_purchases())
    worker = stage.worker()
    try:
        stage.wait_until("something is handled", lambda: stage.handled_records() > 0)
        kafka_alone.kill()
        _until(lambda: "brokers_unreachable" in worker.log.read_text(), 20)
        assert worker.stop(30) == 0
        assert "Traceback" not in worker.log.read_text()
    finally:
        stage.close()


# Dead letters


def _cases(stage: Stage) -> dict[str, dict[str, Any]]:
    schema = load_schemas().get("purchase.made")
    assert schema is not None
    good = schema.encode("c1", "e1", 1, {"quantity": 1, "price": 9.5})
    now = int(time.time() * 1000)
    return {
        Reason.NOT_AVRO: {"value": b"{json}", "key": b"c1"},
        Reason.UNKNOWN_SCHEMA: {"value": b"\xc3\x01" + b"12345678" + b"body", "key": b"c1"},
        Reason.TRUNCATED: {"value": good[:-3], "key": b"c1"},
        Reason.TRAILING_BYTES: {"value": good + b"!", "key": b"c1"},
        Reason.NO_VALUE: {"value": None, "key": b"c1"},
        Reason.KEY_ABSENT: {"value": good, "key": None},
        Reason.KEY_MISMATCH: {"value": good, "key": b"c2"},
        Reason.TOO_LARGE: {"value": good + b"x" * 3000, "key": b"c1"},
        Reason.TIME_ABSURD: {"value": good, "key": b"c1", "timestamp": now + 30 * 60_000 * 24 * 4},
    }


@pytest.fixture
def lenient(stage_on: MakeStage) -> Iterator[Stage]:
    yield stage_on(partitions=1)


def test_b1_every_refusal_is_a_dead_letter_with_the_original_and_the_partition_goes_on(lenient: Stage) -> None:
    stage = lenient
    cases = _cases(stage)
    if stage.broker.kind == "kafka":
        # A broker refuses a record from the future, by default; the topic is told to take it.
        _let_future_records_in(stage)
    headers = [("traceparent", b"00-abc"), ("twice", b"1"), ("twice", b"2")]
    rows = [{"partition": 0, "headers": headers, "timestamp": 1_000, **case} for case in cases.values()]
    fill(stage.broker.bootstrap, stage.events, rows)
    stage.produce(some_purchases(400))
    worker = stage.worker("w0", "--set", "value_bytes=2000")
    total = len(cases) + len(some_purchases(400))
    stage.wait_until("everything is handled", lambda: stage.handled_records() == total)
    found = {dict(row.headers)[Header.INCIDENT_REASON].decode(): row for row in stage.incidents()}
    assert set(found) == set(cases)
    for offset, (reason, case) in enumerate(cases.items()):
        _assert_is_the_original(found[reason], case, headers, (stage.events, offset))
    assert worker.stop() == 0


def _let_future_records_in(stage: Stage) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

    entry = ConfigEntry("message.timestamp.after.max.ms", str(1 << 60), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, stage.events, incremental_configs=[entry])
    client = admin({"bootstrap.servers": stage.broker.bootstrap})
    client.incremental_alter_configs([resource])[resource].result(10)


def _assert_is_the_original(row: Row, case: dict[str, Any], headers: list[tuple[str, bytes]], source: tuple[str, int]) -> None:
    assert (row.key, row.value) == (case["key"], case["value"])
    assert row.headers[: len(headers)] == tuple(headers)
    found = dict(row.headers)
    topic, offset = source
    assert found[Header.ERROR_TOPIC] == topic.encode()
    assert found[Header.ERROR_PARTITION] == b"0"
    assert found[Header.ERROR_OFFSET] == str(offset).encode()
    assert found[Header.ERROR_EXCEPTION].startswith(b"orchestrator.")
    assert found[Header.ERROR_MESSAGE]
    assert row.partition == 0


# Faust's own command


def test_the_faust_command_runs_a_worker_and_sigterm_ends_it(embedded: Broker, tmp_path: Path) -> None:
    stage = Stage(embedded, tmp_path, partitions=2)
    records = stage.produce(some_purchases(200))
    log = tmp_path / "faust.log"
    environment = os.environ | {
        "ORCHESTRATOR_BOOTSTRAP_SERVER": embedded.bootstrap,
        "ORCHESTRATOR_TOPOLOGIES": str(stage.topologies),
        "ORCHESTRATOR_STATE_DIR": str(tmp_path / "faust-state"),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("faust")), "-A", "orchestrator.stream.app", "worker", "-l", "error"],
            stdout=out, stderr=out, env=environment,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while stage.handled_records() != records:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()

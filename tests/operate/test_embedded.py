"""The embedded broker: what the demo and the contract tests rely on, what it cannot do, and that it never stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from orchestrator.errors import RefusedByState, Unreachable
from orchestrator.operate import embedded as module
from orchestrator.operate.embedded import PARTITION_BYTES, EmbeddedBroker
from tests.brokers import fill, read_to_end, unique

COMMAND = [sys.executable, "-m", "orchestrator.operate.embedded"]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({"given": 12}) as running:
        yield running


def partitions(broker: EmbeddedBroker) -> dict[str, int]:
    topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=60).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def test_topics_have_exactly_the_partitions_that_were_asked_for(broker: EmbeddedBroker) -> None:
    name = unique("made")
    broker.create_topic(name, 7)

    found = partitions(broker)

    assert (found["given"], found[name]) == (12, 7)


def test_a_topic_that_exists_is_refused(broker: EmbeddedBroker) -> None:
    with pytest.raises(RefusedByState, match=r"made no topic given: .*already exists"):
        broker.create_topic("given", 3)


def test_a_topic_name_that_cannot_be_is_refused_and_the_broker_goes_on(broker: EmbeddedBroker) -> None:
    with pytest.raises(RefusedByState, match="is no topic"):
        broker.create_topic("none", 0)
    assert "given" in partitions(broker)


def test_it_keeps_200_000_records_over_twelve_partitions(broker: EmbeddedBroker) -> None:
    topic = unique("many")
    broker.create_topic(topic, 12)
    fill(broker.bootstrap, topic, ({"key": b"c%d" % (n % 20_000), "value": b"%0100d" % n} for n in range(200_000)))

    rows = read_to_end(broker.bootstrap, topic)

    assert sorted(int(row.value or b"") for row in rows) == list(range(200_000))


def test_it_drops_the_oldest_of_a_partition_over_its_limit(broker: EmbeddedBroker) -> None:
    topic = unique("full")
    broker.create_topic(topic, 1)
    size, count = 1_000, 2 * PARTITION_BYTES // 1_000
    fill(broker.bootstrap, topic, ({"value": os.urandom(size)} for _ in range(count)))

    rows = read_to_end(broker.bootstrap, topic)

    assert PARTITION_BYTES * 0.7 < len(rows) * size < PARTITION_BYTES
    assert rows[-1].offset == count - 1, "the newest are kept"


def test_admin_requests_it_does_not_know_are_refused_at_once(broker: EmbeddedBroker) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    with pytest.raises(KafkaException) as refused:
        admin.create_topics([NewTopic("by-admin", 3, 1)], request_timeout=30)["by-admin"].result(5)
    assert refused.value.args[0].code() == KafkaError._UNSUPPORTED_FEATURE


def test_what_the_docstring_says_it_does_not_do_it_does_not_do(broker: EmbeddedBroker) -> None:
    """Committed offsets of transactions, read_committed. When this fails, librdkafka has learnt it: change the docstring."""
    topic, group = unique("limits"), unique("group")
    broker.create_topic(topic, 1)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": unique("writer")})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 7, "cycle")], consumer.consumer_group_metadata(), 10)
    producer.commit_transaction(10)
    producer.begin_transaction()
    producer.produce(topic, b"aborted")
    producer.flush(10)
    producer.abort_transaction(10)

    (committed,) = consumer.committed([TopicPartition(topic, 0)], 10)
    consumer.close()

    assert committed.offset < 0
    assert [row.value for row in read_to_end(broker.bootstrap, topic)] == [b"committed", b"aborted"]


def test_commands_after_the_end_are_refused() -> None:
    broker = EmbeddedBroker().start()
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unreachable, match="ended"):
        for _ in range(100):
            broker.create_topic(unique("late"), 1)
    broker.stop()
    broker.stop()

    with pytest.raises(RefusedByState, match="not running"):
        broker.create_topic("late", 1)


def test_starting_twice_is_refused(broker: EmbeddedBroker) -> None:
    with pytest.raises(RefusedByState, match="already running"):
        broker.start()


def test_a_broker_that_does_not_come_up_says_how_to_find_out_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/bin/true")
    with pytest.raises(Unreachable, match=r"ended unexpectedly[\s\S]*orchestrator\.operate\.embedded"):
        EmbeddedBroker().start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_quietly_when_asked(number: signal.Signals) -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline().startswith("127.0.0.1:")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_when_its_standard_input_closes() -> None:
    done = subprocess.run(COMMAND, input="a:1\nb:x\n", capture_output=True, text=True, timeout=60, check=True)

    address, *answers = done.stdout.splitlines()
    assert address.startswith("127.0.0.1:")
    assert answers == ["ok", "'b:x' is no topic"]
    assert done.stderr == ""


@pytest.mark.parametrize("kind", ["file", "nothing"])
def test_any_standard_input_will_do(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "topics"
    path.write_text("a:1\n")
    with (path if kind == "file" else Path(os.devnull)).open() as given:
        done = subprocess.run(COMMAND, stdin=given, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[1:] == (["ok"] if kind == "file" else [])


def test_a_wrong_topic_on_its_command_line_exits_2() -> None:
    done = subprocess.run([*COMMAND, "--topic", "events"], input="", capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr == "error: ORC-001 'events' is no topic\n  next: write name:partitions, for example customer.events:12\n"

"""`produce`: JSON lines become Avro records with the right key, partition and time, all of them or none."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from orchestrator import cli
from orchestrator.engine.record import Record
from orchestrator.errors import RefusedByState, TopicMismatch, Unreachable
from orchestrator.language.model import EventTopic, Place, Streams
from orchestrator.names import ExitCode, Reason
from orchestrator.operate.produce import Encoder, EventProducer, check_lines, check_topics
from orchestrator.wire.gate import Gate
from orchestrator.wire.lines import EventLine
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import BadEvent, load_schemas
from tests.brokers.choice import Broker
from tests.brokers.topics import Row, read_to_end, unique
from tests.wire.messages import kafka_message

PARTITIONS = 3
SCHEMAS = load_schemas()


class Shop:
    """A topology with its own topics on a broker, and a file of events."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.events = unique("events")
        self.outcomes = unique("outcomes")
        (folder / "streams.yaml").write_text(
            f"app: shop\npartitions: {PARTITIONS}\nevents:\n"
            f"  - topic: {self.events}\n    schemas: [purchase.made, auth.login]\noutcomes: {self.outcomes}\n"
        )

    def write(self, *lines: dict[str, Any] | str) -> str:
        path = self.folder / "events.jsonl"
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return str(path)

    def produce(self, file: str, *more: str) -> int:
        common = ["--topologies", str(self.folder), "--bootstrap-server", self.bootstrap, "--set", "connect_timeout_s=5"]
        return cli.run(["produce", file, *common, *more])

    def records(self, rows: list[Row]) -> list[Record]:
        """What a worker's gate makes of them."""
        streams = Streams(events=(EventTopic(self.events, Place("x", 1, 1)),), outcomes=self.outcomes)
        gate = Gate(SCHEMAS, streams, lambda _: True)
        found = [gate.admit(kafka_message(r.value, key=r.key, timestamp=(1, r.timestamp), topic=self.events), 0) for r in rows]
        assert all(isinstance(each, Record) for each in found), found
        return [each for each in found if isinstance(each, Record)]


@pytest.fixture
def shop(embedded: Broker, tmp_path: Path) -> Shop:
    made = Shop(tmp_path, embedded.bootstrap)
    embedded.create_topic(made.events, PARTITIONS)
    embedded.create_topic(made.outcomes, PARTITIONS)
    return made


def purchase(number: int, **changes: Any) -> dict[str, Any]:
    line = {
        "at": number,
        "customer": f"c{number % 7}",
        "event": "purchase.made",
        "id": f"p{number}",
        "data": {"quantity": number + 1, "price": 11.77},
    }
    return {**line, **changes}


def test_t2_every_line_becomes_a_record_with_its_time_key_and_partition(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [purchase(number, at=852_076_800_000 + number) for number in range(50)]
    assert shop.produce(shop.write(*lines)) == ExitCode.OK
    assert f"50 events produced to {shop.events}" in capsys.readouterr().out
    rows = read_to_end(shop.bootstrap, shop.events)
    assert sorted((row.key, row.timestamp) for row in rows) == sorted((x["customer"].encode(), x["at"]) for x in lines)
    assert all(row.partition == partition_for(row.key or b"", PARTITIONS) for row in rows)


def test_what_is_produced_is_what_the_gate_admits_in_the_files_order(shop: Shop) -> None:
    lines = [purchase(number, at=5) for number in range(20)]
    assert shop.produce(shop.write(*lines)) == ExitCode.OK
    for record, row in zip(shop.records(rows := read_to_end(shop.bootstrap, shop.events)), rows, strict=True):
        line = lines[int(record.event_id[1:])]
        assert record.payload == line["data"]
        assert (record.occurred_at, record.time) == (5, row.timestamp)
    by_customer: dict[bytes | None, list[int]] = {}
    for record, row in zip(shop.records(rows), rows, strict=True):
        by_customer.setdefault(row.key, []).append(int(record.event_id[1:]))
    assert all(numbers == sorted(numbers) for numbers in by_customer.values())


def test_the_topic_follows_from_the_type(shop: Shop) -> None:
    outcome = {"at": 1, "customer": "c1", "event": "action.outcome", "data": {"action_id": "a", "status": "delivered"}}
    assert shop.produce(shop.write(purchase(1), outcome)) == ExitCode.OK
    assert len(read_to_end(shop.bootstrap, shop.events)) == 1
    assert len(read_to_end(shop.bootstrap, shop.outcomes)) == 1


def test_a_topic_that_was_asked_for_is_taken(shop: Shop, embedded: Broker) -> None:
    other = unique("other")
    embedded.create_topic(other, 1)
    assert shop.produce(shop.write(purchase(1)), "--topic", other) == ExitCode.OK
    assert len(read_to_end(shop.bootstrap, other)) == 1
    assert not read_to_end(shop.bootstrap, shop.events)


def test_one_bad_line_and_nothing_is_produced(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    file = shop.write(
        purchase(1),
        "{",
        "",
        purchase(2, event="purchase.maid"),
        purchase(3, data={"quantity": "two", "prise": 1}),
        purchase(4, event="csat.submitted", data={"score": 1}),
    )
    assert shop.produce(file) == ExitCode.NO
    said = capsys.readouterr().err
    assert f"{file}:2: not JSON" in said
    assert f"{file}:4: event: no schema declares 'purchase.maid'; did you mean 'purchase.made'?" in said
    assert f"{file}:5: quantity: expected an integer, got text" in said
    assert f"{file}:5: prise: no such field; did you mean 'price'?" in said
    assert f"{file}:5: price: missing" in said
    assert f"{file}:6: event: no topic of streams.yaml lists 'csat.submitted'" in said
    assert "4 of 5 lines cannot be produced. Nothing was produced." in said
    assert not read_to_end(shop.bootstrap, shop.events)


def test_a_flood_of_bad_lines_is_cut_short(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.produce(shop.write(*["{"] * 200)) == ExitCode.NO
    said = capsys.readouterr().err.splitlines()
    assert len(said) < 60
    assert said[-2:] == ["... and 150 more lines", "200 of 200 lines cannot be produced. Nothing was produced."]


def test_standard_input_is_read_twice_like_a_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(purchase(1)).encode() + b"\n" + json.dumps(purchase(2)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert shop.produce("-") == ExitCode.OK
    assert len(read_to_end(shop.bootstrap, shop.events)) == 2


def test_an_empty_file_is_no_error(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.produce(shop.write()) == ExitCode.OK
    assert "0 events produced" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_a_usage_error(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.produce(str(shop.folder / "none.jsonl")) == ExitCode.USAGE
    assert "No such file" in capsys.readouterr().err


def test_a_missing_topic_is_not_left_to_the_broker(embedded: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, embedded.bootstrap)
    assert shop.produce(shop.write(purchase(1))) == ExitCode.REFUSED
    said = capsys.readouterr().err
    assert f"topic {shop.events} does not exist" in said
    assert "orchestrator topics create --execute" in said


def test_another_partition_count_would_scatter_customers() -> None:
    check_topics({"a": 3}, ["a"], 3)
    check_topics({"a": 4}, ["a"], None)
    with pytest.raises(TopicMismatch, match=r"has 4 partitions, streams\.yaml says 3"):
        check_topics({"a": 4}, ["a"], 3)


def test_a_broker_that_is_down_gives_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, "127.0.0.1:1")
    assert shop.produce(shop.write(purchase(1)), "--set", "connect_timeout_s=1") == ExitCode.UNREACHABLE
    assert "ORC-003" in capsys.readouterr().err


def encoder() -> Encoder:
    return Encoder(SCHEMAS, Streams(events=(EventTopic("events", Place("x", 1, 1)),)))


def test_lines_are_counted_without_a_broker() -> None:
    lines = [json.dumps(purchase(number)).encode() for number in range(3)]
    assert check_lines([*lines, b"{"], encoder())[0] == 3
    assert [bad.number for bad in check_lines([*lines, b"{"], encoder())[1]] == [4]


def test_a_producer_refuses_what_does_not_fit() -> None:
    producer = EventProducer({"bootstrap.servers": "127.0.0.1:1"}, encoder())
    with pytest.raises(BadEvent):
        producer.send(EventLine(1, "c1", "purchase.made", "", {}))


def test_what_kafka_does_not_take_is_raised_and_counted() -> None:
    """No broker answers within the second that the record may take."""
    producer = EventProducer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 1000}, encoder())
    producer.send(EventLine(1, "c1", "auth.login", "e1", {}))
    with pytest.raises(Unreachable, match="0 were taken before"):
        producer.close()


def test_a_refusal_of_the_broker_is_no_outage(embedded: Broker) -> None:
    topic = unique("events")
    embedded.create_topic(topic, 1)
    producer = EventProducer({"bootstrap.servers": embedded.bootstrap}, encoder())
    producer._on_delivery(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), kafka_message(b"", topic=topic))
    with pytest.raises(RefusedByState, match="put the cause right"):
        producer.close()


def test_bytes_go_as_they_are(embedded: Broker) -> None:
    topic = unique("raw")
    embedded.create_topic(topic, 1)
    producer = EventProducer({"bootstrap.servers": embedded.bootstrap}, encoder())
    producer.send_raw(topic, b"\xff", b"\x00broken", 7, [("h", b"v")])
    producer.send_raw(topic, None, None, 8)
    producer.close()
    rows = read_to_end(embedded.bootstrap, topic)
    assert [(row.key, row.value, row.timestamp, row.headers) for row in rows] == [
        (b"\xff", b"\x00broken", 7, (("h", b"v"),)),
        (None, None, 8, ()),
    ]
    assert producer.delivered == 2


def test_a_check_tells_every_line_that_a_worker_would_refuse_and_sends_nothing(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    far_ahead = {**purchase(2), "at": "2999-01-01T00:00:00Z"}
    file = shop.write(
        purchase(1), "{", {**purchase(3), "data": {"quantity": "many"}}, far_ahead,
        {**purchase(5), "customer": "\u0000c"}, {**purchase(6), "customer": "c" * 2_000}, purchase(7),
    )  # fmt: skip
    capsys.readouterr()
    assert shop.produce(file, "--check", "--json") == ExitCode.NO
    found = json.loads(capsys.readouterr().out)
    assert (found["good"], [each["line"] for each in found["refused"]]) == (2, [2, 3, 4, 5, 6])
    reasons = {each["line"]: each["reasons"][0].partition(":")[0] for each in found["refused"]}
    assert (reasons[4], reasons[5], reasons[6]) == (Reason.TIME_ABSURD, "customer", Reason.TOO_LARGE)
    assert shop.produce(file, "--check") == ExitCode.NO
    out, err = capsys.readouterr()
    assert f"{file}:4: {Reason.TIME_ABSURD}" in out
    assert "2 of 7 events would be taken" in err
    assert read_to_end(shop.bootstrap, shop.events) == []


def test_a_check_needs_no_kafka(tmp_path: Path) -> None:
    nowhere = Shop(tmp_path, "127.0.0.1:1")
    assert nowhere.produce(nowhere.write(purchase(1)), "--check") == ExitCode.OK

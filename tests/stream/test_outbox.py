"""What a cycle says: addressed to the partition's own number, in order, and nothing that a topic would not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.names import Header, Reason
from orchestrator.observe import metrics, waits
from orchestrator.stream import outbox as outbox_module
from orchestrator.stream.outbox import Outbox
from orchestrator.stream.producing import Produce
from tests.stream.bench import DAY, EVENTS, NUMBER, START, STREAMS, TOPOLOGY, Bench, block, journal_of, purchase, raw, to

ACTIONS = "journeys.actions.email"


def _header(record: Produce, name: str) -> bytes:
    return dict(record.headers)[name]


def _fired(bench: Bench) -> list[Produce]:
    """The cycle in which c1's first deadline fires."""
    bench.now = START + 61 * DAY
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    bench.caught_up()
    bench.partition.fire(500, bench.outbox)
    return bench.commit()


def test_everything_of_a_partition_goes_to_its_own_number_and_the_journal_comes_last(bench: Bench) -> None:
    records = _fired(bench)
    assert {record.partition for record in records} == {NUMBER}
    assert [record.topic for record in records] == [STREAMS.transitions, ACTIONS, STREAMS.changelog, STREAMS.journal]
    assert [record.key for record in records] == [b"c1", b"c1", b"c1", str(NUMBER).encode()]
    assert bench.outbox.take() == []


@pytest.mark.interpreted
def test_a_command_too_large_for_a_topic_is_an_incident_and_counted_as_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_VALUE_BYTES", 50)
    records = _fired(bench)
    assert to(records, ACTIONS) == []
    (incident,) = to(records, STREAMS.incidents)
    assert _header(incident, Header.INCIDENT_REASON) == Reason.OUTPUT_TOO_LARGE.encode()
    journal = journal_of(records)
    assert (journal.actions, journal.incidents) == (0, 1)


def test_b1_a_refused_record_keeps_bytes_key_headers_and_its_time(bench: Bench) -> None:
    message = raw(b"\x00not avro", b"c1", START, 7)
    bench.partition.handle(block(message), bench.outbox)
    (incident,) = to(bench.commit(), STREAMS.incidents)
    assert (incident.key, incident.value, incident.at, incident.partition) == (b"c1", b"\x00not avro", START, NUMBER)
    assert _header(incident, Header.ERROR_TOPIC) == EVENTS.encode()
    assert _header(incident, Header.ERROR_OFFSET) == b"7"


def test_b1_an_incident_carries_the_headers_of_other_tools_where_that_is_set(bench: Bench) -> None:
    styled = Outbox(TOPOLOGY, lambda: bench.now, {"connect", "spring"})
    bench.partition.handle(block(raw(b"?", b"c1", START, 7)), styled)
    (incident,) = to(styled.take(), STREAMS.incidents)
    assert _header(incident, "__connect.errors.offset") == b"7"
    assert _header(incident, "kafka_dlt-original-offset") == (7).to_bytes(8, "big")
    assert _header(incident, Header.ERROR_OFFSET) == b"7", "ours stay: redrive goes by them"


def test_b1_a_refused_record_from_the_far_future_gets_a_time_that_brokers_take(bench: Bench) -> None:
    bench.partition.handle(block(raw(b"?", b"c1", bench.now + 400 * DAY, 0)), bench.outbox)
    (incident,) = to(bench.commit(), STREAMS.incidents)
    assert incident.at == bench.now
    assert _header(incident, Header.SOURCE_TIMESTAMP) == str(bench.now + 400 * DAY).encode()


def test_b1_no_incident_is_larger_than_a_topic_takes(bench: Bench) -> None:
    """A record of ten megabytes passes a broker's limit when it compresses well; its copy must pass the producer's."""
    message = raw(b"x" * 10_000_000, b"k" * 100_000, START, 0)
    bench.partition.handle(block(message), bench.outbox)
    (incident,) = to(bench.commit(), STREAMS.incidents)
    size = len(incident.value or b"") + len(incident.key or b"") + sum(len(n) + len(v or b"") for n, v in incident.headers)
    assert size < 1_048_576 - 512


def test_i3_the_same_records_give_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    first = _fired(bench)
    other = Bench(tmp_path / "other")
    assert _fired(other) == first
    other.close()


def test_how_long_events_took_is_known_of_each_journey_once_kafka_has_them(bench: Bench) -> None:
    def waited(of: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"{waits.EVENT_LATENCY.name}_{of}", {"journey": "winback"}) or 0

    def at_most(bound: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"{waits.EVENT_LATENCY.name}_bucket", {"journey": "winback", "le": bound}) or 0

    count, total, quick, slow = waited("count"), waited("sum"), at_most("0.25"), at_most("5.0")
    purchases = block(purchase("c1", START, 0), purchase("c2", START + 2_750, 1))
    bench.partition.handle(purchases, bench.outbox)
    bench.now = START + 3_000
    bench.outbox.dropped()
    bench.partition.dropped()
    assert waited("count") == count, "it will be decided again"
    bench.partition.handle(purchases, bench.outbox)
    bench.commit()
    bench.outbox.landed()
    assert waited("count") == count + 2
    assert waited("sum") == pytest.approx(total + 3.25)
    assert (at_most("0.25"), at_most("5.0")) == (quick + 1, slow + 2)
    bench.now = START + 400 * DAY
    bench.caught_up()
    bench.partition.fire(500, bench.outbox)
    bench.commit()
    bench.outbox.landed()
    assert waited("count") == count + 2, "a timer is no event"


def test_how_long_customers_were_in_a_state_is_known_when_they_left_it(bench: Bench) -> None:
    def stayed(of: str, state: str) -> float:
        labels = {"journey": "winback", "state": state}
        return metrics.REGISTRY.get_sample_value(f"{waits.TIME_IN_STATE.name}_{of}", labels) or 0

    count, total = stayed("count", "recent"), stayed("sum", "recent")
    _fired(bench)
    assert stayed("count", "recent") == count, "Kafka does not have it yet"
    bench.outbox.landed()
    assert stayed("count", "recent") == count + 1
    assert stayed("sum", "recent") == pytest.approx(total + 60 * DAY / 1000)

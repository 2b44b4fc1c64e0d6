"""Merges and erasures of a partition: what Kafka and the store hold afterwards, and what a rebuilt store knows (M1, F1, T6)."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Message

from orchestrator.engine.engine import NEVER, next_due
from orchestrator.engine.storing import decode
from orchestrator.stream.partition import Partition
from orchestrator.stream.producing import Produce
from orchestrator.stream.store import Position
from orchestrator.wire.handlings import decode_handling
from tests.stream.bench import DAY, SCHEMAS, START, STREAMS, Bench, block, purchase, raw, to
from tests.stream.test_vicinity import ELSEWHERE, HERE

ONE, OTHER = HERE[:2]


def event(event_type: str, customer: str, at: int, offset: int, **payload: Any) -> Message:
    schema = SCHEMAS.get(event_type)
    assert schema is not None
    return raw(schema.encode(customer, f"{event_type}-{offset}", at, payload), customer.encode(), at, offset)


def merged(source: str, target: str, at: int, offset: int) -> Message:
    return event("profile.merged", source, at, offset, **{"from": source, "into": target})


def rebuilt(bench: Bench, changelog: list[Produce]) -> None:
    """Lose the store, and fill a new one from the changelog, as a restore does."""
    position = bench.store.position
    bench.close()
    bench._folder = bench._folder / "anew"
    bench.open()
    documents = {record.key: record.value for record in changelog if record.key is not None}
    timers = [(next_due(stored), name) for name, stored in documents.items() if next_due(stored) != NEVER]
    bench.store.write(documents, (), timers, Position(position.cycle, position.chain, position.newest, position.sources))
    bench.partition = Partition(bench.partition.number, bench.store, ("customer.events",), bench._parts)


def granted(customer: str, offset: int) -> Message:
    return event(
        "consent.changed", customer, START, offset, channel="email", purpose="promotion", status="granted", source="form"
    )  # fmt: skip


@pytest.mark.parametrize("is_lost", [False, True])
def test_m1_t6_a_merge_survives_a_restart_also_where_the_store_is_lost(bench: Bench, is_lost: bool) -> None:
    # granted and bought 0d -- merged 1d -- restart -- the timer of 60d fires for OTHER, whom ONE's next purchase counts for
    bench.partition.handle(block(granted(ONE, 0), purchase(ONE, START, 1)), bench.outbox)
    changelog = to(bench.commit(), STREAMS.changelog)
    due = next_due(bench.store.get_many([ONE.encode()])[0])
    bench.partition.handle(block(merged(ONE, OTHER, START + DAY, 2)), bench.outbox)
    changelog += to(bench.commit(), STREAMS.changelog)
    alias, moved = bench.store.get_many([ONE.encode(), OTHER.encode()])
    assert next_due(alias) == NEVER
    assert next_due(moved) == due
    assert bench.store.due((0, b""), NEVER, 10) == [(due, OTHER.encode())]

    if is_lost:
        rebuilt(bench, changelog)
    else:
        bench.reopen()
    assert bench.store.get_many([ONE.encode(), OTHER.encode()]) == [alias, moved]
    bench.partition.handle(block(purchase(ONE, due + DAY, 3)), bench.outbox)
    records = bench.commit()
    assert {decode_handling(record.value or b"")["customer"] for record in to(records, STREAMS.transitions)} == {OTHER}
    assert {record.key for record in to(records, STREAMS.changelog)} == {OTHER.encode()}


def test_m1_a_merge_in_the_cycle_of_the_events_before_it_and_a_dropped_one_gives_the_same(bench: Bench) -> None:
    def work() -> list[Produce]:
        bench.partition.handle(block(purchase(ONE, START, 0), merged(ONE, OTHER, START + DAY, 1)), bench.outbox)
        return bench.say()

    first = work()
    bench.partition.dropped()
    assert [(one.topic, one.key, one.value) for one in work()] == [(one.topic, one.key, one.value) for one in first]
    bench.partition.written(None)
    stored = bench.store.get_many([OTHER.encode()])[0]
    assert [one.journey for one in decode(stored).instances] == ["winback"]


def test_m1_a_merge_into_another_partition_moves_nothing_and_is_an_incident(bench: Bench) -> None:
    bench.partition.handle(block(purchase(ONE, START, 0)), bench.outbox)
    bench.commit()
    before = decode(bench.store.get_many([ONE.encode()])[0]).instances
    bench.partition.handle(block(merged(ONE, ELSEWHERE[0], START + DAY, 1)), bench.outbox)
    records = bench.commit()
    (incident,) = to(records, STREAMS.incidents)
    headers = dict(incident.headers)
    assert headers["orchestrator.incident.reason"] == b"merge_elsewhere"
    assert b"nothing was moved" in headers["__streams.errors.message"]
    assert decode(bench.store.get_many([ONE.encode()])[0]).instances == before
    assert bench.store.get_many([ELSEWHERE[0].encode()]) == [None]


@pytest.mark.parametrize("is_lost", [False, True])
def test_f1_an_erasure_survives_a_restart_also_where_the_store_is_lost(bench: Bench, is_lost: bool) -> None:
    bench.partition.handle(block(purchase(ONE, START, 0), merged(ONE, OTHER, START + DAY, 1)), bench.outbox)
    changelog = to(bench.commit(), STREAMS.changelog)
    bench.partition.handle(block(event("privacy.erasure_requested", ONE, START + 2 * DAY, 2, request_id="r-1")), bench.outbox)
    records = bench.commit()
    changelog += to(records, STREAMS.changelog)
    assert {record.key: record.value for record in to(records, STREAMS.changelog)} == {ONE.encode(): None, OTHER.encode(): None}
    (log,) = to(records, STREAMS.transitions)
    (erased,) = decode_handling(log.value or b"")["decisions"]
    assert (erased["kind"], erased["detail"]["record"]) == ("erased", "customer.events/3/2")
    if is_lost:
        rebuilt(bench, changelog)
    else:
        bench.reopen()
    assert list(bench.store.documents()) == []
    assert bench.store.due((0, b""), NEVER, 10) == []
    bench.partition.handle(block(purchase(ONE, START + 3 * DAY, 3)), bench.outbox)
    assert {record.key for record in to(bench.commit(), STREAMS.changelog)} == {ONE.encode()}, "not an alias any more"

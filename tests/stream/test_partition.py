"""A partition's cycle: nothing shows until it is written, nothing stays when it is dropped, and the journal tells it all."""

from __future__ import annotations

import pytest

from orchestrator.engine.engine import NEVER, next_due
from orchestrator.errors import PositionLost
from orchestrator.observe import tally
from orchestrator.stream import partition as partition_module
from orchestrator.stream.clock import TIMER_GRACE_MS
from orchestrator.stream.lateness import LATE_MS
from orchestrator.stream.positions import metadata_of
from orchestrator.wire.actions import decode_action
from orchestrator.wire.journal import Run, chain_of
from tests.stream.bench import (
    DAY,
    EVENTS,
    NUMBER,
    OUTCOMES,
    START,
    STREAMS,
    Bench,
    as_documents_go,
    block,
    journal_of,
    purchase,
    raw,
    to,
)

ACTIONS = "journeys.actions.email"


def _templates(records: list) -> list[tuple[str, str, int]]:
    found = [decode_action(record.value or b"") for record in to(records, ACTIONS)]
    return [(action["customer"], action["template"], action["created_at"]) for action in found]


def _standing(bench: Bench) -> tuple[object, ...]:
    partition = bench.partition
    return bench.store.position.cycle, list(bench.store.documents()), partition.clock.newest, dict(partition.next_offsets)


def test_pending_work_is_invisible_until_it_is_written(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    assert bench.partition.has_work
    assert bench.store.get_many([b"c1"]) == [None]
    records = bench.say()
    assert bench.store.get_many([b"c1"]) == [None]
    (document,) = to(records, STREAMS.changelog)
    assert (document.key, document.partition) == (b"c1", NUMBER)

    bench.partition.written(42)
    assert bench.store.get_many([b"c1"]) == [document.value]
    assert bench.store.due((0, b""), NEVER, 10) == [(START + 60 * DAY, b"c1")]
    assert bench.store.position.changelog == 42
    assert bench.store.position.sources[EVENTS] == 1
    assert not bench.partition.has_work


def test_i3_a_dropped_cycle_leaves_everything_as_before_and_says_the_same_when_done_again(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    before = _standing(bench)

    def work() -> list:
        bench.partition.handle(block(purchase("c2", START + 61 * DAY, 1), purchase("c1", START + 62 * DAY, 2)), bench.outbox)
        assert bench.partition.fire(500, bench.outbox) >= 1
        return sorted(bench.say(), key=as_documents_go)

    first = work()
    bench.partition.dropped()
    assert not bench.partition.has_work
    assert _standing(bench) == before
    assert bench.partition.calendar.earliest <= START + 60 * DAY
    assert work() == first


def test_t3_t6_an_overdue_timer_fires_before_the_record_and_only_once(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    bench.partition.handle(block(purchase("c1", START + 70 * DAY, 1)), bench.outbox)
    bench.partition.fire(500, bench.outbox)
    records = bench.commit()
    assert _templates(records) == [("c1", "miss-you", START + 60 * DAY)]
    bench.partition.fire(500, bench.outbox)
    assert not bench.partition.has_work or not to(bench.say(), ACTIONS)


def test_t3_t4_an_event_on_the_deadline_wins_in_a_backlog(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    bench.partition.handle(block(purchase("c2", START + 60 * DAY, 1)), bench.outbox)
    assert bench.partition.fire(500, bench.outbox) == 0  # the clock stands on the deadline, not behind it
    bench.partition.handle(block(purchase("c1", START + 60 * DAY, 2)), bench.outbox)
    assert _templates(bench.commit()) == []


def test_t4_caught_up_the_wall_clock_fires_and_in_a_backlog_it_does_not(bench: Bench) -> None:
    bench.now = START + 61 * DAY
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    assert bench.partition.fire(500, bench.outbox) == 0
    bench.caught_up()
    assert bench.partition.fire(500, bench.outbox) == 1
    records = bench.commit()
    assert _templates(records) == [("c1", "miss-you", START + 60 * DAY)]
    assert journal_of(records).runs == [Run(topic="", first=1, next=0, clock=bench.now - 1000)]


def test_t4_a_record_from_the_future_fires_nothing_while_records_are_waiting(bench: Bench) -> None:
    """Otherwise what was handled after an hour's pause would differ from what a worker without the pause did."""
    bench.now = START + 61 * DAY
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    bench.partition.handle(
        block(purchase("c2", START + 59 * DAY, 1), purchase("c3", START + 61 * DAY + DAY // 2, 2)), bench.outbox
    )
    assert bench.partition.clock.newest == START + 59 * DAY
    assert bench.partition.fire(500, bench.outbox) == 0
    bench.partition.handle(block(purchase("c1", START + 60 * DAY, 3)), bench.outbox)
    assert _templates(bench.commit()) == []


def test_t4_a_producer_whose_clock_is_a_little_fast_still_moves_timers(bench: Bench) -> None:
    bench.now = START + 61 * DAY
    bench.partition.handle(block(purchase("c1", START + 61 * DAY + 5000, 0)), bench.outbox)
    assert bench.partition.clock.newest == bench.now


def test_t4_the_clock_survives_a_restart(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START + 7, 0)), bench.outbox)
    bench.commit()
    bench.reopen()
    assert bench.partition.clock.newest == START + 7
    assert not bench.partition.clock.caught_up


def test_t8_a_batch_of_timers_lets_records_through(bench: Bench) -> None:
    bench.now = START + 61 * DAY
    crowd = [purchase(f"c{n:04}", START + n % 1000, n) for n in range(1200)]  # all due in one second
    bench.partition.handle(block(*crowd), bench.outbox)
    bench.commit()
    bench.caught_up()
    order = []
    offset = 1200
    while True:
        fired = bench.partition.fire(500, bench.outbox)
        order.append(fired)
        if not fired:
            break
        bench.partition.handle(block(purchase("other", bench.now - 5000, offset), at_end=True), bench.outbox)
        offset += 1
    assert order == [500, 500, 200, 0]
    records = bench.commit()
    runs = [(run.topic, run.first, run.next) for run in journal_of(records).runs]
    assert runs[:3] == [("", 500, 0), (EVENTS, 1200, 1201), ("", 500, 0)]
    assert bench.store.get_many([b"other"]) != [None]
    assert sorted(customer for customer, *_ in _templates(records)) == [f"c{n:04}" for n in range(1200)]


def test_t6_a_timer_armed_in_the_past_still_fires(bench: Bench) -> None:
    """The cursor of the calendar has passed: an old record of another customer brings a deadline behind it."""
    bench.partition.handle(block(purchase("c1", START + 200 * DAY, 0)), bench.outbox)
    bench.commit()
    bench.caught_up()
    bench.partition.fire(500, bench.outbox)
    bench.commit()
    bench.partition.handle(block(purchase("c2", START, 1), at_end=True), bench.outbox)
    bench.commit()
    bench.partition.fire(500, bench.outbox)
    records = bench.commit()
    assert _templates(records) == [("c2", "miss-you", START + 60 * DAY), ("c2", "last-offer", START + 90 * DAY)]


def test_records_before_the_position_are_refused(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0), purchase("c1", START, 1)), bench.outbox)
    bench.commit()
    with pytest.raises(PositionLost, match="from offset 1, expected 2"):
        bench.partition.handle(block(purchase("c1", START, 1), purchase("c1", START, 2)), bench.outbox)


def test_a_gap_in_the_offsets_is_what_transactions_leave(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 4), purchase("c2", START, 9)), bench.outbox)
    bench.partition.handle(block(purchase("c3", START, 12)), bench.outbox)
    assert bench.partition.next_offsets[EVENTS] == 13
    (run,) = journal_of(bench.commit()).runs
    assert (run.first, run.next) == (4, 13)


def test_b1_what_the_gate_refuses_is_an_incident_and_the_partition_goes_on(bench: Bench) -> None:
    bench.partition.handle(block(raw(b"?", b"c1", START, 0), raw(None, b"c1", START, 1), purchase("c1", START, 2)), bench.outbox)
    records = bench.commit()
    assert [record.value for record in to(records, STREAMS.incidents)] == [b"?", None]
    assert [record.key for record in to(records, STREAMS.changelog)] == [b"c1"]
    journal = journal_of(records)
    assert (journal.incidents, journal.sources[EVENTS]) == (2, 3)


def test_i2_a_cycle_that_changes_no_document_writes_none(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0, "same")), bench.outbox)
    bench.commit()
    bench.partition.handle(block(purchase("c1", START, 1, "same")), bench.outbox)
    records = bench.commit()
    assert to(records, STREAMS.changelog) == []
    assert bench.store.position.sources[EVENTS] == 2


def test_i1_journal_records_are_a_chain(bench: Bench) -> None:
    values = []
    for offset in range(3):
        bench.partition.handle(block(purchase("c1", START + offset * DAY, offset)), bench.outbox)
        records = bench.commit()
        values.append(records[-1].value)
        journal = journal_of(records)
        assert journal.cycle == offset + 1
        assert journal.previous == (chain_of(values[-2]) if offset else 0)
        assert journal.sources[EVENTS] == offset + 1
        bench.reopen()
    assert bench.store.position.chain == chain_of(values[-1])


def test_an_idle_partitions_offsets_carry_its_latest_cycle(bench: Bench) -> None:
    assert bench.partition.offset_metadata == metadata_of(0, 0, 0)
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    records = bench.say()
    closed = metadata_of(1, chain_of(records[-1].value), START)
    assert bench.partition.offset_metadata == closed
    bench.partition.written(None)
    assert bench.partition.offset_metadata == closed


def test_news_of_the_end_alone_is_no_work(bench: Bench) -> None:
    bench.caught_up()
    assert not bench.partition.has_work
    assert bench.partition.clock.caught_up


def test_the_end_is_left_with_every_record_and_reached_again_with_the_news(bench: Bench) -> None:
    bench.caught_up()
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    assert not bench.partition.clock.caught_up
    bench.partition.handle(block(purchase("c1", START, 1), at_end=True), bench.outbox)
    assert bench.partition.clock.caught_up
    assert OUTCOMES not in bench.partition.next_offsets or bench.partition.next_offsets[OUTCOMES] == 0


@pytest.mark.interpreted
def test_a5_a_record_that_would_make_the_document_too_large_is_not_applied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    (document,) = to(bench.commit(), STREAMS.changelog)
    monkeypatch.setattr(partition_module, "MAX_VALUE_BYTES", len(document.value or b"") - 1)
    bench.partition.handle(block(purchase("c1", START + DAY, 1), purchase("c1", START + 61 * DAY, 2)), bench.outbox)
    records = bench.commit()
    assert to(records, STREAMS.changelog) == []
    assert len(to(records, STREAMS.incidents)) == 2
    assert journal_of(records).sources[EVENTS] == 3
    assert next_due(bench.store.get_many([b"c1"])[0]) == START + 60 * DAY


def test_t6_a_stale_hint_fires_nothing_and_is_gone_afterwards(bench: Bench) -> None:
    """A restore leaves the deadlines that documents had before in the calendar."""
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    position = bench.store.position
    position.timers_from = 0
    bench.store.write({}, (), [(START + DAY, b"c1"), (START + DAY, b"unknown")], position)
    bench.reopen()
    bench.caught_up()
    assert bench.partition.fire(2, bench.outbox) == 2
    records = bench.commit()
    assert _templates(records) == []
    assert bench.store.due((0, b""), NEVER, 10) == [(START + 60 * DAY, b"c1")]


def test_who_is_overdue_is_seen_from_the_wall(bench: Bench) -> None:
    bench.partition.handle(block(purchase("c1", START, 0), purchase("c2", START + DAY, 1)), bench.outbox)
    bench.commit()
    bench.now = START + 60 * DAY + TIMER_GRACE_MS + LATE_MS
    assert bench.partition.overdue(10) == []
    bench.now += 1
    assert bench.partition.overdue(10) == [(START + 60 * DAY, b"c1")]
    bench.now += DAY
    assert [customer for _, customer in bench.partition.overdue(10)] == [b"c1", b"c2"]
    assert len(bench.partition.overdue(1)) == 1


def test_what_is_dropped_and_done_again_is_counted_once(bench: Bench) -> None:
    def entries() -> int:
        return tally.totals("journey_entries").get(("winback", "1"), 0)

    before = entries()
    bench.partition.handle(block(purchase("c1", START, 0), raw(b"\xff", b"c9", START, 1)), bench.outbox)
    bench.outbox.dropped()
    bench.partition.dropped()
    assert entries() == before
    incidents = tally.totals("incidents").copy()
    bench.partition.handle(block(purchase("c1", START, 0), raw(b"\xff", b"c9", START, 1)), bench.outbox)
    bench.commit()
    bench.outbox.landed()
    assert entries() == before + 1
    assert sum(tally.totals("incidents").values()) == sum(incidents.values()) + 1
    bench.outbox.landed()
    assert entries() == before + 1

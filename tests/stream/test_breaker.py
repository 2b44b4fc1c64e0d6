"""Rule B2 at one partition: how many incidents are too many, what a stop writes, and what dropped cycles undo."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.names import Header, Reason
from orchestrator.stream.breaker import NEVER_STOPS, Breaker, BreakerLimits
from orchestrator.wire.incidents import is_of_breaker
from orchestrator.wire.stops import Stop, StopBoard, encode_stop
from tests.stream.bench import EVENTS, NUMBER, OUTCOMES, START, STREAMS, Bench, block, journal_of, purchase, raw, to

LIMITS = BreakerLimits(incidents=3, window=10)


def opens_at(*offsets: int, limits: BreakerLimits = LIMITS) -> int | None:
    breaker = Breaker(limits)
    for offset in offsets:
        breaker.note(EVENTS, offset)
        if breaker.is_open:
            return offset
    return None


def test_b2_one_more_than_the_set_number_within_the_window_is_too_many() -> None:
    assert opens_at(0, 1, 2) is None
    assert opens_at(0, 1, 2, 3) == 3
    assert opens_at(0, 4, 5, 9) == 9
    assert opens_at(0, 4, 5, 10) is None, "eleven offsets"
    assert opens_at(0, 4, 5, 10, 11) == 11
    assert opens_at(*range(0, 400, 4)) is None
    assert opens_at(*range(500), limits=NEVER_STOPS) is None


def test_b2_topics_are_counted_apart() -> None:
    breaker = Breaker(LIMITS)
    for offset in range(3):
        breaker.note(EVENTS, offset)
        breaker.note(OUTCOMES, offset)
    assert not breaker.is_open


def test_b2_a_dropped_cycle_is_not_counted_and_a_kept_one_is() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(5):
        for offset in range(4):
            breaker.note(EVENTS, offset)
        assert breaker.is_open
        breaker.drop()
        assert not breaker.is_open
    for offset in range(3):
        breaker.note(EVENTS, offset)
    breaker.close()
    breaker.keep()
    breaker.note(EVENTS, 3)
    assert breaker.is_open
    breaker.drop()
    breaker.note(EVENTS, 4)
    assert breaker.is_open


def test_b2_a_released_partition_counts_from_nothing() -> None:
    breaker = Breaker(LIMITS)
    for offset in range(4):
        breaker.note(EVENTS, offset)
    breaker.close()
    breaker.keep()
    breaker.release()
    for offset in range(4, 7):
        breaker.note(EVENTS, offset)
    assert not breaker.is_open
    breaker.note(EVENTS, 7)
    assert breaker.is_open


@pytest.fixture
def fragile(tmp_path: Path) -> Bench:
    return Bench(tmp_path, breaker=LIMITS)


def bad(offset: int) -> object:
    return raw(b"?", b"c1", START, offset)


def test_b2_the_partition_stops_at_the_record_and_handles_nothing_after_it(fragile: Bench) -> None:
    records = [bad(0), bad(1), purchase("c1", START, 2), bad(3), bad(4), bad(5), purchase("c2", START, 6)]
    fragile.partition.handle(block(*records, at_end=True), fragile.outbox)
    fragile.partition.handle(block(purchase("c3", START, 7)), fragile.outbox)
    produced = fragile.say()

    assert fragile.partition.next_offsets[EVENTS] == 5
    assert not fragile.partition.clock.caught_up
    assert [record.key for record in to(produced, STREAMS.changelog)] == [b"c1"]
    (stop,) = to(produced, STREAMS.definitions)
    board = StopBoard(STREAMS.app)
    board.read([(stop.key, stop.value)])
    assert board.stopped() == {NUMBER: Stop(STREAMS.app, NUMBER, 1, EVENTS, 5, 3, 10, fragile.now)}
    *dead_letters, alert = to(produced, STREAMS.incidents)
    assert [dict(letter.headers)[Header.ERROR_OFFSET] for letter in dead_letters] == [b"0", b"1", b"3", b"4"]
    assert dict(alert.headers)[Header.INCIDENT_REASON] == Reason.PARTITION_STOPPED.encode()
    assert is_of_breaker(alert.headers)
    assert not any(is_of_breaker(letter.headers) for letter in dead_letters)
    journal = journal_of(produced)
    assert (journal.incidents, journal.sources[EVENTS], journal.runs[0].next) == (4, 5, 5)


def test_b2_after_its_release_it_goes_on_where_it_stopped(fragile: Bench) -> None:
    fragile.partition.handle(block(*map(bad, range(4))), fragile.outbox)
    fragile.commit()
    fragile.partition.handle(block(purchase("c1", START, 4)), fragile.outbox)
    assert not fragile.partition.has_work
    fragile.partition.breaker.release()
    fragile.partition.handle(block(purchase("c1", START, 4)), fragile.outbox)
    assert to(fragile.commit(), STREAMS.definitions) == []
    assert fragile.store.position.sources[EVENTS] == 5


def test_b2_a_dropped_stop_is_made_again(fragile: Bench) -> None:
    for _ in range(2):
        fragile.partition.handle(block(*map(bad, range(6))), fragile.outbox)
        records = fragile.say()
        assert len(to(records, STREAMS.definitions)) == 1
        fragile.partition.dropped()
        assert not fragile.partition.breaker.is_open


def test_b2_a_release_undoes_the_stop_that_it_names_and_no_later_one() -> None:
    first = Stop("app", 3, 7, EVENTS, 5, 3, 10, 0)
    second = Stop("app", 3, 9, EVENTS, 50, 3, 10, 0)
    board = StopBoard("app")
    board.read([encode_stop(first, "stopped"), (b"journey/welcome", b"of others"), (None, None)])
    board.read([encode_stop(Stop("other", 3, 1, EVENTS, 0, 3, 10, 0), "stopped")])
    assert board.stopped() == {3: first}
    board.read([encode_stop(first, "released")])
    assert board.stopped() == {}
    board.read([encode_stop(second, "stopped"), encode_stop(first, "released")])
    assert board.stopped() == {3: second}
    board.read([encode_stop(second, "released")])
    assert board.stopped() == {}

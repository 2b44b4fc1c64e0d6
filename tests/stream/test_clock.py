"""The partition's clock: record time in a backlog, the wall clock once caught up, a second of grace either way."""

from __future__ import annotations

from orchestrator.stream.clock import TICK_S, TIMER_GRACE_MS, PartitionClock

NOW = 1_800_000_000_000
HOUR = 3_600_000


def _clock(newest: int, now: int = NOW) -> PartitionClock:
    return PartitionClock(["events", "outcomes"], newest, lambda: now)


def test_t4_in_a_backlog_timers_follow_the_newest_record() -> None:
    clock = _clock(NOW - HOUR)
    assert not clock.caught_up
    assert clock.timers_before() == NOW - HOUR


def test_t4_caught_up_means_at_the_end_of_every_topic() -> None:
    clock = _clock(NOW - HOUR)
    clock.reached_end("events")
    assert not clock.caught_up
    assert clock.timers_before() == NOW - HOUR
    clock.reached_end("outcomes")
    assert clock.caught_up
    assert clock.timers_before() > NOW - HOUR


def test_t4_one_record_more_is_a_backlog_again() -> None:
    clock = _clock(NOW - HOUR)
    clock.reached_end("events")
    clock.reached_end("outcomes")
    clock.left_end("events")
    assert clock.timers_before() == NOW - HOUR


def test_t5_the_grace_is_a_second_and_a_tick_a_tenth() -> None:
    clock = _clock(0)
    clock.reached_end("events")
    clock.reached_end("outcomes")
    assert clock.timers_before() == NOW - TIMER_GRACE_MS
    assert (TIMER_GRACE_MS, TICK_S) == (1000, 0.1)


def test_t5_the_grace_holds_in_a_backlog_near_the_present() -> None:
    assert _clock(NOW - 10).timers_before() == NOW - TIMER_GRACE_MS


def test_t4_a_record_from_the_future_hurries_no_timer() -> None:
    assert _clock(NOW + 24 * HOUR).timers_before() == NOW - TIMER_GRACE_MS


def test_t4_without_any_record_nothing_fires_until_caught_up() -> None:
    assert _clock(0).timers_before() == 0


def test_t5_a_worker_too_busy_to_look_fires_what_was_due_when_it_last_did() -> None:
    clock = _clock(NOW - HOUR)
    clock.reached_end("events")
    clock.reached_end("outcomes")
    clock.looked(NOW - 10_000)
    assert NOW - 10_000 - TIMER_GRACE_MS <= clock.timers_before() < NOW - 10_000
    clock.looked(NOW - 400)
    assert clock.timers_before() == NOW - TIMER_GRACE_MS


def test_t4_in_a_backlog_it_does_not_matter_when_the_logs_were_looked_at() -> None:
    clock = _clock(NOW - HOUR)
    clock.looked(NOW - 2 * HOUR)
    assert clock.timers_before() == NOW - HOUR

"""Timers under a wall clock that jumps, stands still and drifts (rules T4 to T6): none early, none lost, none twice."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.language.model import Topology
from orchestrator.observe import metrics
from orchestrator.stream import lateness
from orchestrator.stream import worker as worker_module
from orchestrator.stream.clock import TIMER_GRACE_MS
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.worker import JourneyWorker
from orchestrator.wire.handlings import decode_handling
from orchestrator.workspace import Workspace
from tests.stream.bench import NUMBER, SCHEMAS, SHIPPED, START, STREAMS, Bench, block, purchase, to

MINUTE = 60_000
HOUR = 60 * MINUTE
FIRST, SECOND = 10 * MINUTE, 5 * MINUTE
JOURNEY = """
journey: reminder
version: 1
owner: tests
purpose: service
entry: {on: purchase.made, reentry: always}
exit: [{on: purchase.made, outcome: again}]
start: s
states:
  s:
    steps:
      - {id: first, delay: 10m}
      - {id: second, delay: 5m}
      - {id: stop, end: {outcome: over}}
"""
POLICY = """
channels: {email: {topic: journeys.actions.email}}
purposes: {service: {consent: not_required, basis: contract}}
"""


def _topology() -> Topology:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "journeys").mkdir()
        (Path(folder) / "streams.yaml").write_text((SHIPPED / "streams.yaml").read_text())
        (Path(folder) / "policy.yaml").write_text(POLICY)
        (Path(folder) / "journeys/reminder.yaml").write_text(JOURNEY)
        return Workspace.load(Path(folder)).topology


TOPOLOGY = _topology()


class Account:
    """A partition beside a list of who waits until when: what `Bench` says must agree with it, at every step."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder, TOPOLOGY)
        self.bench.now = START
        self.bench.caught_up()
        self.waiting: dict[str, tuple[int, int]] = {}  # customer: (due, which of the two)
        self.offset = 0
        self.committed = (deepcopy(self.waiting), self.offset)

    def jump(self, by: int) -> None:
        self.bench.now = max(START, self.bench.now + by)

    def buy(self, customer: str) -> None:
        at = self.bench.now
        self.bench.partition.handle(block(purchase(customer, at, self.offset), at_end=True), self.bench.outbox)
        self._check(before=at)
        self.offset += 1
        self.waiting[customer] = (at + FIRST, 1)

    def fire(self, limit: int) -> int:
        taken = self.bench.partition.fire(limit, self.bench.outbox)
        self._check(before=self.bench.now - TIMER_GRACE_MS)
        return taken

    def _check(self, before: int) -> None:
        """Every timer that fired was due, was waited for, and fired at its own instant."""
        for record in to(self.bench.outbox.take(), STREAMS.transitions):
            handling = decode_handling(record.value or b"")
            if handling["event"]:
                continue
            due, which = self.waiting.pop(handling["customer"])
            assert handling["at"] == due, "fired at another instant than its own"
            assert due < before, f"fired {due - before + 1} ms early"
            if which == 1:
                self.waiting[handling["customer"]] = (due + SECOND, 2)

    def commit(self) -> None:
        if self.bench.partition.has_work:
            self.bench.commit()
        self.committed = (deepcopy(self.waiting), self.offset)

    def drop(self) -> None:
        self.bench.partition.dropped()
        self._back()

    def crash(self, drift: int) -> None:
        """Another worker takes the partition over where the last commit left it; its clock is off by `drift`."""
        self.bench.reopen()
        self.bench.caught_up()
        self.jump(drift)
        self._back()

    def _back(self) -> None:
        self.waiting, self.offset = deepcopy(self.committed[0]), self.committed[1]

    def end(self) -> None:
        """A long time later nobody waits any more."""
        self.commit()
        self.bench.now += 30 * 24 * HOUR
        while self.fire(7):
            self.commit()
        assert self.waiting == {}
        self.bench.close()


JUMPS = st.sampled_from([1, 999, 1001, MINUTE, FIRST, SECOND, HOUR, 24 * HOUR, -1, -MINUTE, -HOUR])
STEPS = st.one_of(
    st.tuples(st.just("jump"), JUMPS),
    st.tuples(st.just("buy"), st.sampled_from(["a", "b", "c", "d"])),
    st.tuples(st.just("fire"), st.integers(1, 3)),
    st.tuples(st.just("commit")),
    st.tuples(st.just("drop")),
    st.tuples(st.just("crash"), st.sampled_from([0, 5_000, -5_000])),
)


@given(st.lists(STEPS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_t5_t6_whatever_the_clock_does_no_timer_is_early_lost_or_fired_twice(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        account = Account(Path(folder))
        for name, *arguments in steps:
            getattr(account, name)(*arguments)
        account.end()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.bench.close()


def test_t5_a_clock_an_hour_back_delays_and_repeats_nothing(account: Account) -> None:
    account.buy("a")
    account.commit()
    account.jump(FIRST + TIMER_GRACE_MS + 1)
    assert account.fire(10) == 1
    account.commit()
    account.jump(-HOUR)
    assert account.fire(10) == 0
    account.jump(HOUR + SECOND)
    assert account.fire(10) == 1
    assert account.waiting == {}


def test_t6_a_clock_a_day_ahead_and_back_fires_each_timer_once_by_what_it_showed(account: Account) -> None:
    account.buy("a")
    account.commit()
    account.jump(24 * HOUR)
    assert account.fire(10) == 1
    assert account.waiting == {}
    account.commit()
    account.jump(-24 * HOUR)
    account.buy("b")
    account.commit()
    assert account.fire(10) == 0, "what the clock showed once must not make later timers early"
    assert account.waiting == {"b": (START + FIRST, 1)}
    account.jump(FIRST + SECOND + TIMER_GRACE_MS + 1)
    assert account.fire(10) == 1
    assert account.waiting == {}


def test_t4_a_frozen_clock_holds_timers_back_and_no_records(account: Account) -> None:
    account.buy("a")
    for _ in range(5):
        account.buy("b")
        account.commit()
        assert account.fire(10) == 0
    assert account.waiting == {"a": (START + FIRST, 1), "b": (START + FIRST, 1)}


# A backlog of one sort does not starve the other.


class Crowd:
    """A worker without its loop whose partition has a crowd due, and records that come in every turn."""

    def __init__(self, folder: Path, crowd: int, a_turn: int) -> None:
        self.bench = Bench(folder / "bench", TOPOLOGY)
        self.identity = WorkerIdentity(folder / "state", "w0")
        consumer = SimpleNamespace(epoch=0, lost_sight=False, handled=lambda _: None, looked=lambda *_: self.bench.now)
        app: Any = SimpleNamespace(consumer=consumer, should_stop=False)
        config = WorkerConfig(TOPOLOGY, SCHEMAS, "p", {"bootstrap.servers": "127.0.0.1:1"}, self.identity, "c")
        config = replace(config, wall=lambda: self.bench.now, commit_interval_s=3600.0)
        self.worker = JourneyWorker(app, config)
        self.worker._partitions = {NUMBER: self.bench.partition}
        self.bench.partition.handle(block(*(purchase(f"c{n}", START, n) for n in range(crowd))), self.bench.outbox)
        self.bench.commit()
        self.bench.caught_up()
        self.offset, self.a_turn = crowd, a_turn
        self.order: list[str] = []  # "record" or "timer", as they were handled
        self._handle_blocks = self.worker._handle_blocks
        self.worker._handle_blocks = self._with_more  # type: ignore[method-assign]
        self.worker._begin_commit = self._written  # type: ignore[method-assign]

    def _with_more(self) -> int:
        self.worker._inbox.append(block(*self._more(), at_end=True))
        return self._handle_blocks()

    def _more(self) -> list[Message]:
        first, self.offset = self.offset, self.offset + self.a_turn
        return [purchase(f"other{n}", self.bench.now, n) for n in range(first, self.offset)]

    def _written(self, _touched: object, _began: float) -> None:
        for record in to(self.worker._outbox.take(), STREAMS.transitions):
            self.order.append("record" if decode_handling(record.value or b"")["event"] else "timer")
        self.bench.commit()

    def cycle(self) -> tuple[int, int]:
        """Run one cycle; give how many records and how many timers it handled."""
        self.order.clear()
        asyncio.run(self.worker._cycle())
        return self.order.count("record"), self.order.count("timer")

    def close(self) -> None:
        self.bench.close()
        self.identity.release()
        self.worker._committer.close()
        self.worker._restore_thread.shutdown()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits a twentieth of the true ones."""
    for name in ("FIRES_A_TURN", "FEW_RECORDS", "MAX_CYCLE_RECORDS"):
        monkeypatch.setattr(worker_module, name, getattr(worker_module, name) // 20)


@pytest.mark.usefixtures("few")
def test_t8_a_trickle_of_records_and_a_million_timers_go_on_side_by_side(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, crowd=1200, a_turn=5)
    try:
        records, timers = crowd.cycle()
        assert timers > 800, "records that trickle in leave no turn without any, and timers must not wait for one"
        assert records >= 40
        longest = max(len(run) for run in "".join("t" if one == "timer" else "r" for one in crowd.order).split("r"))
        assert longest <= 2 * worker_module.FIRES_A_TURN, "records wait for one batch of timers, not for all"
    finally:
        crowd.close()


@pytest.mark.usefixtures("few")
def test_t8_in_a_backlog_of_records_every_cycle_still_fires_a_batch_of_timers(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, crowd=300, a_turn=100)
    try:
        for _ in range(3):
            records, timers = crowd.cycle()
            assert timers >= worker_module.FIRES_A_TURN
            assert records > 4 * timers
    finally:
        crowd.close()


@pytest.mark.usefixtures("few")
def test_t8_records_that_come_in_many_small_blocks_are_not_left_behind_by_timers(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, crowd=600, a_turn=1)
    try:
        for _ in range(20):
            crowd.worker._inbox.append(block(*crowd._more(), at_end=True))
            crowd.worker._inbox.append(block(at_end=True))
        crowd.cycle()
        first_batch = crowd.order[: 21 + worker_module.FIRES_A_TURN]
        assert first_batch.count("record") == 21, "all that had come is handled before the first batch of timers"
        assert not crowd.worker._inbox
    finally:
        crowd.close()


def test_t5_lateness_is_measured_and_told_where_it_is_more_than_a_moment(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(lateness.log, "warning", lambda event, **fields: told.append({"event": event, **fields}))
    shown = metrics.TIMER_LATENESS.labels(NUMBER)._value
    account.buy("a")
    account.commit()
    account.jump(FIRST + TIMER_GRACE_MS + 50)
    assert account.fire(1) == 1
    assert shown.get() == pytest.approx(0.05)
    assert told == []
    account.commit()
    account.jump(SECOND + HOUR)
    assert account.fire(1) == 1
    assert shown.get() == pytest.approx(3600.05)
    assert told == [{"event": "timers_late", "partition": NUMBER, "seconds": pytest.approx(3600, abs=0.2), "timers": 1}]

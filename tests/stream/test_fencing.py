"""After a fencing: who may come back, and who must not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic

import pytest
from confluent_kafka import Consumer

from orchestrator.errors import WorkerFenced
from orchestrator.stream import fencing, holder
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.fencing import Fencings
from orchestrator.stream.holder import holder_in_group
from tests.brokers import Broker, unique

OWN = {"me-1", "me-2"}
BY_TIME = WorkerFenced("fenced", is_own_doing=True)
BY_SOMEBODY = WorkerFenced("fenced")
FOR_EVER = 3600.0


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fencing, "LOOK_S", 0.01)
    monkeypatch.setattr(fencing, "SESSION_GRACE_S", 0.0)


class Group:
    """What the group answers, one look after the other; the last answer stays."""

    def __init__(self, answers: Iterable[str | None]) -> None:
        self.answers = list(answers)
        self.looks = 0

    def __call__(self) -> str | None:
        self.looks += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _fencings(group: Group, session_s: float, is_stopped: Callable[[], bool] = lambda: False) -> Fencings:
    return Fencings("w0", group, is_stopped, session_s)


@pytest.mark.parametrize("holder", ["", "me-1", "me-2"])
def test_who_was_away_too_long_and_is_alone_comes_back_at_once(holder: str) -> None:
    group = Group([holder])
    _fencings(group, FOR_EVER).await_alone(BY_TIME, OWN)
    assert group.looks == 1


@pytest.mark.parametrize("error", [BY_TIME, BY_SOMEBODY])
def test_a_member_whose_session_times_out_was_nobody_alive(error: WorkerFenced) -> None:
    _fencings(Group(["other", "other", ""]), 0.5).await_alone(error, OWN)


@pytest.mark.parametrize("error", [BY_TIME, BY_SOMEBODY])
def test_a_second_worker_that_keeps_its_place_ends_this_one_with_what_to_look_for(error: WorkerFenced) -> None:
    began = monotonic()
    with pytest.raises(WorkerFenced, match="holds this one's place") as caught:
        _fencings(Group(["other"]), 0.2).await_alone(error, OWN)
    assert monotonic() - began >= 0.2
    assert caught.value.where == "w0"
    assert "--worker-id" in caught.value.next_step


def test_a_second_worker_that_joins_while_this_one_looks_ends_it_at_once() -> None:
    """It opens its producer first, which fences this one's; its place in the group it takes a moment later."""
    with pytest.raises(WorkerFenced, match="holds this one's place"):
        _fencings(Group(["me-1", "me-1", "other"]), FOR_EVER).await_alone(BY_SOMEBODY, OWN)


def test_who_was_fenced_by_somebody_looks_for_a_whole_session_before_it_comes_back() -> None:
    began, group = monotonic(), Group([""])
    _fencings(group, 0.2).await_alone(BY_SOMEBODY, OWN)
    assert monotonic() - began >= 0.2
    assert group.looks > 1


def test_a_group_that_cannot_be_described_keeps_nobody_away_for_longer_than_a_session() -> None:
    _fencings(Group([None]), 0.1).await_alone(BY_TIME, OWN)


def test_an_answer_that_does_not_come_does_not_make_a_second_worker_vanish() -> None:
    with pytest.raises(WorkerFenced):
        _fencings(Group(["other", None]), 0.1).await_alone(BY_TIME, OWN)


def test_looking_ends_when_the_worker_stops() -> None:
    with pytest.raises(Interrupted):
        _fencings(Group(["other"]), FOR_EVER, lambda: True).await_alone(BY_TIME, OWN)


def test_two_that_fence_each_other_end_for_all_that_the_group_shows() -> None:
    fencings = _fencings(Group([""]), FOR_EVER)
    for _ in range(fencing.MOST_FENCINGS):
        fencings.await_alone(BY_TIME, OWN)
    with pytest.raises(WorkerFenced, match="6 times in 600 s"):
        fencings.await_alone(BY_TIME, OWN)


def test_fencings_long_ago_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fencing, "FENCINGS_S", 0.0)
    fencings = _fencings(Group([""]), FOR_EVER)
    for _ in range(2 * fencing.MOST_FENCINGS):
        fencings.await_alone(BY_TIME, OWN)


def test_the_group_tells_which_member_has_a_name(kafka: Broker) -> None:
    group, topic = unique("group"), unique("topic")
    kafka.create_topic(topic, 1)
    ask = holder_in_group({"bootstrap.servers": kafka.bootstrap}, group, "w0")
    assert ask() in ("", None)  # a cluster that is new may not have a coordinator yet
    conf = {"bootstrap.servers": kafka.bootstrap, "group.id": group, "group.instance.id": "w0", "session.timeout.ms": 6000}
    member = Consumer(conf)
    assigned: list[object] = []
    member.subscribe([topic], on_assign=lambda _, parts: assigned.append(parts))
    try:
        while not assigned:
            member.poll(0.1)
        assert ask() == member.memberid()
        assert holder_in_group({"bootstrap.servers": kafka.bootstrap}, group, "w1")() == ""
    finally:
        member.close()
    assert ask()  # a static member keeps its place until its session times out


def test_a_group_that_nobody_tells_of_is_unknown() -> None:
    assert holder_in_group({"bootstrap.servers": "127.0.0.1:1"}, "g", "w0")() is None


def test_a_library_that_ends_the_process_which_asks_tells_nothing_and_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder.sys, "executable", "/bin/false")
    assert holder_in_group({"bootstrap.servers": "127.0.0.1:1"}, "g", "w0")() is None

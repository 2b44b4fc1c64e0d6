"""A source topic that is deleted ends the worker; brokers that start, and know nothing yet, do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from orchestrator.errors import TopicMismatch
from orchestrator.stream import sources
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.identity import WorkerIdentity
from orchestrator.stream.sources import GONE_AFTER_S, LOOK_EVERY_S, SourceWatch
from orchestrator.stream.worker import JourneyWorker
from tests.stream.bench import SCHEMAS, TOPOLOGY

EVENTS, OUTCOMES, OTHER = "customer.events", "journeys.outcomes", "journeys.journal"
ALL = {EVENTS, OUTCOMES, OTHER}


class Watched:
    """A watch with a clock to set: each answer comes `LOOK_EVERY_S` after the one before."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.watch = SourceWatch([EVENTS, OUTCOMES], {}, lambda: self.now)
        self.watch.suspect()

    def hears(self, *answers: set[str], brokers: int = 1) -> None:
        for topics in answers:
            self.watch.heard(brokers, topics)
            self.now += LOOK_EVERY_S


def test_a_topic_that_is_unknown_for_the_stated_time_is_gone_and_named() -> None:
    watched = Watched()
    answers = int(GONE_AFTER_S / LOOK_EVERY_S)
    watched.hears(*[{OUTCOMES, OTHER}] * answers)
    with pytest.raises(TopicMismatch, match="not known a source topic for 30 s") as caught:
        watched.hears({OUTCOMES, OTHER})
    assert caught.value.where == EVENTS
    assert caught.value.exit_code == 4
    assert "topics create" in caught.value.next_step


@pytest.mark.parametrize("brokers", [0, 1])
def test_brokers_that_know_no_topic_at_all_are_only_starting(brokers: int) -> None:
    watched = Watched()
    watched.hears(*[set[str]()] * 20, brokers=brokers)
    assert watched.watch.is_suspicious


def test_no_answer_in_between_begins_the_time_anew() -> None:
    watched = Watched()
    for _ in range(5):
        watched.hears(*[{OUTCOMES, OTHER}] * 3)
        watched.hears(set(), brokers=0)


def test_a_topic_that_is_seen_again_ends_the_suspicion() -> None:
    watched = Watched()
    watched.hears(*[{OUTCOMES, OTHER}] * 3, ALL)
    assert not watched.watch.is_suspicious
    watched.hears(*[{EVENTS, OTHER}] * 3)
    assert watched.watch.is_suspicious


def test_two_answers_in_quick_succession_prove_nothing() -> None:
    watched = Watched()
    for _ in range(100):
        watched.watch.heard(3, {OUTCOMES})


def test_brokers_that_do_not_answer_are_no_proof_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_ANSWER_S", 0.3)
    watch = SourceWatch([EVENTS], {"bootstrap.servers": "127.0.0.1:1"}, lambda: 0.0)
    watch.suspect()
    watch.heard(1, {OTHER})
    watch.look()
    assert watch._missing_since == {}


def test_an_assignment_without_a_source_topic_opens_nothing_and_raises_the_question(tmp_path: Path) -> None:
    """Else the first answer of a starting broker would end the worker as one whose topics do not fit together."""
    crashes: list[Exception] = []
    watch = SourceWatch([EVENTS, OUTCOMES], {})
    app: Any = SimpleNamespace(consumer=SimpleNamespace(sources=watch), crash=crashes.append, should_stop=False)
    identity = WorkerIdentity(tmp_path, "w0")
    worker = JourneyWorker(app, WorkerConfig(TOPOLOGY, SCHEMAS, "p", {"bootstrap.servers": "127.0.0.1:1"}, identity, "c"))
    try:
        asyncio.run(worker._open({TP(OUTCOMES, 0), TP(OUTCOMES, 1)}))
    finally:
        identity.release()
    assert worker._partitions == {}
    assert watch.is_suspicious
    assert crashes == []

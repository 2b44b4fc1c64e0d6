"""Opening partitions outlasts what Kafka does not answer, in the store's restore and in what is read of the definitions topic."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from orchestrator.errors import Unreachable
from orchestrator.stream import patience
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.patience import patiently
from orchestrator.stream.stops import Stops
from orchestrator.wire.stops import Stop


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REACH_TIMEOUT_S", 0.2)
    monkeypatch.setattr(patience, "_PAUSE_S", 0.01)


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [error] * times

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


@pytest.mark.parametrize("error", [KafkaException(KafkaError(KafkaError._TRANSPORT)), Unreachable("gone", next_step="wait")])
def test_a_lost_connection_is_tried_again(error: Exception) -> None:
    assert patiently(failing(3, error), "the log", lambda: False) == "done"


def test_what_stays_out_of_reach_is_named_with_the_next_step() -> None:
    with pytest.raises(Unreachable, match="the log cannot be read: _TRANSPORT") as caught:
        patiently(failing(10_000, KafkaException(KafkaError(KafkaError._TRANSPORT))), "the log", lambda: False)
    assert "check the brokers" in caught.value.next_step


def test_it_ends_when_the_partitions_are_not_to_be_opened_any_more() -> None:
    with pytest.raises(Interrupted):
        patiently(failing(10_000, Unreachable("gone", next_step="wait")), "the log", lambda: True)


def test_a_connection_lost_while_the_definitions_are_read_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    read = failing(1, Unreachable("gone", next_step="wait"))

    def no_stops(_: Stops) -> dict[int, Stop]:
        read()
        return {}

    monkeypatch.setattr(Stops, "read", no_stops)
    stops = Stops("app", "definitions", {})
    assert stops.rebuilt() == {}
    stops.apply_to({})

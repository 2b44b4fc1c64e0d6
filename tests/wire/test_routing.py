"""Which topic an event type goes to."""

from __future__ import annotations

from orchestrator.language.model import EventTopic, Streams
from orchestrator.wire.routing import carried_types, topic_for
from tests.wire.messages import HERE

LISTS = EventTopic("shop", HERE, ("purchase.made",))
TAKES_ALL = EventTopic("everything", HERE)
KNOWN = frozenset({"purchase.made", "auth.login"})


def test_a_topic_that_lists_the_type_goes_before_one_that_takes_all() -> None:
    streams = Streams(events=(TAKES_ALL, LISTS))
    assert topic_for(streams, "purchase.made") == "shop"
    assert topic_for(streams, "auth.login") == "everything"


def test_a_type_that_nobody_lists_goes_nowhere() -> None:
    assert topic_for(Streams(events=(LISTS,)), "auth.login") is None


def test_outcomes_go_to_the_outcomes_topic() -> None:
    assert topic_for(Streams(events=(TAKES_ALL,), outcomes="done"), "action.outcome") == "done"


def test_what_is_produced_to_a_topic_is_what_the_gate_lets_in_there() -> None:
    streams = Streams(events=(TAKES_ALL, LISTS), outcomes="done")
    carried = carried_types(streams, KNOWN)
    mine = {streams.operations: {"operation.requested"}}
    assert carried == {"shop": {"purchase.made"}, "everything": KNOWN, "done": {"action.outcome"}} | mine
    for each in KNOWN:
        topic = topic_for(streams, each)
        assert topic is not None
        assert each in carried[topic]


def test_one_topic_may_carry_events_and_outcomes() -> None:
    streams = Streams(events=(EventTopic("all", HERE, ("auth.login",)),), outcomes="all")
    assert carried_types(streams, KNOWN)["all"] == {"auth.login", "action.outcome"}


def test_only_the_topic_of_operators_carries_what_they_ask_for() -> None:
    streams = Streams(events=(TAKES_ALL,), operations="asked")
    carried = carried_types(streams, KNOWN | {"operation.requested"})
    assert [topic for topic, types in carried.items() if "operation.requested" in types] == ["asked"]
    assert topic_for(streams, "operation.requested") == "asked"

"""Whatever happened before: a merge or an erasure leaves no trace of what it should remove (rules M1, M2, F1)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.document import Document, Merged
from orchestrator.engine.handling import Handling
from orchestrator.engine.storing import decode, encode
from tests.engine.sending import policy
from tests.engine.test_merging import NIGHT
from tests.engine.world import START, World

HOUR = 3_600_000
POLICY = policy(
    "consent: {unknown: deny}",
    "caps: [{id: daily, limit: 2, per: 1d, window: rolling, over: hold, max_hold: 2d}]",
    "suppress: [{id: bad, on: rated, purposes: [promotion], for: 1d}]",
    channels=NIGHT,
)
JOURNEYS = (
    """
    journey: tries
    version: 1
    purpose: promotion
    entry: {on: began, reentry: {after: 2d, since: exit}, key: event.order}
    context: {word: event.word}
    goals: [{id: paid, on: paid, when: event.word != journey.word, within: 5d}]
    start: s
    states:
      s:
        on: [{event: rated, go: over}]
        steps:
          - id: pick
            randomize:
              experiment: e
              branches: [{arm: one, weight: 50}, {arm: two, weight: 50, holdout: true}]
          - {id: mail, send: {channel: email, template: mail, data: {word: journey.word}}}
          - {id: wait, hold_until: [{on: paid, go: over}], timeout: 3d, lookback: since_entry}
          - {id: late, when: 'count_within("paid", duration("240h")) < 3', send: {channel: email, template: late}}
          - {id: pause, delay: 1d}
      over: {final: true, outcome: over}
    """,
    """
    journey: once
    version: 1
    purpose: care
    lifetime: 4d
    entry: {on: [began, profile.updated], reentry: never}
    exit: [{on: rated, outcome: rated, send: {channel: email, template: bye}}]
    start: s
    states: {s: {rest: true, steps: [{id: mail, send: {channel: email, template: hello}}, {id: note, set: {profile.seen: now}}]}}
    """,
)
EVENTS = st.one_of(
    st.tuples(st.just("began"), st.builds(lambda order: {"order": order}, st.sampled_from(["1", "2"]))),
    st.tuples(st.sampled_from(["paid", "rated", "profile.updated"]), st.just({})),
    st.tuples(
        st.just("consent.changed"),
        st.builds(
            lambda channel, status: {"channel": channel, "purpose": "promotion", "status": status},
            st.sampled_from(["email", "*"]), st.sampled_from(["granted", "granted", "withdrawn"]),
        ),
    ),
)  # fmt: skip
PEOPLE = ("anna-id", "bert-id", "carl-id")
HISTORIES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(PEOPLE), EVENTS), max_size=25)
History = list[tuple[int, str, tuple[str, dict[str, Any]]]]


def play(world: World, history: History, after: int = 0) -> int:
    """Events at hours one after the other; each carries a word of its customer's own. Gives the hour at the end."""
    hour = after
    for gap, customer, (event_type, payload) in history:
        hour += gap
        fed = {"word": f"word-of-{customer}", **payload} if event_type != "consent.changed" else payload
        world.event(event_type, hour * HOUR, customer=customer, id=f"{customer}-{hour}-{event_type}", **fed)
    return hour


def everything_stored(world: World) -> bytes:
    held = [*world.simulation.customers.values(), *world.simulation.notes.values()]
    return b"".join(each.id.encode() + each.stored for each in held if each.stored is not None)


def said(handlings: list[Handling]) -> list[tuple[Any, ...]]:
    """What was decided and commanded, without the ids of customers."""
    return [(one.at, one.event, one.decisions, [action.template for action in one.actions], one.incidents) for one in handlings]


@given(HISTORIES, HISTORIES, st.lists(st.sampled_from(PEOPLE[:2]), max_size=2, unique=True))
@settings(max_examples=60, deadline=None)
def test_f1_m1_an_erasure_leaves_nothing_in_store_and_nothing_that_later_events_could_meet(
    before: History, after: History, merged: list[str]
) -> None:
    world = World(*JOURNEYS, policy=POLICY)
    hour = play(world, before)
    for name in merged:
        world.event("profile.merged", hour * HOUR, customer=name, id="", **{"from": name, "into": "carl-id"})
    world.event("privacy.erasure_requested", hour * HOUR, customer="carl-id", id="")
    stored = everything_stored(world)
    for name in (*merged, "carl-id"):
        assert name.encode() not in stored
        assert f"word-of-{name}".encode() not in stored

    later = [each for each in after if each[1] == "carl-id"]
    fresh = World(*JOURNEYS, policy=POLICY)
    known = len(world.handlings)
    for each in (world, fresh):
        play(each, later, hour + 1)
        each.until("1000d")
    assert said([one for one in world.handlings[known:] if one.customer == "carl-id"]) == said(fresh.handlings)


@given(HISTORIES, HISTORIES)
@settings(max_examples=60, deadline=None)
def test_m1_m2_a_merge_leaves_an_alias_and_every_instance_in_one_place(before: History, after: History) -> None:
    world = World(*JOURNEYS, policy=POLICY)
    hour = play(world, before)
    world.until(hour * HOUR)
    source, target = (world.simulation.customer(name) for name in PEOPLE[:2])
    waiting = [one for each in (source, target) for one in decode(each.stored).instances]
    (handling,) = world.event("profile.merged", hour * HOUR, customer="anna-id", id="", **{"from": "anna-id", "into": "bert-id"})[
        -1:
    ]

    assert source.stored == encode(Document(merged=Merged(into="bert-id")))
    document = decode(target.stored)
    assert encode(document) == target.stored
    kept, ended = [one.id for one in document.instances], [one for one in handling.decisions if one.kind == "merged"]
    assert len({(one.journey, one.key) for one in document.instances}) == len(kept)
    assert len(kept) + len(ended) == len(waiting)
    assert kept == [one.id for one in sorted(waiting, key=lambda one: (one.started, one.id)) if one.id in kept]
    for one in ended:
        older = next(each for each in document.instances if (each.journey, each.key) == (one.journey, one.key))
        assert one.instance != older.id.hex()
    held = [] if document.contact is None else document.contact.held
    assert {each.action.customer for each in held} <= {"bert-id"}
    assert not {each.action.instance for each in held} & {one.instance for one in ended}

    known, gone = len(world.handlings), {one.instance for one in ended}
    play(world, after, hour + 1)
    world.until("1000d")
    later = world.handlings[known:]
    assert "anna-id" not in {one.customer for one in later}
    assert "anna-id" not in {action.customer for one in later for action in one.actions}
    assert not gone & {decision.instance for one in later for decision in one.decisions if decision.kind != "outcome_received"}
    assert not world.incidents
    assert START + hour * HOUR <= min((one.at for one in later), default=START + hour * HOUR)

"""Pauses over any history (rule V6): two journeys that may be paused, one of which awaits answers, and one that never is.

There are rates, withdrawals, exits, late records, and workers that forget all but what is stored.
"""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.customer import Customer
from orchestrator.engine.engine import NEVER, Engine
from orchestrator.engine.handling import Handling
from orchestrator.simulate import Simulation
from tests.engine.sending import mail, policy
from tests.engine.test_pausing import PROMO, SECOND, STEPS
from tests.engine.world import AGAIN, START, World, journey_of, topology

TALKER = (
    PROMO.replace("template: j", "template: j, expires: 2m").replace(
        "- {id: rest, delay: 10d}", "- {id: wait, hold_until: [{on: also, go: more}], timeout: 40s}"
    )
    + "  more: {steps: [{id: on, send: {channel: sms, template: on, expires: 90s}}, {id: over, end: {}}]}\n"
)
CALLER = journey_of(
    STEPS.replace("10s}]", "10s}], on_error: no"), "caller", entry=AGAIN, more="exit: [{on: left}]", states="no: {final: true}"
)
CHANNELS = """
channels:
  email: {topic: e, rate: {limit: 1, per: 15s}}
  sms: {topic: s}
  desk: {topic: d, kind: action, rate: {limit: 2, per: 30s}}
"""
EVENTS = ("began", "began", "also", "left", "withdrawn", "pause j", "resume j", "pause caller", "resume caller")
happenings = st.tuples(st.integers(0, 3), st.sampled_from(EVENTS), st.integers(-20, 40))
History = list[tuple[int, str, int]]


@cache
def engine() -> Engine:
    return Engine(topology(TALKER, CALLER, mail("k", on="also", priority=80), policy=policy(channels=CHANNELS)))


def played(history: History, *, pauses: bool = True, restarts: bool = False) -> World:
    """Play a history; ten minutes after its last event both journeys are resumed. Nothing of a paused one may leave."""
    made = World(mail())
    made.simulation = Simulation(engine())
    for number in range(4):
        made.consent("granted", "-1h", customer=f"c{number}")
    seconds = newest = 0
    paused: set[str] = set()
    ends = [(0, "resume j", 600), (0, "resume caller", 0)]
    for number, event, step in [*history, *ends]:
        seconds = max(seconds + step, 0)
        newest = max(newest, seconds)
        if restarts:
            for holders in (made.simulation.customers, made.simulation.notes):
                holders.update({name: Customer(name, one.stored) for name, one in holders.items()})
        word, _, journey = event.partition(" ")
        if not journey:
            assert_silent(happen(made, event, f"c{number}", seconds), paused)
        elif not pauses:
            made.handlings += made.simulation.advance(START + newest * SECOND)
        elif word == "pause":
            assert_silent(made.pause(journey, newest * SECOND), paused)
            paused.add(journey)
        else:
            handlings = made.resume(journey, newest * SECOND)
            assert_silent(handlings, paused, until=START + newest * SECOND)
            paused.discard(journey)
            assert_silent(handlings, paused)
    made.until("1d")
    return made


def happen(made: World, event: str, customer: str, seconds: int) -> list[Handling]:
    if event != "withdrawn":
        return made.event(event, seconds * SECOND, customer=customer)
    told = made.consent("withdrawn", seconds * SECOND, customer=customer)
    return told + made.consent("granted", seconds * SECOND + 1, customer=customer)


def assert_silent(handlings: list[Handling], paused: set[str], until: int = NEVER) -> None:
    """Nothing of these journeys left, before `until`."""
    left = [action for each in handlings if each.at < until for action in each.actions if action.kind != "cancel"]
    assert not [action for action in left if action.journey in paused], "left in a pause"


def stories(made: World) -> dict[tuple[str, str], list[str]]:
    """What became of each command, by its journey and id: the kinds of its decisions, in order."""
    found: dict[tuple[str, str], list[str]] = {}
    for decision in made.decisions():
        if decision.action_id and decision.kind.startswith("action_"):
            found.setdefault((decision.journey, decision.action_id), []).append(decision.kind.removeprefix("action_"))
    return found


@given(st.lists(happenings, max_size=30), st.booleans())
def test_v6_nothing_leaves_in_a_pause_and_nothing_is_lost_or_sent_twice_over_it(history: History, restarts: bool) -> None:
    made = played(history, restarts=restarts)
    assert made.incidents == []
    commands = [(action.action_id, action.attempt) for action in made.actions if action.kind != "cancel"]
    assert len(commands) == len(set(commands))
    for story in stories(made).values():
        outs = story.count("emitted") + story.count("suppressed")
        assert outs + story.count("cancelled") >= 1, "lost"
        assert story[-1] in ("emitted", "suppressed", "cancelled")
    assert all(one.contact is None or not one.contact.held for one in map(made.document, made.simulation.customers))


@given(st.lists(happenings, max_size=30))
def test_v6_a12_a_pause_changes_nothing_but_when_sends_leave(history: History) -> None:
    """Entries, waits, timers and exits of a journey that awaits no answers are those of the same history without pauses."""
    with_pauses, without = (_course(played(history, pauses=each)) for each in (True, False))
    assert with_pauses == without


def _course(made: World) -> list[tuple[str, int, str, str, str, str, str]]:
    return [
        (handling.customer, handling.at, one.kind, one.instance, one.state, one.step, one.reason)
        for handling in sorted(made.handlings, key=lambda handling: (handling.customer, handling.at))
        for one in handling.decisions
        if one.journey == "j" and not one.kind.startswith("action_")
    ]

"""For how long instances were in the states that they left, as the metric gets it: from coming in until leaving, whatever way."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.engine.storing import encode
from tests.engine.world import World, journey_of, offset_ms

DAY = offset_ms("1d")
HOUR = offset_ms("1h")
TWO_STATES = journey_of(
    """
    - {id: first, delay: 1d}
    - {id: wait, hold_until: [{on: paid, go: done}], timeout: 3d, on_timeout: cold}
    """,
    more="exit: [{on: gone, outcome: gone}]",
    states="""
    cold:
      steps:
        - {id: pass, go: colder}
    colder:
      steps:
        - {id: rest, delay: 10d}
        - {id: back, go: s}
    done: {final: true, outcome: paid}
    """,
)


def stays(world: World) -> list[tuple[str, str, int]]:
    return [each for handling in world.handlings for each in handling.stays]


def test_all_waits_of_a_state_count_together_and_one_passed_through_took_no_time() -> None:
    # began 0 -- 1d first -------------- 4d timeout: cold, colder --------------------- 14d: s again
    world = World(TWO_STATES)
    world.event("began", "0s")
    world.until("20d")
    assert stays(world)[:3] == [("j", "s", 4 * DAY), ("j", "cold", 0), ("j", "colder", 10 * DAY)]


def test_nobody_stays_in_a_final_state() -> None:
    world = World(TWO_STATES)
    world.event("began", "0s")
    world.event("paid", "1d+1h")
    assert stays(world) == [("j", "s", DAY + HOUR)]
    assert world.decisions("ended")


def test_an_exit_leaves_the_state_too() -> None:
    world = World(TWO_STATES)
    world.event("began", "0s")
    world.until("5d")
    world.event("gone", "6d")
    assert stays(world)[-1] == ("j", "colder", 2 * DAY)


def test_a_late_record_makes_no_stay_shorter_than_nothing() -> None:
    world = World(TWO_STATES)
    world.event("began", "0s")
    world.until("4d+1h")
    world.event("gone", "2d")
    assert stays(world)[-1] == ("j", "colder", 0)


def test_who_came_under_an_older_release_counts_from_the_next_state_on() -> None:
    world = World(TWO_STATES)
    world.event("began", "0s")
    customer, document = world.customer(), world.document()
    document.instances = [replace(each, stood=-1) for each in document.instances]
    customer.restore(encode(document))
    world.until("20d")
    assert stays(world)[:2] == [("j", "cold", 0), ("j", "colder", 10 * DAY)]

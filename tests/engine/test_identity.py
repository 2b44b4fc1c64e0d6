from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine import identity
from tests.engine.world import AGAIN, World, journey_of

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:journey-orchestrator:ids")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=4, max_size=4), st.integers(1, 30))
def test_i1_ids_are_the_uuid5_of_the_published_recipe(names: list[str], number: int) -> None:
    journey, customer, key, event_id = names
    expected = uuid.uuid5(NAMESPACE, "\x1f".join(names))
    raw = identity.instance_id(journey, customer, key, event_id)
    assert identity.uuid_text(raw) == str(expected)
    assert identity.action_id(raw, journey, number) == str(uuid.uuid5(expected, f"{journey}\x1f{number}"))


def test_a10_the_second_use_of_the_same_names_adds_its_number() -> None:
    raw = identity.instance_id("j", "c", "k", "e", 2)
    assert identity.uuid_text(raw) == str(uuid.uuid5(NAMESPACE, "j\x1fc\x1fk\x1fe\x1f2"))


MAIL = "- {id: mail, send: {channel: email, template: hello}}"
JOURNEY = journey_of(f"{MAIL}\n- {{id: done, end: {{}}}}", entry=AGAIN)


def test_i1_a10_an_event_id_that_comes_back_after_the_window_gets_another_instance() -> None:
    # began(x) 0s ---- 24h ---- began(x) again ---- 24h ---- and again
    world = World(JOURNEY)
    for at in ("0s", "24h", "48h"):
        world.event("began", at, id="x")
    plain = uuid.uuid5(NAMESPACE, "j\x1fc1\x1f\x1fx")
    again = [uuid.uuid5(NAMESPACE, f"j\x1fc1\x1f\x1fx\x1f{use}") for use in (2, 3)]
    assert [action.instance for action in world.actions] == [str(each) for each in (plain, *again)]
    assert len({action.action_id for action in world.actions}) == 3


def test_i1_a_record_without_an_event_id_is_known_by_its_position() -> None:
    world = World(JOURNEY)
    world.event("began", "0s", id="")
    world.event("began", "0s", id="")
    expected = [str(uuid.uuid5(NAMESPACE, f"j\x1fc1\x1f\x1fevents-0-{offset}")) for offset in (0, 1)]
    assert [action.instance for action in world.actions] == expected


def test_i1_a80_a_second_visit_of_a_state_is_a_second_action() -> None:
    world = World(journey_of(MAIL, state="on: [{event: again, go: s}]\nrest: true"))
    world.event("began", "0s", id="x")
    world.event("again", "1s")
    instance = uuid.uuid5(NAMESPACE, "j\x1fc1\x1f\x1fx")
    assert [action.action_id for action in world.actions] == [str(uuid.uuid5(instance, f"mail\x1f{visit}")) for visit in (1, 2)]

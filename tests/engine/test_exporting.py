"""Exporting a customer who asks for it: what is given out, and that nothing else happens (rule F2)."""

from __future__ import annotations

from tests.engine.test_merging import merge, waiting
from tests.engine.world import World

ASKED = "privacy.export_requested"


def test_f2_everything_that_is_kept_is_given_out_and_nothing_changes() -> None:
    world = World(waiting("one"))
    world.event("began", "0s")
    world.event("profile.updated", "1s", email="a@example.org")
    before = world.document()
    (handling,) = world.event(ASKED, "1h", request_id="r-7", id="")
    assert handling.export is not None
    assert handling.export.request_id == "r-7"
    document = handling.export.document
    assert document["ids"] == ["c1"]
    kept = document["kept"]["c1"]
    assert kept["profile"]["email"]["value"] == "a@example.org"
    assert [(each["journey"], each["step"]) for each in kept["instances"]] == [("one", "wait")]
    assert "journeys-exports" in document["more_in"]
    assert "changelog" in document["kept_in"]
    (said,) = world.decisions("exported")
    assert said.detail == {"record": "events/0/2", "request_id": "r-7"}
    assert (handling.actions, handling.incidents) == ([], [])
    assert world.document() == before


def test_f2_who_is_not_known_is_told_so() -> None:
    world = World(waiting("one"))
    (handling,) = world.event(ASKED, "0s", id="")
    assert handling.export is not None
    assert handling.export.document["kept"] == {}
    assert handling.export.request_id == ""
    assert world.customer().stored is None


def test_f2_i2_the_same_request_again_is_answered_once() -> None:
    world = World(waiting("one"))
    world.event(ASKED, "0s", id="x")
    world.event(ASKED, "1s", id="x")
    assert sum(each.export is not None for each in world.handlings) == 1


def test_f2_m1_who_was_merged_is_exported_as_whom_they_go_on_as() -> None:
    world = World(waiting("one"))
    world.event("began", "0s", customer="a")
    merge(world, "1s", "a", "b")
    (handling,) = world.event(ASKED, "2s", customer="a")
    assert handling.export is not None
    assert handling.export.document["ids"] == ["b", "a"]
    assert [each["journey"] for each in handling.export.document["kept"]["b"]["instances"]] == ["one"]


def test_f2_a_journey_hears_the_request_after_it_was_answered() -> None:
    world = World(waiting("one").replace("on: began", f"on: {ASKED}"))
    (handling,) = world.event(ASKED, "0s")
    assert handling.export is not None
    assert "instances" not in handling.export.document["kept"].get("c1", {})
    assert [each.kind for each in handling.decisions][:2] == ["exported", "entered"]

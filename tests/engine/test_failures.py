"""Rule A5: a failure is an incident, and the customer stays as before; a timer that fails stops, and nothing else does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.msgpack import encode
from msgspec.structs import replace

from orchestrator.engine.engine import NEVER, Customer, Engine, next_due
from orchestrator.engine.record import Record
from orchestrator.engine.storing import HEAD, decode
from orchestrator.engine.verbs import TABLE
from tests.engine.world import START, World, offset_ms, topology

TWO = """
journey: {name}
version: 1
purpose: care
entry: {{on: began}}
start: s
states:
  s:
    steps:
      - {{id: wait, delay: {delay}}}
      - {{id: cry, alert: {{message: ring}}}}
      - {{id: mail, send: {{channel: email, template: {name}}}}}
      - {{id: stop, end: {{}}}}
"""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make `alert` fail for the journeys listed."""
    journeys: list[str] = []
    working = TABLE["alert"].arrive

    def arrive(walk: Any, step: Any) -> Any:
        if walk.instance.journey in journeys:
            raise KeyError("secret value of c1")
        return working(walk, step)

    monkeypatch.setattr(TABLE["alert"], "arrive", arrive)
    return journeys


@pytest.mark.interpreted
def test_a5_a_failing_record_is_an_incident_without_values_and_changes_no_byte(broken: list[str]) -> None:
    broken.append("now")
    world = World(TWO.format(name="now", delay="0s"), TWO.format(name="later", delay="1d"))
    world.event("profile.updated", "0s", plan="pro")
    stored = world.customer().stored
    (handling,) = world.event("began", "1s", id="x")
    (incident,) = handling.incidents
    assert (incident.reason, incident.journey, incident.stage, handling.event_id) == ("handler_error", "now", "engine", "x")
    assert re.fullmatch(r"KeyError at orchestrator/engine/walk\.py:\d+ in _run", incident.message)
    assert (handling.decisions, handling.actions) == ([], [])
    assert world.customer().stored is stored
    broken.clear()
    world.event("began", "2s", id="x")
    assert len(world.decisions("entered")) == 2, "the failed record was not remembered as handled"


@pytest.mark.interpreted
def test_a5_t6_a_failing_timer_parks_its_instance_and_the_others_fire(broken: list[str]) -> None:
    # all three are due at 1d; bb fails
    broken.append("bb")
    world = World(*(TWO.format(name=name, delay="1d") for name in ("aa", "bb", "cc")))
    world.event("began", "0s")
    world.until("30d")
    assert [incident.reason for incident in world.incidents].count("handler_error") == 1
    assert sorted(action.template for action in world.actions) == ["aa", "cc"]
    (parked,) = world.document().instances
    assert (parked.journey, parked.parked, parked.step, parked.due) == ("bb", "handler_error", "wait", 0)
    assert next_due(world.customer().stored) == NEVER


@pytest.mark.parametrize(
    "body", [b"\xc1damaged", encode([b"", [], {}, {}, [], {}, [], None, "no contact"])], ids=["all of it", "its sends"]
)
def test_a5_a_document_that_cannot_be_read_is_an_incident_and_does_not_fire_for_ever(body: bytes) -> None:
    engine = Engine(topology(TWO.format(name="aa", delay="1d")))
    damaged = HEAD.pack(1, START) + body
    customer = Customer("c1", damaged)
    (handling,) = engine.fire(customer, START + 1)
    assert [incident.reason for incident in handling.incidents] == ["handler_error"]
    assert next_due(customer.stored) == NEVER
    assert customer.stored is not None
    assert customer.stored[HEAD.size :] == damaged[HEAD.size :]
    (again,) = engine.handle(customer, Record("began", "c1", "x", START, {}), START)
    assert [incident.stage for incident in again.incidents] == ["engine"]


def test_a5_a_newer_document_format_is_refused_and_kept() -> None:
    engine = Engine(topology(TWO.format(name="aa", delay="1d")))
    newer = HEAD.pack(2, NEVER) + b"\x90"
    customer = Customer("c1", newer)
    (handling,) = engine.handle(customer, Record("began", "c1", "x", START, {}), START)
    assert handling.incidents[0].reason == "handler_error"
    assert customer.stored is newer


def test_v1_a_version_that_is_not_loaded_parks_its_instances_with_an_incident() -> None:
    first = topology(TWO.format(name="aa", delay="1d"))
    customer = Customer("c1", None)
    Engine(first).handle(customer, Record("began", "c1", "x", START, {}), START)
    without = Engine(topology(TWO.format(name="other", delay="1d")))
    without.handle(customer, Record("began", "c1", "y", START + 1, {}), START + 1)
    handlings = without.fire(customer, NEVER)
    assert [incident.reason for handling in handlings for incident in handling.incidents] == ["version_missing", "alert"]
    parked = [one for one in decode(customer.stored).instances if one.journey == "aa"]
    assert [one.parked for one in parked] == ["version_missing"]
    assert "keep its file under earlier/" in handlings[0].incidents[0].message


def test_expiry_ends_an_instance_whatever_it_waits_for() -> None:
    given = topology(TWO.format(name="aa", delay="3d"))
    engine = Engine(replace(given, journeys=tuple(replace(each, lifetime_ms=offset_ms("1d")) for each in given.journeys)))
    customer = Customer("c1", None)
    engine.handle(customer, Record("began", "c1", "x", START, {}), START)
    assert next_due(customer.stored) == START + offset_ms("1d")
    (handling,) = engine.fire(customer, NEVER)
    assert [(decision.kind, decision.state) for decision in handling.decisions] == [("expired", "s")]
    assert decode(customer.stored).instances == []

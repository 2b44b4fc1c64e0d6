"""The demo's last minute: refusals in the present, the same in every run but for their times."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator import defaults
from orchestrator.engine.record import Record
from orchestrator.operate.demo.live import ATTEMPTS, SIZE, refusals, zone_of_noon
from orchestrator.simulate import Simulation
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace

NOW = 1_767_571_200_000  # 2026-01-05T00:00:00Z
HOUR = 3_600_000


def test_everybody_is_refused_four_times_and_the_last_time_is_now() -> None:
    events = refusals(NOW)
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert len({event.customer for event in events}) == SIZE
    last = [event for event in events if event.data.get("attempt") == ATTEMPTS]
    assert len(last) == SIZE
    assert {event.at for event in last} == {NOW}


def test_only_times_and_zones_differ_between_two_runs() -> None:
    def told(now: int) -> list[object]:
        return [(e.customer, e.event, e.id, e.at - now, {**e.data, "timezone": ""}) for e in refusals(now)]

    assert told(NOW) == told(NOW + 7 * HOUR)


def test_every_event_fits_its_schema() -> None:
    schemas = load_schemas()
    for event in refusals(NOW):
        schema = schemas.get(event.event)
        assert schema is not None
        assert schema.encode(event.customer, event.id, event.at, event.data)


@pytest.mark.parametrize("hour", range(24))
def test_it_is_noon_where_they_live(hour: int) -> None:
    now = NOW + hour * HOUR
    assert datetime.fromtimestamp(now / 1000, ZoneInfo(zone_of_noon(now))).hour == 12


@pytest.mark.parametrize("hour", [0, 9, 17])
def test_the_shipped_journey_opens_a_case_for_each_and_no_quiet_hours_come_in(hour: int) -> None:
    simulation = Simulation(Workspace.load(defaults.TOPOLOGIES).topology)
    found = []
    for event in refusals(NOW + hour * HOUR):
        for handling in simulation.feed(Record(event.event, event.customer, event.id, event.at, dict(event.data))):
            found += [decision.kind for decision in handling.decisions if decision.kind == "action_held"]
            found += [action.step for action in handling.actions]
    assert sorted(found) == ["open-case"] * SIZE + ["payment-reminder"] * SIZE

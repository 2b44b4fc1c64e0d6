"""Virtual time, and the `simulate` command from files to files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import build
from orchestrator.engine.record import Record
from orchestrator.errors import BrokenInput, InvalidTopology, UsageError
from orchestrator.simulate import Simulation
from orchestrator.workspace import Workspace
from tests.engine.world import AGAIN, START, World, journey_of, offset_ms
from tests.oracle.compare import differences
from tests.oracle.winback import ExpectedAction, Purchase, expected_actions, read_purchases

TOPOLOGIES = Path(__file__).parent.parent / "topologies"
DAY = offset_ms("1d")

REMIND = """
- id: wait
  hold_until: [{on: done, go: over}]
  timeout: 2d
- {id: mail, send: {channel: email, template: nudge}}
- {id: stop, end: {}}
"""
NUDGE = journey_of(REMIND, "nudge", entry=AGAIN, states="over: {final: true}")


def test_t3_a_record_fires_the_due_timers_of_all_customers_in_due_order() -> None:
    # b 0 ----- 2d | a 1h ----- 2d1h | c's record comes at 5d
    world = World(NUDGE)
    world.event("began", "0s", customer="b")
    world.event("began", "1h", customer="a")
    handlings = world.event("began", "5d", customer="c")
    assert [(handling.customer, handling.at - START) for handling in handlings] == [
        ("b", 2 * DAY),
        ("a", 2 * DAY + offset_ms("1h")),
        ("c", 5 * DAY),
    ]


def test_timers_of_one_instant_fire_by_customer_id() -> None:
    world = World(NUDGE)
    for customer in ("b", "c", "a"):
        world.event("began", "0s", customer=customer)
    assert [handling.customer for handling in world.until("2d")] == ["a", "b", "c"]


@pytest.mark.parametrize(("until", "fires"), [("2d-1ms", False), ("2d", True)])
def test_a22_until_fires_what_is_due_at_exactly_that_instant(until: str, fires: bool) -> None:
    world = World(NUDGE)
    world.event("began", "0s")
    world.until(until)
    assert bool(world.actions) is fires


def test_t4_the_clock_is_the_newest_record_time_and_a_late_record_does_not_turn_it_back() -> None:
    # c2 at 3d moves the clock; c1's done of 1d comes after: late, its timer of 2d has fired
    world = World(NUDGE)
    world.event("began", "0s", customer="c1")
    world.event("began", "3d", customer="c2")
    world.event("done", "1d", customer="c1")
    assert world.simulation.clock == START + 3 * DAY
    assert [(action.customer, action.created_at - START) for action in world.actions] == [("c1", 2 * DAY)]
    assert world.decisions("hold_resolved")[0].by == "timeout"


def test_a_timer_that_was_replaced_does_not_fire_at_its_old_time() -> None:
    # began 0 -> 2d; done 1d; began 1d+1h -> 3d+1h: nothing at 2d
    world = World(NUDGE)
    for event, at in (("began", "0s"), ("done", "1d"), ("began", "1d+1h")):
        world.event(event, at)
    world.until("10d")
    assert world.sent() == [("nudge", 3 * DAY + offset_ms("1h"))]


def test_an_unheard_type_moves_the_clock_and_makes_no_customer() -> None:
    world = World(NUDGE)
    world.event("began", "0s")
    world.event("weather.changed", "5d", customer="other")
    assert world.sent() == [("nudge", 2 * DAY)]
    assert "other" not in world.simulation.customers


def _expected(action: Any) -> ExpectedAction:
    return ExpectedAction(action.created_at, action.customer, action.template, action.instance, action.action_id)


def _record(purchase: Purchase) -> Record:
    return Record(
        "purchase.made", purchase.customer, f"p{purchase.row}", purchase.at, {"quantity": 1, "price": 9.5}, offset=purchase.row
    )


def test_t3_e3_i1_the_shipped_winback_over_all_purchases_agrees_with_the_oracle() -> None:
    purchases = read_purchases()
    until = max(purchase.at for purchase in purchases) + 200 * DAY
    simulation = Simulation(Workspace.load(TOPOLOGIES).topology)
    handlings = []
    for purchase in sorted(purchases, key=lambda each: (each.at, each.row)):
        handlings += simulation.feed(_record(purchase))
    handlings += simulation.run_until(until)
    assert not [handling for handling in handlings if handling.incidents]
    actions = [_expected(action) for handling in handlings for action in handling.actions]
    assert differences(expected_actions(purchases, until), actions) == []
    assert [action.at for action in actions] == sorted(action.at for action in actions)


# The command.

SCHEMA = {
    "type": "record", "name": "PurchaseMade", "namespace": "journeys.events",
    "event_type": "purchase.made", "event_version": "1.0",
    "fields": [
        {"name": "event_id", "type": "string"}, {"name": "customer_id", "type": "string"},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": "double"}, {"name": "note", "type": ["null", "string"], "default": None},
    ],
}  # fmt: skip
JOURNEY = """
journey: winback
version: 1
owner: team
purpose: winback
entry: {on: purchase.made, when: event.price > 1.0, reentry: always}
exit: [{on: purchase.made, outcome: again}]
start: quiet
states:
  quiet:
    steps:
      - {id: wait, delay: 60d}
      - {id: miss-you, send: {channel: email, template: miss-you}}
      - {id: stop, end: {}}
"""
POLICY = "channels:\n  email: {topic: a.email}\npurposes:\n  winback: {consent: not_required}\n"


class Room:
    """A folder with a topology, schemas and an events file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "t" / "journeys").mkdir(parents=True)
        (folder / "t" / "journeys" / "winback.yaml").write_text(JOURNEY)
        (folder / "t" / "policy.yaml").write_text(POLICY)
        (folder / "avro" / "events").mkdir(parents=True)
        (folder / "avro" / "events" / "purchase.made.avsc").write_text(json.dumps(SCHEMA))
        self.events = folder / "events.jsonl"
        self.actions = folder / "actions.jsonl"
        self.decisions = folder / "decisions.jsonl"

    def write(self, *lines: str | dict[str, Any]) -> None:
        self.events.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))

    def run(self, *more: str, until: str = "2026-12-31T00:00:00Z") -> Result:
        arguments = [
            "simulate",
            "--topologies",
            f"{self.folder / 't'}",
            "--events",
            f"{self.events}",
            "--schemas",
            f"{self.folder / 'avro'}",
        ]
        outputs = ["--actions", f"{self.actions}", "--decisions", f"{self.decisions}"]
        return CliRunner().invoke(build(), [*arguments, *outputs, *(["--until", until] if until else []), *more])

    def read(self, path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def purchase(at: str, customer: str = "1", id: str | None = "p0", event: str = "purchase.made", **fields: Any) -> dict[str, Any]:
    line = {"at": at, "customer": customer, "event": event, "data": {"price": 11.77, **fields}}
    return line if id is None else {**line, "id": id}


def test_actions_and_decisions_are_lines_with_times_in_utc(room: Room) -> None:
    room.write(purchase("2026-01-01T00:00:00Z"), purchase("2026-01-02T11:00:00.250+11:00", "2", "p1"))
    assert room.run().exit_code == 0
    actions = room.read(room.actions)
    assert [(line["at"], line["customer"]) for line in actions] == [
        ("2026-03-02T00:00:00Z", "1"),
        ("2026-03-03T00:00:00.250Z", "2"),
    ]
    assert {name: actions[0][name] for name in ("journey", "step", "channel", "template", "purpose", "expires_at")} == {
        "journey": "winback", "step": "miss-you", "channel": "email", "template": "miss-you", "purpose": "winback",
        "expires_at": "2026-03-03T00:00:00Z",
    }  # fmt: skip
    assert len({line["action_id"] for line in actions}) == 2
    first = [line for line in room.read(room.decisions) if line["customer"] == "1"]
    assert [line["kind"] for line in first] == [
        "entered",
        "state_entered",
        "delay_started",
        "delay_ended",
        "ended",
        "action_emitted",
    ]
    assert all(name in line for line in first for name in ("at", "customer", "journey", "kind", "reason"))
    assert first[2]["detail"] == {"deadline": "2026-03-02T00:00:00Z"}
    assert (first[0]["event"], first[0]["event_id"], "event" in first[-1]) == ("purchase.made", "p0", False)


def test_the_summary_is_a_table_or_json(room: Room) -> None:
    room.write(
        purchase("2026-01-01T00:00:00Z"), purchase("2026-01-05T00:00:00Z", id="p1", price=0.5), purchase("2026-01-06T00:00:00Z")
    )
    table = room.run()
    assert re.search(r"^winback  miss-you  email    miss-you      1$", table.stdout, re.MULTILINE)
    assert re.search(r"^winback  entry_refused  condition      1$", table.stdout, re.MULTILINE)
    told = json.loads(room.run("--json").stdout)
    assert told["events"] == {"handled": 3, "unheard": 0, "after_until": 0, "not_fitting_schema": 0}
    assert told["customers"] == 1
    assert told["journeys"]["winback"] == {
        "action_emitted": 1,
        "delay_ended": 1,
        "delay_started": 2,
        "ended": 1,
        "entered": 2,
        "entry_refused": 1,
        "exited": 1,
        "state_entered": 2,
    }
    assert told["refusals"] == [{"journey": "winback", "kind": "entry_refused", "reason": "condition", "count": 1}]
    assert told["actions"] == [{"journey": "winback", "step": "miss-you", "channel": "email", "template": "miss-you", "count": 1}]


def test_a52_a_line_without_an_id_is_never_a_repeat_and_one_with_an_id_is(room: Room) -> None:
    room.write(
        *(purchase("2026-01-01T00:00:00Z", id=None) for _ in range(2)),
        *(purchase("2026-01-02T00:00:00Z", id="x") for _ in range(2)),
    )
    told = json.loads(room.run("--json").stdout)
    assert told["journeys"]["winback"]["entered"] == 3
    assert told["events"]["duplicate_events"] == 1


def test_a_type_that_no_schema_declares_is_taken_as_given_and_said_once(room: Room) -> None:
    journey = JOURNEY.replace("on: purchase.made, outcome", "on: shop.left, when: event.how == 'angry', outcome")
    (room.folder / "t" / "journeys" / "winback.yaml").write_text(journey)
    left = {"at": "2026-01-03T00:00:00Z", "customer": "1", "event": "shop.left", "data": {"how": "angry"}}
    room.write(purchase("2026-01-01T00:00:00Z"), left, left)
    result = room.run()
    assert result.exit_code == 0
    assert result.stderr.count("shop.left") == 1
    assert "taken as given" in result.stderr
    assert room.read(room.actions) == []


def test_b1_an_event_that_does_not_fit_its_schema_is_an_incident_with_its_line(room: Room) -> None:
    room.write(
        purchase("2026-01-01T00:00:00Z"),
        purchase("2026-01-02T00:00:00Z", "2", price="dear"),
        purchase("2026-01-03T00:00:00Z", "3", colour="red"),
    )
    result = room.run("--json")
    assert result.exit_code == 0
    assert f"{room.events}:2: " in result.stderr
    assert f"{room.events}:3: " in result.stderr
    assert "dear" not in result.stderr
    assert json.loads(result.stdout)["events"] == {"handled": 1, "unheard": 0, "after_until": 0, "not_fitting_schema": 2}


def test_lines_that_are_no_events_are_all_reported_and_nothing_is_written(room: Room) -> None:
    room.actions.write_text("from before\n")
    room.write(
        purchase("2026-01-01T00:00:00Z"), "{not json", '{"at": "yesterday", "customer": "", "event": "purchase.made"}', "[]"
    )
    result = room.run()
    assert isinstance(result.exception, BrokenInput)
    assert result.exception.exit_code == 1
    assert {line.split(" ")[0] for line in result.stderr.splitlines()} == {f"{room.events}:{number}:" for number in (2, 3, 4)}
    assert "at:" in result.stderr
    assert "customer:" in result.stderr
    assert room.actions.read_text() == "from before\n"
    assert sorted(path.name for path in room.folder.iterdir()) == ["actions.jsonl", "avro", "events.jsonl", "t"]


def test_a22_until_is_the_newest_event_unless_given_and_later_events_are_left_out(room: Room) -> None:
    room.write(purchase("2026-01-01T00:00:00Z"), purchase("2026-03-02T00:00:00Z", "2", "p1"))
    assert json.loads(room.run("--json", until="").stdout)["until"] == "2026-03-02T00:00:00Z"
    assert len(room.read(room.actions)) == 1
    result = room.run("--json", until="2026-03-01T23:59:59.999Z")
    assert json.loads(result.stdout)["events"]["after_until"] == 1
    assert "1 events are later than --until" in result.stderr
    assert room.read(room.actions) == []


def test_a20_an_earlier_event_written_later_is_a_late_record(room: Room) -> None:
    # 1's timer of 2026-03-02 has fired when its purchase of February comes
    room.write(
        purchase("2026-01-01T00:00:00Z"), purchase("2026-03-10T00:00:00Z", "2", "p1"), purchase("2026-02-01T00:00:00Z", "1", "p2")
    )
    room.run(until="2026-03-10T00:00:00Z")
    assert [(line["at"], line["customer"]) for line in room.read(room.actions)] == [("2026-03-02T00:00:00Z", "1")]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"--until": "tomorrow"}, UsageError),
        ({"--events": "nowhere.jsonl"}, UsageError),
        ({"--topologies": "nowhere"}, UsageError),
        ({"--schemas": "nowhere"}, UsageError),
        ({"--actions": "nowhere/actions.jsonl"}, UsageError),
    ],
)
def test_a_wrong_option_is_said_before_anything_runs(room: Room, change: dict[str, str], error: type[Exception]) -> None:
    room.write(purchase("2026-01-01T00:00:00Z"))
    given = {
        "--topologies": f"{room.folder / 't'}",
        "--events": f"{room.events}",
        "--schemas": f"{room.folder / 'avro'}",
    } | change
    result = CliRunner().invoke(build(), ["simulate", *(word for pair in given.items() for word in pair)])
    assert isinstance(result.exception, error)


def test_a_topology_with_mistakes_is_refused_with_every_one(room: Room) -> None:
    (room.folder / "t" / "journeys" / "winback.yaml").write_text(
        JOURNEY.replace("delay: 60d", "delay: soon").replace("channel: email", "channel: emial")
    )
    room.write(purchase("2026-01-01T00:00:00Z"))
    result = room.run()
    assert isinstance(result.exception, InvalidTopology)
    assert "soon" in str(result.exception)
    assert "emial" in str(result.exception)

"""Running a scenario in virtual time: entries in written order, which is offset order (ruling A20), then up to `until`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.outputs import Incident
from orchestrator.engine.record import Record
from orchestrator.language import codes
from orchestrator.language.problems import Problems
from orchestrator.names import ACTION_OUTCOME
from orchestrator.operate.scenarios.scenario import (
    Given,
    GivenEvent,
    GivenOutcome,
    GivenPause,
    GivenPublish,
    GivenRaw,
    GivenRedrive,
    Scenario,
)
from orchestrator.operate.scenarios.stage import Stage
from orchestrator.simulate import Simulation
from orchestrator.wire.gate import Gate, Refusal

TOPIC: Final = "events"
EVERYBODY: Final = "\x00"  # the customer of a moment that is in every timeline; nobody's id begins so


class Moment(Struct, gc=False):
    """One line of a customer's time: an event of the scenario, or timers. `handling` holds what it did, if anything."""

    customer: str
    at: int
    event: str  # "" for timers, "redrive <step>" or "pause <journey>" for an operator
    handling: Handling


class Seen(Struct):
    """Everything that happened, in order."""

    moments: list[Moment] = field(default_factory=list)

    def of(self, customer: str) -> list[Moment]:
        """Give one customer's moments, with those of everybody."""
        return [moment for moment in self.moments if moment.customer in (customer, EVERYBODY)]

    def actions(self) -> Iterator[tuple[Moment, Action]]:
        """Give every action with its moment."""
        return ((moment, action) for moment in self.moments for action in moment.handling.actions)


class RawMessage(Struct, frozen=True):
    """Bytes of a scenario as the gate reads a Kafka message."""

    given: GivenRaw
    number: int

    def topic(self) -> str:
        """The topic as written."""
        return self.given.topic

    def partition(self) -> int:
        """Virtual time has one partition."""
        return 0

    def offset(self) -> int:
        """The entry's place in the scenario."""
        return self.number

    def key(self) -> bytes | None:
        """The key as written; none where it is not."""
        return self.given.key.encode() or None

    def value(self) -> bytes | None:
        """The bytes."""
        return self.given.value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """A scenario writes none."""
        return None

    def timestamp(self) -> tuple[int, int]:
        """The time as written, by the producer."""
        return 1, self.given.at


def play(scenario: Scenario, stages: Sequence[Stage], problems: Problems) -> Seen | None:
    """Run it; None, with problems, where an entry cannot be given as it is written.

    `stages`: the one to begin on, then one for each `publish`, in written order.
    """
    player = _Player(stages, problems)
    for number, given in enumerate(scenario.given, 1):
        player.give(number, given)
        if problems.has_errors:
            return None
    player.take(player.simulation.run_until(scenario.until))
    return player.seen


class _Player:
    def __init__(self, stages: Sequence[Stage], problems: Problems) -> None:
        self._stage, *following = stages
        self._following = iter(following)
        self.simulation = Simulation(self._stage.engine)
        self.seen = Seen()
        self._problems = problems

    def give(self, number: int, given: Given) -> None:
        match given:
            case GivenEvent():
                self._give_event(number, given)
            case GivenOutcome():
                self._give_outcome(number, given)
            case GivenRaw():
                self._give_raw(number, given)
            case GivenPublish():
                self._publish(given)
            case GivenRedrive():
                self._redrive(given)
            case GivenPause():
                self._pause(given)

    def take(self, handlings: list[Handling], record: Record | None = None) -> None:
        """Note what happened; a record that did nothing is noted too, so that a reader of the timeline sees that it came."""
        told = False
        for handling in handlings:
            self.seen.moments.append(Moment(handling.customer, handling.at, handling.event, handling))
            told = told or bool(handling.event)
        if record is not None and not told:
            nothing = Handling(record.customer, record.time, record.type, record.event_id)
            self.seen.moments.append(Moment(record.customer, record.time, record.type, nothing))

    def _give_event(self, number: int, given: GivenEvent) -> None:
        schema = self._stage.schemas.get(given.event) if self._stage.checks(given.event) else None
        payload = dict(given.data) if schema is None else schema.plain(given.data)
        origin = (TOPIC, number, schema.schema_id if schema else "")
        for customer in given.customers:
            event_id = given.id or f"given-{number}"
            if given.is_pattern:
                event_id = f"{event_id}-{customer}"
            self._feed(given.event, customer, event_id, given.at, dict(payload), origin)

    def _feed(
        self, event: str, customer: str, event_id: str, at: int, payload: dict[str, Any], origin: tuple[str, int, str]
    ) -> None:
        topic, number, version = origin
        record = Record(event, customer, event_id, at, payload, topic, 0, number, at, version)
        self.take(self.simulation.feed(record), record)

    def _give_outcome(self, number: int, given: GivenOutcome) -> None:
        action = self._latest(given)
        if action is None:
            return
        payload = {"action_id": action.action_id, "status": given.status, "code": given.code or None, "data": dict(given.data)}
        topic = self._stage.topology.streams.outcomes
        self._feed(ACTION_OUTCOME, action.customer, f"given-{number}", given.at, payload, (topic, number, ""))

    def _latest(self, given: GivenOutcome) -> Action | None:
        """Give the latest action of the step; one that could be meant of several customers or keys is a problem (ruling A24)."""
        # What is due before the outcome has happened by then.
        self.take(self.simulation.advance(given.at))
        found = [
            action
            for _, action in self.seen.actions()
            if action.step == given.of and action.kind != "cancel" and given.customer in ("", action.customer)
            if given.key in ("", action.key)
        ]
        whose = sorted({(action.customer, action.key) for action in found})
        if not found:
            self._problems.error(given.of_place, codes.UNCLEAR_OUTCOME, f"no action of step {given.of!r} was made before this")
            return None
        if len(whose) > 1:
            told = ", ".join(f"{customer} {key}".strip() for customer, key in whose[:5])
            message = f"step {given.of!r} acted for several ({told}): name the `customer`, and the `key` where there are keys"
            self._problems.error(given.of_place, codes.UNCLEAR_OUTCOME, message)
            return None
        return found[-1]

    def _give_raw(self, number: int, given: GivenRaw) -> None:
        streams = self._stage.topology.streams
        if not streams.events:
            message = "`raw` needs `topologies` with a streams.yaml: only that says which topics carry which events"
            self._problems.error(given.place, codes.CONFLICT, message)
            return
        gate = Gate(self._stage.schemas, streams, self.simulation.engine.hears, reads=self.simulation.engine.reads)
        found = gate.admit(RawMessage(given, number), max(self.simulation.clock, given.at))
        if isinstance(found, Record):
            self.take(self.simulation.feed(found), found)
        elif isinstance(found, Refusal):
            handling = Handling(given.key, given.at, "raw bytes")
            handling.incidents.append(Incident(found.reason, found.message))
            self.take([handling])

    def _publish(self, given: GivenPublish) -> None:
        # What is due by then is decided by the version that was live.
        self.take(self.simulation.advance(given.at))
        self._stage = next(self._following)
        self.simulation.engine = self._stage.engine

    def _redrive(self, given: GivenRedrive) -> None:
        self.take(self.simulation.advance(given.at))
        handlings = self.simulation.redrive(given.customer, given.step, given.at, given.journey)
        # Noted even where nothing was parked, so that a reader of the timeline sees that it was tried.
        for handling in handlings or [Handling(given.customer, given.at)]:
            self.seen.moments.append(Moment(given.customer, given.at, f"redrive {given.step}", handling))
        self.take(self.simulation.advance(given.at))

    def _pause(self, given: GivenPause) -> None:
        self.take(self.simulation.advance(given.at))
        moment = Moment(EVERYBODY, given.at, f"{given.word} {given.journey}", Handling(EVERYBODY, given.at))
        self.seen.moments.append(moment)
        resume, pause = self.simulation.resume, partial(self.simulation.pause, freezes=given.is_frozen)
        act = resume if given.is_resume else pause
        self.take(act(given.journey, given.at))

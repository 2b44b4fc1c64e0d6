"""A file of events through the engine in virtual time: what `orchestrator simulate` does, without its command line.

The events file is checked line by line while it is handled. Outputs are written beside their final names and take those only
at the end, so that a broken file leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import orjson
from msgspec import Struct, field

from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.language.model import Topology
from orchestrator.names import Kind
from orchestrator.simulate import Simulation
from orchestrator.wire.lines import EventLine, action_line, iso, read_lines
from orchestrator.wire.schemas import BadEvent, SchemaSet

Progress = Callable[[int], None]

_REST: Final = ("version", "instance", "key", "state", "step", "by", "outcome", "arm", "channel", "action_id")
_rest = attrgetter(*_REST)
_INSTANTS: Final = ("deadline",)  # details of a decision that are ms UTC


class FaultyLine(Struct, frozen=True):
    """A line of the events file and what is wrong with it, without its values."""

    number: int
    faults: tuple[str, ...]


class Tally(Struct):
    """What a run came to. `until` is ms UTC."""

    events: int = 0
    unheard: int = 0
    after_until: int = 0
    customers: int = 0
    instances: int = 0  # still active at the end
    until: int = 0
    decisions: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # journey, kind, reason
    actions: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)  # journey, step, channel, template or action
    incidents: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # reason, journey, step
    counts: Counter[str] = field(default_factory=Counter)  # names.Count
    without_schema: list[str] = field(default_factory=list)
    broken: list[FaultyLine] = field(default_factory=list)  # lines that are no events
    misfits: list[FaultyLine] = field(default_factory=list)  # events that do not fit their schema


class Outputs(Struct):
    """Where actions and decisions go, as JSON lines; None for nowhere."""

    actions: IO[bytes] | None = None
    decisions: IO[bytes] | None = None


class VirtualRun:
    """One run over one topology. `on_unknown_type` is told once of each event type that no schema declares."""

    def __init__(
        self, topology: Topology, schemas: SchemaSet, outputs: Outputs, on_unknown_type: Callable[[str], None] = lambda _: None
    ) -> None:
        self.tally = Tally()
        self._simulation = Simulation(topology)
        self._schemas = schemas
        self._outputs = outputs
        self._on_unknown_type = on_unknown_type

    def go(self, lines: Iterable[bytes], until: int | None) -> Tally:
        """Handle the lines in written order, which is offset order (ruling A20), then run the clock to `until` (ms UTC).

        Events later than `until` are counted and left out; without `until` the newest event's time is the end (ruling A22).
        Lines that are no events are gathered in `tally.broken`.
        """
        tally, simulation = self.tally, self._simulation
        for number, event in read_lines(lines):
            if isinstance(event, BadEvent):
                tally.broken.append(FaultyLine(number, tuple(event.faults)))
            elif until is not None and event.at > until:
                tally.after_until += 1
            else:
                self._feed(number, event)
        tally.until = simulation.clock if until is None else until
        self._take(simulation.run_until(tally.until))
        tally.customers = sum(customer.stored is not None for customer in simulation.customers.values())
        documents = [customer.document for customer in simulation.customers.values()]
        tally.instances = sum(len(document.instances) for document in documents if document is not None)
        return tally

    def _feed(self, number: int, event: EventLine) -> None:
        tally = self.tally
        tally.events += 1
        payload: dict[str, Any] = event.data
        version = ""
        schema = self._schemas.get(event.event)
        if schema is None:
            if event.event not in tally.without_schema:
                tally.without_schema.append(event.event)
                self._on_unknown_type(event.event)
        else:
            try:
                payload, version = schema.plain(event.data), schema.schema_id
            except BadEvent as error:
                tally.misfits.append(FaultyLine(number, tuple(error.faults)))
                return
        if not self._simulation.engine.hears(event.event):
            tally.unheard += 1
        record = Record(event.event, event.customer, event.id, event.at, payload, "events", 0, number - 1, event.at, version)
        self._take(self._simulation.feed(record))

    def _take(self, handlings: list[Handling]) -> None:
        tally = self.tally
        for handling in handlings:
            for decision in handling.decisions:
                tally.decisions[decision.journey, decision.kind, decision.reason] += 1
            for action in handling.actions:
                tally.actions[action.journey, action.step, action.channel, action.template or action.action] += 1
            for incident in handling.incidents:
                tally.incidents[incident.reason, incident.journey, incident.step] += 1
            tally.counts.update(handling.counts)
            self._write(handling)

    def _write(self, handling: Handling) -> None:
        if self._outputs.actions is not None and handling.actions:
            write_lines(self._outputs.actions, action_lines(handling))
        if self._outputs.decisions is not None and handling.decisions:
            write_lines(self._outputs.decisions, decision_lines(handling))


def action_lines(handling: Handling) -> Iterator[dict[str, Any]]:
    """Give a handling's actions as `wire.lines.action_line` does."""
    for action in handling.actions:
        yield action_line(msgspec.to_builtins(action.plain()))


def decision_lines(handling: Handling) -> Iterator[dict[str, Any]]:
    """Give a handling's decisions as people and scripts read them: at, customer, journey, kind, reason, then the rest."""
    at, customer, event, event_id = iso(handling.at), handling.customer, handling.event, handling.event_id
    for decision in handling.decisions:
        line: dict[str, Any] = {
            "at": at, "customer": customer, "journey": decision.journey, "kind": decision.kind, "reason": decision.reason,
        }  # fmt: skip
        for name, value in zip(_REST, _rest(decision), strict=True):
            if value:
                line[name] = value
        if event:
            line["event"] = event
        if event_id:
            line["event_id"] = event_id
        if decision.detail:
            line["detail"] = {name: iso(int(value)) if name in _INSTANTS else value for name, value in decision.detail.items()}
        yield line


def summary(tally: Tally) -> dict[str, Any]:
    """Give a tally as JSON."""
    return {
        "until": iso(tally.until),
        "events": {
            "handled": tally.events - tally.unheard - len(tally.misfits),
            "unheard": tally.unheard,
            "after_until": tally.after_until,
            "not_fitting_schema": len(tally.misfits),
            **tally.counts,
        },
        "customers": tally.customers,
        "active_instances": tally.instances,
        "journeys": _by_journey(tally),
        "actions": [
            {"journey": journey, "step": step, "channel": channel, "template": template, "count": count}
            for (journey, step, channel, template), count in sorted(tally.actions.items())
        ],
        "refusals": [
            {"journey": journey, "kind": kind, "reason": reason, "count": count}
            for (journey, kind, reason), count in sorted(tally.decisions.items())
            if kind in (Kind.ENTRY_REFUSED, Kind.ACTION_SUPPRESSED)
        ],
        "incidents": [
            {"reason": reason, "journey": journey, "step": step, "count": count}
            for (reason, journey, step), count in sorted(tally.incidents.items())
        ],
        "decisions": _by_kind(tally.decisions),
        "without_schema": sorted(tally.without_schema),
    }


def _by_kind(decisions: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for (_, kind, _), count in decisions.items():
        counted[kind] += count
    return dict(sorted(counted.items()))


def _by_journey(tally: Tally) -> dict[str, dict[str, int]]:
    journeys = sorted({journey for journey, _, _ in tally.decisions})
    return {name: _by_kind({key: count for key, count in tally.decisions.items() if key[0] == name}) for name in journeys}


@contextmanager
def opened(actions: Path | None, decisions: Path | None) -> Iterator[tuple[Outputs, Callable[[], None]]]:
    """Open output files under passing names; the function given makes them take their own. Otherwise they are removed."""
    parts: list[tuple[Path, Path]] = []
    with ExitStack() as stack:

        def open_one(path: Path | None) -> IO[bytes] | None:
            if path is None:
                return None
            part = path.with_name(f".{path.name}.part")
            parts.append((part, path))
            return stack.enter_context(part.open("wb"))

        def keep() -> None:
            stack.close()
            for part, path in parts:
                part.replace(path)

        try:
            yield Outputs(open_one(actions), open_one(decisions)), keep
        finally:
            stack.close()
            for part, _ in parts:
                part.unlink(missing_ok=True)


def write_lines(file: IO[bytes], lines: Iterable[dict[str, Any]]) -> None:
    """Write JSON lines."""
    file.writelines(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)

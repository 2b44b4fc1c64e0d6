"""A small world to run journeys in: written as authors write them, timelines as offsets from a start."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec

from orchestrator.engine.document import Document
from orchestrator.engine.engine import Customer, Engine
from orchestrator.engine.fields import Fielded
from orchestrator.engine.handling import Action, Decision, Handling
from orchestrator.engine.outputs import Incident
from orchestrator.engine.record import Record
from orchestrator.engine.storing import decode
from orchestrator.engine.verbs import TABLE
from orchestrator.language.durations import parse_duration
from orchestrator.language.loading import Source, SourceKind, load
from orchestrator.language.model import Topology
from orchestrator.names import OCCURRED_AT
from orchestrator.simulate import Simulation

START = 1_767_571_200_000  # 2026-01-05T00:00:00Z
POLICY = """
channels:
  email: {topic: actions.email}
  sms: {topic: actions.sms}
  service: {topic: actions.service, kind: action}
purposes:
  care: {consent: not_required, basis: contract}
  promotion: {consent: required}
  survey: {consent: required, unknown: allow}
consent: {unknown: deny, expires: 730d}
"""
AGAIN = "{on: began, reentry: always}"  # an entry as often as one likes


def journey_of(
    steps: str,
    name: str = "j",
    *,
    entry: str = "{on: began}",
    purpose: str = "care",
    more: str = "",
    state: str = "",
    states: str = "",
) -> str:
    """A journey of one state `s` with these steps. `more` are lines for the journey, `state` for `s`, `states` further states."""
    return f"""
journey: {name}
version: 1
purpose: {purpose}
entry: {entry}
{_block(more, 0)}
start: s
states:
  s:
{_block(state, 4)}
    steps:
{_block(steps, 6)}
{_block(states, 2)}
"""


def _block(text: str, depth: int) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), " " * depth)


def topology(*journeys: str, policy: str = POLICY, earlier: tuple[str, ...] = ()) -> Topology:
    """Load journeys, earlier versions and a policy; every problem is shown when there is one."""
    files: list[tuple[SourceKind, str]] = [*(("journey", text) for text in journeys), *(("earlier", text) for text in earlier)]
    sources = [Source(f"{kind}-{n}.yaml", textwrap.dedent(text).encode(), kind) for n, (kind, text) in enumerate(files)]
    loaded = load([*sources, Source("policy.yaml", textwrap.dedent(policy).encode(), "policy")], None, TABLE)
    assert loaded.topology is not None, "\n".join(str(problem) for problem in loaded.problems)
    return loaded.topology


def what_is_read(engine: Engine, record: Record) -> Record:
    """Give what a worker decodes of a record."""
    fields = engine.reads(record.type)
    if fields is None:
        return record
    read = record.of(record.customer)
    read.payload = {name: value for name, value in record.payload.items() if name in fields}
    read.occurred_at = record.occurred_at if OCCURRED_AT in fields else 0
    return read


def as_bytes(given: object) -> bytes:
    """Encode what an engine gave, handlings in it included, so that equal bytes are the same in every field."""
    return msgspec.msgpack.encode(given, enc_hook=_plain)


def _plain(given: object) -> object:
    assert isinstance(given, Fielded)
    return given.fields()


def offset_ms(at: str | int) -> int:
    """Read "3d", "3d+1ms", "-1h" or milliseconds as an offset."""
    if isinstance(at, int):
        return at
    total = 0
    for part in at.replace("-", "+-").split("+"):
        sign, text = (-1, part[1:]) if part.startswith("-") else (1, part)
        if text:
            total += sign * (int(text[:-2]) if text.endswith("ms") else parse_duration(text))
    return total


class World:
    """A simulation and everything that came out of it so far."""

    def __init__(self, *journeys: str, policy: str = POLICY) -> None:
        self.simulation = Simulation(topology(*journeys, policy=policy))
        self.handlings: list[Handling] = []
        self._records = 0

    def event(
        self, event_type: str, at: str | int, *, customer: str = "c1", id: str | None = None, **payload: Any
    ) -> list[Handling]:
        """Feed one event; `id` is unique unless given, "" for none."""
        self._records += 1
        event_id = f"e{self._records}" if id is None else id
        time = START + offset_ms(at)
        record = Record(event_type, customer, event_id, time, payload, "events", 0, self._records - 1, time)
        return self._keep(self.simulation.feed(record))

    def consent(
        self, status: str, at: str | int, channel: str = "email", purpose: str = "promotion", customer: str = "c1", **more: Any
    ) -> list[Handling]:
        return self.event("consent.changed", at, customer=customer, channel=channel, purpose=purpose, status=status, **more)

    def until(self, at: str | int) -> list[Handling]:
        return self._keep(self.simulation.run_until(START + offset_ms(at)))

    def pause(self, journey: str, at: str | int, *, freezes: bool = False) -> list[Handling]:
        return self._keep(self.simulation.pause(journey, START + offset_ms(at), freezes=freezes))

    def resume(self, journey: str, at: str | int) -> list[Handling]:
        return self._keep(self.simulation.resume(journey, START + offset_ms(at)))

    def _keep(self, handlings: list[Handling]) -> list[Handling]:
        self.handlings += handlings
        return handlings

    # What happened.

    @property
    def actions(self) -> list[Action]:
        return [action for handling in self.handlings for action in handling.actions]

    @property
    def incidents(self) -> list[Incident]:
        return [incident for handling in self.handlings for incident in handling.incidents]

    def sent(self) -> list[tuple[str, int]]:
        """Each action's template and offset in ms."""
        return [(action.template, action.created_at - START) for action in self.actions]

    def decisions(self, *kinds: str) -> list[Decision]:
        found = [decision for handling in self.handlings for decision in handling.decisions]
        return [decision for decision in found if not kinds or decision.kind in kinds]

    def kinds(self) -> list[str]:
        return [decision.kind for decision in self.decisions()]

    def count(self, name: str) -> int:
        return sum(handling.counts.get(name, 0) for handling in self.handlings)

    def customer(self, customer: str = "c1") -> Customer:
        return self.simulation.customers[customer]

    def document(self, customer: str = "c1") -> Document:
        return decode(self.customer(customer).stored)

    def state(self, journey: str, customer: str = "c1", key: str = "") -> str | None:
        """The state of the active instance, None where there is none."""
        for instance in self.document(customer).instances:
            if instance.journey == journey and instance.key == key:
                return instance.state
        return None

"""What the model remembers: events, instances, wishes, customers. Times are whole milliseconds."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Event:
    """One record, as it was handled: `number` counts a customer's records."""

    number: int
    type: str
    id: str
    time: int
    data: Json


@dataclass(eq=False)
class Instance:
    """One customer on one journey."""

    id: uuid.UUID
    journey: Json
    key: str
    started: int
    entry: Event
    state: str = ""
    step: Json | None = None  # where it waits
    parked: bool = False
    due: int | None = None
    expires: int | None = None
    context: Json = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=dict)
    began_by: str = ""  # the type of the record that moved it into its wait
    restarts: int = 0
    ranked: tuple[int, int, Json] | None = None  # branch, time, data of the best match so far
    attempt: int = 0
    is_out: bool = False  # an attempt of the call is out; else it waits for its back-off
    late: tuple[Json, int] | None = None  # the last wait that timed out, and its deadline


@dataclass
class Wish:
    """A send or call that a step wants, before arbitration."""

    instance: Instance
    step: Json
    step_id: str
    kind: str
    action_id: str
    channel: str
    purpose: str
    what: str
    state: str
    attempt: int = 1
    overtaken: bool = False


@dataclass
class Customer:
    """Everything about one customer, for ever."""

    profile: Json = field(default_factory=dict)
    consents: list[Json] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    entered: dict[tuple[str, str], int] = field(default_factory=dict)
    ended: dict[tuple[str, str], int] = field(default_factory=dict)
    uses: dict[tuple[str, str, str], int] = field(default_factory=dict)
    sent: list[tuple[str, int, str, str]] = field(default_factory=list)  # action id, time, channel, purpose
    unanswered: list[tuple[Wish, int]] = field(default_factory=list)  # emitted sends without an outcome, and when they expire
    blocks: list[tuple[str, int, int]] = field(default_factory=list)  # suppression rule, from, to
    goals: list[tuple[Json, Json, Instance]] = field(default_factory=list)  # journey, goal, instance: not reached yet
    decisions: list[tuple[Any, ...]] = field(default_factory=list)
    actions: list[tuple[Any, ...]] = field(default_factory=list)
    reached: list[tuple[Any, ...]] = field(default_factory=list)

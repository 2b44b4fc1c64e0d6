"""What a scenario file says, after reading. All times are ms UTC; nothing here has been run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.engine.handling import Action, Decision
from orchestrator.engine.outputs import Incident
from orchestrator.language.model import Place
from orchestrator.language.reader import Node
from orchestrator.names import Kind

KINDS: Final = frozenset(value for name, value in vars(Kind).items() if not name.startswith("_"))

ACTION_FIELDS: Final = ("at", *(name for name in Action.FIELDS if name != "created_at"))
DECISION_FIELDS: Final = ("at", "customer", "event", "event_id", *Decision.FIELDS)
INCIDENT_FIELDS: Final = ("at", "customer", *Incident.__struct_fields__)
TIMES: Final = frozenset({"at", "expires_at"})


class Span(Struct, frozen=True):
    """An instant, or a range with both ends included."""

    first: int
    last: int


class GivenEvent(Struct, frozen=True):
    """One event for each of `customers`. `id` "" where the author wrote none."""

    place: Place
    at: int
    customers: tuple[str, ...]
    event: str
    id: str
    data: Mapping[str, Any]
    data_place: Place
    event_place: Place
    is_pattern: bool = False


class GivenOutcome(Struct, frozen=True):
    """What became of the latest action of step `of`. Customer and key "" where only one can be meant (ruling A24)."""

    place: Place
    at: int
    status: str
    of: str
    of_place: Place
    customer: str = ""
    key: str = ""
    code: str = ""
    data: Mapping[str, Any] = {}


class GivenRaw(Struct, frozen=True):
    """Bytes on an event topic that may be no event."""

    place: Place
    at: int
    topic: str
    key: str
    value: bytes


class GivenPublish(Struct, frozen=True):
    """A journey file that goes live: a new version of one of the journeys, or a new journey. Relative to the scenario."""

    place: Place
    at: int
    file: str
    file_place: Place


class GivenRedrive(Struct, frozen=True):
    """An operator's redrive of what stands parked at a step (rule A4); `journey` "" for any."""

    place: Place
    at: int
    customer: str
    step: str
    step_place: Place
    journey: str = ""


class GivenPause(Struct, frozen=True):
    """An operator's pause of a journey, or its resume (rule V6); `is_frozen`: its timers stand still in the pause."""

    place: Place
    at: int
    journey: str
    journey_place: Place
    is_resume: bool = False
    is_frozen: bool = False

    @property
    def word(self) -> str:
        """What the author wrote."""
        return "resume" if self.is_resume else "pause"


Given = GivenEvent | GivenOutcome | GivenRaw | GivenPublish | GivenRedrive | GivenPause


class Expected(Struct, frozen=True):
    """Fields of an action, decision or incident, matched as a subset; times are Spans. Customer "": the only one."""

    place: Place
    customer: str
    fields: Mapping[str, Any]


class ExpectedState(Struct, frozen=True):
    """Where the latest instance of a journey stood last; state None: never entered; key None: whatever its key (ruling A18)."""

    place: Place
    customer: str
    journey: str
    key: str | None
    state: str | None


class ExpectedShare(Struct, frozen=True):
    """Which part of the customers exposed to an experiment got an arm (ruling A28)."""

    place: Place
    experiment: str
    arm: str
    low: float
    high: float


class ExpectedCount(Struct, frozen=True):
    """How many decisions of a kind there are, over all customers."""

    place: Place
    kind: str
    count: int


class Expectations(Struct, frozen=True):
    """What must be seen. None: not checked; an empty list: nothing of the kind may be seen."""

    place: Place
    actions: tuple[Expected, ...] | None = None
    cancels: tuple[Expected, ...] | None = None
    incidents: tuple[Expected, ...] | None = None
    decisions: tuple[Expected, ...] = ()
    states: tuple[ExpectedState, ...] = ()
    counts: tuple[ExpectedCount, ...] = ()
    shares: tuple[ExpectedShare, ...] = ()


class Scenario(Struct, frozen=True):
    """One scenario file. `journeys` and `policy` are the inline ones, as they were written."""

    name: str
    path: str
    place: Place
    start: int
    until: int
    given: tuple[Given, ...]
    expect: Expectations
    topologies: str = ""
    topologies_place: Place | None = None
    journeys: tuple[Node, ...] = ()
    policy: Node | None = None

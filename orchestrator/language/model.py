"""What the files of a topology say, after reading: frozen values with their place in the text.

Nothing here is compiled or checked against the rest; `checks.py` does that, and the engine compiles from these values.
All durations are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

Milliseconds = int


class Place(Struct, frozen=True):
    """Where something stands: file as the caller named it, line and column from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Expr(Struct, frozen=True):
    """A CEL expression as the author wrote it.

    `column` is the file's column of the text's first character, 0 where the text is escaped or spread over lines.
    `timestamps` are the fields of `event` whose integer milliseconds it reads as timestamps; the loader sets them.
    """

    source: str
    place: Place
    column: int = 0
    timestamps: frozenset[str] = frozenset()


class Reentry(Struct, frozen=True):
    """Whether a customer may enter again. `after_ms` and `since` only for `after`."""

    kind: Literal["never", "always", "after"] = "never"
    after_ms: Milliseconds = 0
    since: Literal["entry", "exit"] = "exit"


class Entry(Struct, frozen=True):
    """What starts an instance."""

    on: tuple[str, ...]
    place: Place
    when: Expr | None = None
    key: Expr | None = None
    on_places: Mapping[str, Place] = {}
    reentry: Reentry = Reentry()
    max_age_ms: Milliseconds | None = None


class Step(Struct, frozen=True):
    """One step of a state. `settings` is the Struct of the verb's own module."""

    id: str
    verb: str
    settings: Any
    place: Place
    when: Expr | None = None


class Exit(Struct, frozen=True):
    """What ends an instance at once. `send` is a step whose id is `exit:<n>`, n from 1 by position."""

    on: tuple[str, ...]
    outcome: str
    place: Place
    when: Expr | None = None
    send: Step | None = None
    on_places: Mapping[str, Place] = {}


class Goal(Struct, frozen=True):
    """What success is; measured, never acted on."""

    id: str
    on: tuple[str, ...]
    within_ms: Milliseconds
    place: Place
    when: Expr | None = None
    primary: bool = False
    on_places: Mapping[str, Place] = {}


class Handler(Struct, frozen=True):
    """What a state does about an event for as long as the state lasts. `place` is that of `go`."""

    event: str
    go: str
    place: Place
    when: Expr | None = None
    event_place: Place | None = None


class State(Struct, frozen=True):
    """A business fact about the customer."""

    name: str
    place: Place
    handlers: tuple[Handler, ...] = ()
    steps: tuple[Step, ...] = ()
    final: bool = False
    outcome: str = ""
    rest: bool = False


class Inheritance(Struct, frozen=True):
    """What becomes of the instances that stand on a step of an earlier version (rule V2). `to` is the step of `move_to`."""

    version: int
    step: str
    policy: Literal["stay", "move_to", "restart", "exit"]
    place: Place
    to: str = ""
    to_place: Place | None = None


class Journey(Struct, frozen=True):
    """One journey file."""

    id: str
    version: int
    purpose: str
    entry: Entry
    start: str
    states: Mapping[str, State]
    place: Place
    title: str = ""
    owner: str = ""
    priority: int = 50
    urgency: Literal["high", "medium", "low"] = "medium"
    lifetime_ms: Milliseconds | None = None
    exits: tuple[Exit, ...] = ()
    context: Mapping[str, Expr] = {}
    goals: tuple[Goal, ...] = ()
    inherits: tuple[Inheritance, ...] = ()
    purpose_place: Place | None = None
    start_place: Place | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all states, as written."""
        return tuple(step for state in self.states.values() for step in state.steps)


class QuietHours(Struct, frozen=True):
    """Local times of day in minutes after midnight: quiet from `start` up to, not including, `end`."""

    start: int
    end: int


class Rate(Struct, frozen=True):
    """A ceiling for a channel over the whole cluster."""

    limit: int
    per_ms: Milliseconds


class Channel(Struct, frozen=True):
    """A way to reach the customer, or with kind `action` a service that does something."""

    name: str
    topic: str
    place: Place
    kind: Literal["message", "action"] = "message"
    quiet_hours: QuietHours | None = None
    rate: Rate | None = None
    address: Expr | None = None


class Purpose(Struct, frozen=True):
    """Why the customer is contacted, and whether that needs consent."""

    name: str
    place: Place
    consent: Literal["required", "not_required"] = "required"
    basis: str = ""
    unknown: Literal["deny", "allow"] | None = None


class ConsentPolicy(Struct, frozen=True):
    """What holds where no consent is known, and how long one lasts."""

    unknown: Literal["deny", "allow"] = "deny"
    expires_ms: Milliseconds | None = None


class Cap(Struct, frozen=True):
    """At most `limit` sends in a window; empty channels or purposes mean all."""

    id: str
    limit: int
    per_ms: Milliseconds
    window: Literal["rolling", "calendar"]
    place: Place
    channels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    over: Literal["skip", "hold"] = "skip"
    max_hold_ms: Milliseconds = 0


class Suppress(Struct, frozen=True):
    """An event that blocks purposes for a time."""

    id: str
    on: tuple[str, ...]
    purposes: tuple[str, ...]
    for_ms: Milliseconds
    place: Place
    when: Expr | None = None
    on_places: Mapping[str, Place] = {}


class Exclusive(Struct, frozen=True):
    """Journeys of which a customer may be in one at a time."""

    id: str
    journeys: tuple[str, ...]
    on_conflict: Literal["refuse", "preempt"]
    place: Place


class EventDedupe(Struct, frozen=True):
    """How long and how many event ids are remembered for a customer."""

    window_ms: Milliseconds = 86_400_000
    max: int = 256


class AddressDedupe(Struct, frozen=True):
    """Two customers, one address, one message inside the window: the second is suppressed. `place` is that of `channels`."""

    channels: tuple[str, ...]
    window_ms: Milliseconds
    place: Place


class Holdout(Struct, frozen=True):
    """The global control group. Empty purposes: all that need consent."""

    percent: float
    salt: str
    purposes: tuple[str, ...] = ()


class Limits(Struct, frozen=True):
    """Bounds on what a journey may say and a customer's document may hold."""

    branches: int = 5
    steps: int = 50
    states: int = 30
    instances_per_customer: int = 25
    context_bytes: int = 32_768
    wait_ms: Milliseconds = 400 * 86_400_000


class Policy(Struct, frozen=True):
    """policy.yaml: what all journeys share."""

    timezone: str = "UTC"
    channels: Mapping[str, Channel] = {}
    purposes: Mapping[str, Purpose] = {}
    consent: ConsentPolicy = ConsentPolicy()
    caps: tuple[Cap, ...] = ()
    suppress: tuple[Suppress, ...] = ()
    exclusive: tuple[Exclusive, ...] = ()
    dedupe_events: EventDedupe = EventDedupe()
    dedupe_addresses: AddressDedupe | None = None
    holdout: Holdout | None = None
    limits: Limits = Limits()


class EventTopic(Struct, frozen=True):
    """A topic of events and the event types it may carry; no types listed means every known type."""

    topic: str
    place: Place
    schemas: tuple[str, ...] = ()
    schema_places: Mapping[str, Place] = {}


class Streams(Struct, frozen=True):
    """streams.yaml: how the topics are wired. `app` names the consumer group and prefixes the internal topics."""

    app: str = "journeys"
    partitions: int = 12
    events: tuple[EventTopic, ...] = ()
    outcomes: str = "journeys.outcomes"
    transitions: str = "journeys.transitions"
    incidents: str = "journeys.incidents"
    definitions: str = "journeys.definitions"
    operations: str = "journeys-operations"

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that a worker reads, in order of their names."""
        return tuple(sorted({*(each.topic for each in self.events), self.outcomes, self.operations}))

    @property
    def changelog(self) -> str:
        """The compacted topic of customer documents."""
        return f"{self.app}-customers-changelog"

    @property
    def journal(self) -> str:
        """The topic with one record a partition a cycle."""
        return f"{self.app}-journal"

    @property
    def exports(self) -> str:
        """The topic of what is kept of customers who asked for it."""
        return f"{self.app}-exports"

    @property
    def audit(self) -> str:
        """The topic that says what operators did with incidents, and what else they did that no other topic tells."""
        return f"{self.app}-audit"


class Experiment(Struct, frozen=True):
    """One registered experiment."""

    id: str
    place: Place
    hypothesis: str = ""
    owner: str = ""
    metric: str = ""
    exposures_per_arm: int = 0
    duration_ms: Milliseconds = 0
    effect: float | None = None
    alpha: float = 0.05


class Topology(Struct, frozen=True):
    """Everything that was read from one folder and found valid.

    `earlier` are versions that take no entries any more, for the instances that stand on them (rule V1).
    """

    journeys: tuple[Journey, ...]
    policy: Policy = Policy()
    streams: Streams = Streams()
    experiments: Mapping[str, Experiment] = {}
    earlier: tuple[Journey, ...] = ()


def expressions_in(value: Any) -> Iterator[Expr]:
    """Give every expression that stands somewhere in a value of this model, wherever a verb keeps its own."""
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from expressions_in(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from expressions_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from expressions_in(item)

"""One handling of one customer: what every part of the engine sees of it while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from orchestrator import names
from orchestrator.engine.document import Document, GoalWatch, Instance
from orchestrator.engine.handling import Handling
from orchestrator.engine.memory import count_within
from orchestrator.engine.outputs import Incident
from orchestrator.engine.record import Record
from orchestrator.engine.upkeep import contact_in
from orchestrator.engine.values import key_text
from orchestrator.engine.vicinity import Vicinity
from orchestrator.language.expressions import UNKNOWN, Expression, Scope
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.contact import Contact
    from orchestrator.engine.customer import Customer
    from orchestrator.engine.outgoing import Candidate
    from orchestrator.engine.program import JourneyProgram, Program

_NOTHING: Final[Mapping[str, Any]] = {}


class Start(Frozen, frozen=True):
    """A journey that a step starts (ruling A100), the context it begins with, the action id that stands for an event's id."""

    journey: str
    context: dict[str, Any]
    action_id: str


class Turn:
    """The customer's document, the record (None for timers), the logical time and the outputs so far.

    `now` is the record's time or the timers' due instant; `clock` the partition's clock; both ms UTC. `hashed` is the event id's
    hash, empty without one. `at_work` is the instance being moved, so that a failure can be pinned to it. `number` is the
    record's among the remembered events, 0 where it is none; `starts` are the journeys that steps asked to start. `touched` are
    the other customers and notes that the handling got, each with what was stored of it before.
    """

    __slots__ = (
        "_event", "_keys", "_profile", "at_work", "clock", "customer", "document", "handling", "hashed", "now", "number",
        "pending", "program", "record", "starts", "touched", "transitions", "vicinity",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - made in three places, and what it is made of is all that there is
        self,
        program: Program,
        customer: str,
        document: Document,
        now: int,
        clock: int,
        record: Record | None,
        handling: Handling,
        vicinity: Vicinity,
    ) -> None:
        self.program = program
        self.customer = customer
        self.document = document
        self.now = now
        self.clock = clock
        self.record = record
        self.handling = handling
        self.vicinity = vicinity
        self.hashed = b""
        self.pending: list[Candidate] = []
        self.transitions = 0
        self.at_work: Instance | None = None
        self.number = 0
        self.starts: list[Start] = []
        self.touched: tuple[tuple[Customer, bytes | None], ...] = ()
        self._event: Mapping[str, Any] | None = None
        self._profile: Mapping[str, Any] | None = None
        self._keys: dict[tuple[str, int], str] = {}

    @property
    def payload(self) -> Mapping[str, Any]:
        """The record's payload; nothing after a timer."""
        return _NOTHING if self.record is None else self.record.payload

    @property
    def contact(self) -> Contact | None:
        """The document's part about sends, None where it has none."""
        return contact_in(self.document)

    @property
    def event(self) -> Mapping[str, Any] | None:
        """What expressions see as `event`: the payload and the reserved fields; None after a timer (ruling A46)."""
        if self._event is None and self.record is not None:
            self._event = event_of(self.record)
        return self._event

    @property
    def profile(self) -> Mapping[str, Any]:
        """The profile as expressions see it."""
        if self._profile is None:
            known = self.document.profile
            self._profile = {name: value for name, (value, _) in known.items() if value is not None} if known else _NOTHING
        return self._profile

    def forget_profile(self) -> None:
        """Note that the document's profile changed, so that the next expression sees it."""
        self._profile = None

    def scope(self, context: Mapping[str, Any], event: Mapping[str, Any] | None) -> Scope:
        """Give what an expression may see with this context and event."""
        # The functions are not kept here: a cycle of references would leave each turn to the garbage collector.
        return Scope(event, self.profile, context, self.now, _Functions(self))

    def evaluate(self, expression: Expression) -> Any:
        """Evaluate where there is no instance yet: at entry, and for keys."""
        return expression.evaluate(self.scope(_NOTHING, self.event))

    def key_of(self, journey: JourneyProgram) -> str | None:
        """Give the key that the record has for a journey: "" where it has none, None where it is no key (ruling A36)."""
        if journey.key is None:
            return ""
        value = self.evaluate(journey.key)
        return "" if value is UNKNOWN else key_text(value)

    def is_for(self, journey: JourneyProgram, instance: Instance | GoalWatch) -> bool:
        """Tell whether the record is offered to an instance of a journey with keys: its key, if any, agrees (W6, A49)."""
        reference = (journey.id, journey.version)
        if reference not in self._keys:
            self._keys[reference] = self.key_of(journey) or ""
        return self._keys[reference] in ("", instance.key)

    def neighbour(self, customer_id: str) -> Customer | None:
        """Give another customer, kept with this handling; None where another partition has it."""
        other = self.vicinity.customer(customer_id)
        if other is not None:
            self._touch(other)
        return other

    def become(self, customer_id: str, document: Document) -> None:
        """Go on as another customer, whom the one at hand was merged into."""
        self.customer = self.handling.customer = customer_id
        self.document = document
        self.forget_profile()

    def note(self, name: str) -> Customer:
        """Give a note of the partition, kept with this handling. Whoever asks sets its `stored`; it has no `document`."""
        note = self.vicinity.note(name)
        self._touch(note)
        return note

    def _touch(self, other: Customer) -> None:
        if all(known is not other for known, _ in self.touched):
            self.touched = (*self.touched, (other, other.stored))

    def incident(self, reason: str, message: str) -> None:
        """Note an incident that belongs to no instance."""
        self.handling.incidents.append(Incident(reason, message, stage=self.stage))

    def count(self, name: str, by: int = 1) -> None:
        """Count something that is no decision (names in `names.Count`)."""
        self.handling.counts[name] = self.handling.counts.get(name, 0) + by

    @property
    def stage(self) -> Any:
        """Where an incident of this handling arose: "engine" for a record, "timer" otherwise."""
        return "timer" if self.record is None else "engine"


class _Functions(Mapping[str, Callable[..., Any]]):
    """The functions of expressions by name (ruling A102), bound only when one is called: most expressions call none."""

    __slots__ = ("_turn",)

    _METHODS: Final = ("consented", "count_within", "sent_within", "in_segment", "score")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._METHODS:
            raise KeyError(name)
        function: Callable[..., Any] = getattr(self, name)
        return function

    def __iter__(self) -> Iterator[str]:
        return iter(self._METHODS)

    def __len__(self) -> int:
        return len(self._METHODS)

    def consented(self, channel: str, purpose: str) -> bool:
        """Tell whether a send would be allowed now."""
        turn = self._turn
        return turn.program.consent.judge(turn.document.consents, channel, purpose, turn.now) is not None

    def count_within(self, event_type: str, span_ms: int) -> int:
        """Count this customer's events of a type in the span that ends now (rule G2)."""
        return count_within(self._turn.document, event_type, self._turn.now, span_ms)

    def sent_within(self, channel: str, within_ms: int) -> bool:
        """Tell whether a send left by the channel in (now - within, now]; held ones have not (ruling A102)."""
        contact = self._turn.contact
        latest = 0 if contact is None else contact.latest.get(channel, 0)
        return latest > self._turn.now - within_ms

    def in_segment(self, name: str) -> Any:
        """Tell whether `profile.segments` names the segment."""
        segments = self._turn.profile.get("segments")
        return name in segments if isinstance(segments, list | dict) else UNKNOWN

    def score(self, model: str) -> Any:
        """Give the model's value in `profile.scores`."""
        scores = self._turn.profile.get("scores")
        return scores.get(model, UNKNOWN) if isinstance(scores, dict) else UNKNOWN


def event_of(record: Record) -> dict[str, Any]:
    """Give a record as expressions see it; a reserved field without a value is absent."""
    event = dict(record.payload)
    event[names.CUSTOMER_ID] = record.customer
    if record.event_id:
        event[names.EVENT_ID] = record.event_id
    if record.occurred_at:
        event[names.OCCURRED_AT] = record.occurred_at
    return event

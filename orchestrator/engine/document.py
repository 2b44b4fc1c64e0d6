"""One customer's document: all that the engine knows of a customer. `engine.storing` has its form in the store.

A field is only ever added at the end of a Struct, with a default, so that older documents decode; anything else needs a new
format byte.

The Structs here, and those of records and handlings, are trees: the collector need not look for cycles in them (`gc=False`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field

from orchestrator.engine.contact import Contact

NEVER: Final = (1 << 63) - 1  # next_due of a customer who waits for nothing


class Instance(Struct, array_like=True, gc=False):
    """One customer on one journey. Times are ms UTC, 0 for none.

    `id` is the UUID's 16 bytes. `step` is where it waits or stands parked, "" where it rests in its state. `kept` belongs to the
    waiting step's verb. `visits` counts how often each state was entered. `parked` says why a failed instance stands still.
    `since` is for `engine.memory`: which remembered events came after the entry. `late` is the step and the deadline of the last
    wait that timed out, until a late event came for it (rule T5). `held_out`: it walks silently (rule P2). `trail` has the ids of
    the last steps, for a journey that hands over (rule A1). `stood` is how long after `started` it came into its state, in ms, -1
    where an older release wrote it: only metrics read it. `arrived` is when it came to the step at which it waits, where that
    step's verb cannot tell (rule V3); 0 also where an older release wrote it. `stopped` is since when its clock stands in a pause
    of its journey, 0 while it runs, and `thawed` the end of the last such pause that its deadlines count (`engine.freezing`).
    """

    id: bytes
    journey: str
    version: int
    key: str
    started: int
    state: str = ""
    step: str = ""
    due: int = 0
    expires: int = 0
    visits: dict[str, int] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    kept: list[Any] | None = None
    parked: str = ""
    since: int = 0
    late: tuple[str, int] | None = None
    held_out: bool = False
    trail: list[str] | None = None
    stood: int = -1
    arrived: int = 0
    stopped: int = 0
    thawed: int = 0


class Consent(Struct, array_like=True, gc=False):
    """The newest consent for a channel and purpose, either of which may be "*". `expiry` is ms UTC, 0 where it does not say.

    `side` tells apart what was known of each of the ids that were merged into this customer (rule M1), 0 for the first.
    """

    channel: str
    purpose: str
    granted: bool
    time: int
    source: str = ""
    version: str = ""
    expiry: int = 0
    side: int = 0


class Marker(Struct, array_like=True, gc=False):
    """That a customer was on a journey, for one key: when last entered and ended, ms UTC, 0 for not yet.

    `entered_by` holds 8-byte hashes of the event ids that it entered by, oldest first (ruling A10).
    """

    entered: int = 0
    ended: int = 0
    entered_by: bytes = b""


class GoalWatch(Struct, array_like=True, gc=False):
    """The goals that one instance, active or over, may still reach (rule G1). `context` is the ended instance's, if read."""

    instance: bytes
    journey: str
    version: int
    key: str
    entered: int
    missing: list[str]
    context: dict[str, Any] | None = None


class Remembered(Struct, array_like=True, gc=False):
    """An event that a look-back may still need; `number` counts the remembered events of a customer from 1."""

    number: int
    type: str
    time: int
    payload: dict[str, Any]
    event_id: str = ""
    occurred_at: int = 0


class Memory(Struct, array_like=True, gc=False):
    """What is kept of past events, for `engine.memory`. `times` has the record times of each counted type, earliest first."""

    last: int = 0
    events: list[Remembered] = field(default_factory=list)
    times: dict[str, list[int]] = field(default_factory=dict)


class Merged(Struct, array_like=True, gc=False):
    """That this id and others are one person (rule M1). `into` is the id that goes on, "" for the one that does.

    A document with `into` has nothing else. `ids` are the ids that go on as this one, so that erasing it erases them.
    """

    into: str = ""
    ids: list[str] = field(default_factory=list)


class Document(Struct, array_like=True, gc=False):
    """What is known of one customer.

    `seen` is for `engine.dedupe`. `instances` stand oldest first, then by id (rule T7). `markers` go by `values.marker_name`.
    `profile` maps a name to [value, record time of its last change]; a deleted one keeps null and its time, so that an older
    update which arrives later does not bring it back (ruling A88). `arms` maps an experiment to the customer's arm, kept for good
    (rule P1), and `exposed` one to when that was, ms UTC; `goals` stand in the order of entry.
    """

    seen: bytes = b""
    instances: list[Instance] = field(default_factory=list)
    markers: dict[str, Marker] = field(default_factory=dict)
    profile: dict[str, tuple[Any, int]] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)
    arms: dict[str, str] = field(default_factory=dict)
    goals: list[GoalWatch] = field(default_factory=list)
    memory: Memory | None = None
    lazy_contact: Raw = None  # type: ignore[assignment]  # see `contact`
    exposed: dict[str, int] = field(default_factory=dict)
    merged: Merged | None = None

    @property
    def contact(self) -> Contact | None:
        """The part about sends. It is decoded when first asked for: it may be the largest, and most events ask nothing of it."""
        kept: Raw | Contact | None = self.lazy_contact
        if not isinstance(kept, Raw):
            return kept
        found: Contact | None = _decode_contact(kept)
        self.contact = found
        return found

    @contact.setter
    def contact(self, contact: Contact | None) -> None:
        self.lazy_contact = contact  # type: ignore[assignment]  # is encoded as what it is, and comes back as Raw

    @property
    def is_empty(self) -> bool:
        """Whether forgetting this document would change nothing."""
        if self.instances or self.seen or self.markers or self.profile or self.consents:
            return False
        return not (self.arms or self.goals or self.memory is not None or self.contact or self.merged is not None)

    def clear(self) -> None:
        """Forget everything."""
        fresh = Document()
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))


_decode_contact = msgspec.msgpack.Decoder(Contact | None).decode

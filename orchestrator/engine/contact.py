"""What a customer's document remembers about contacting them: blocks, sends that count, sends that are held.

A document without any of it holds None, and pays nothing. `engine.upkeep` drops what is over.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from orchestrator.engine.outputs import PlainAction

# A record that comes late by so much still finds what it repeats, what blocks it and what it must count.
LATE_MS: Final = 86_400_000
QUIET_HOURS: Final = "quiet_hours"
CAP: Final = "cap"
RATE: Final = "rate"
PAUSED: Final = "paused"
OPERATOR: Final = "operator"
HOLD: Final = "@operator"  # in `blocks`, beside suppression rules, whose names have no such sign: sends are held, not dropped

# What is known of an emitted send.
OPEN: Final = 0  # no outcome came
ANSWERED: Final = 1
CANCEL_ASKED: Final = 2


class Sent(Struct, array_like=True, gc=False):
    """An emitted send that takes a cap slot until `counts_until`, or can be cancelled until `expires`. Times are ms UTC.

    `action` and `instance` are the ids' 16 bytes, `time` the instant at which it left (ruling A60).
    """

    action: bytes
    time: int
    expires: int
    counts_until: int
    channel: str
    purpose: str
    journey: str
    version: int
    instance: bytes
    step: str
    key: str
    status: int = OPEN


class Held(Struct, array_like=True, gc=False):
    """A send that waits beside its instance (ruling A12), for `reason` QUIET_HOURS, CAP, RATE, PAUSED or OPERATOR; for RATE and
    PAUSED also a call.

    Times are ms UTC: `look_at` is when it is looked at again; `until` the last instant at which a cap may let it go. `state` is
    where the instance stood when its step decided on the send. `address` is the note that has its claim, if any (rule X1).
    """

    action: PlainAction
    decided: int
    state: str
    priority: int
    reason: str
    look_at: int
    until: int = 0
    address: str = ""

    @property
    def has_slot(self) -> bool:
        """Whether it has taken its cap slots: it has, unless it waits for them, for its journey (rule V6) or an operator."""
        return self.reason not in (CAP, PAUSED, OPERATOR) and self.action.kind == "send"


class Contact(Struct, array_like=True, gc=False):
    """The part of the document. `blocks` maps a suppression rule, or HOLD, to [from, until).

    `latest` maps a channel to its latest emission.

    `held` stands in the order in which the sends were decided.
    """

    blocks: dict[str, tuple[int, int]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    latest: dict[str, int] = field(default_factory=dict)

    def keep(self, held: Held) -> None:
        """Add a held send at its place."""
        self.held.append(held)
        self.held.sort(key=_decided)

    def held_until(self, now: int) -> int:
        """Give until when an operator lets no send leave, ms UTC; 0 where they may."""
        block = self.blocks.get(HOLD)
        return block[1] if block is not None and block[0] <= now < block[1] else 0

    def wake(self, now: int) -> None:
        """After a slot was given back: let what waits for a cap be looked at now (rule K4)."""
        for held in self.held:
            if held.reason == CAP and held.look_at > now:
                held.look_at = now


def _decided(held: Held) -> int:
    return held.decided

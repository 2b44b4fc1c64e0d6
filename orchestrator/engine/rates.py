"""Channel rates (rule X2, ruling A70): a token bucket a channel, in a note that the partition's customers share.

The bucket is one instant: when the last token that was given away will have been replaced (the generic cell rate algorithm,
ITU-T I.371, as virtual scheduling). What would put it further ahead of now than a full bucket must wait, and gets its place at
once: so commands leave in the order in which they asked, and a queue of any length costs four numbers. Those whose quiet hours
end at one instant ask in the order in which their timers fire, by customer id.

A place whose command does not leave after all stays empty: who stands behind it has a timer for its own place, and moving all of
them up would rewrite as many documents. Once nobody waits any more, empty places are forgotten, so that after a queue was
cancelled the next command does not wait behind it.

The rate is held in the engine's time. On the wire, what was held comes a little more than a second later (rule T5), and a worker
that catches up after a pause sends in one go what was due in it, stamped with the instants of its places.

Calls count like sends: a rate is what the service behind the channel can take. Cancel commands do not, they must not wait.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from orchestrator.engine import notes
from orchestrator.engine.contact import LATE_MS, RATE

if TYPE_CHECKING:
    from orchestrator.engine.contact import Held
    from orchestrator.engine.customer import Customer
    from orchestrator.engine.outgoing import Candidate
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import Rate

KIND: Final = "rate"
_FINEST: Final = 1_000_000  # parts of a millisecond; an instant of the next century still fits 63 bits
_LONGEST_MS: Final = 100 * 366 * 86_400_000


class Bucket(Struct, array_like=True, gc=False):
    """A channel's bucket; instants are UTC, in parts of a millisecond of which it has `scale`.

    `given` is when it will be full, if all places are used; `left` the same, counting only commands that left; `waiting` how many
    have a place and have not left.
    """

    given: int = 0
    left: int = 0
    waiting: int = 0
    scale: int = 1


_read = msgspec.msgpack.Decoder(Bucket)


class Pace:
    """How fast a channel may send: `interval` between two commands, after what a full bucket lets go at once, `ahead` of it.

    Both are in parts of a millisecond, so many that the interval is a whole number of them.
    """

    __slots__ = ("ahead", "interval", "scale")

    def __init__(self, rate: Rate, share: Fraction) -> None:
        """`share` is the partition's part of the cluster's rate; its bucket holds one token at least."""
        tokens = rate.limit * share
        interval = min(rate.per_ms / tokens, Fraction(_LONGEST_MS))
        self.scale = min(interval.denominator, _FINEST)
        self.interval = ceil(interval * self.scale)
        self.ahead = floor((max(tokens, Fraction(1)) - 1) * self.interval)

    def opened(self, bucket: Bucket) -> Bucket:
        """Give a stored bucket in this pace's parts: the rate may have been another when it was stored."""
        if bucket.scale != self.scale:
            bucket.given, bucket.left = (-(-each * self.scale // bucket.scale) for each in (bucket.given, bucket.left))
            bucket.scale = self.scale
        return bucket

    def earliest(self, bucket: Bucket, at: int) -> int:
        """Give the instant of the next free place, from `at` on; ms UTC."""
        return max(at, -((self.ahead - bucket.given) // self.scale))

    def take(self, bucket: Bucket, place: int) -> None:
        """Give the place away."""
        bucket.given = max(bucket.given, place * self.scale) + self.interval

    def leave(self, bucket: Bucket, at: int) -> None:
        """Note that a command left whose place was given away before."""
        bucket.left = min(max(bucket.left, at * self.scale) + self.interval, bucket.given)


def place_of(turn: Turn, candidate: Candidate) -> int | None:
    """Take a token for a command that is to leave now: None where it may, else the instant of its place, ms UTC.

    One that may not wait, or that expires before its place comes, takes none. The bucket's time is the record's; a record that
    claims to come from the future counts as of the partition's clock, else one producer's wrong clock would stop a channel.
    """
    action = candidate.action
    pace = turn.program.sends.rates.get(action.channel)
    if pace is None:
        return None
    note, bucket = _open(turn, action.channel, pace)
    at = min(turn.now, turn.clock)
    place = pace.earliest(bucket, at)
    if place == at and not _is_behind_own(turn, action.channel):
        pace.take(bucket, at)
        pace.leave(bucket, at)
        _keep(note, bucket)
        return None
    if candidate.may_wait and (action.kind == "call" or place < action.expires_at):
        pace.take(bucket, place)
        bucket.waiting += 1
        _keep(note, bucket)
    return place


def leave(turn: Turn, held: Held) -> None:
    """Note that a command leaves at its place."""
    pace = turn.program.sends.rates.get(held.action.channel)
    if pace is None:
        return
    note, bucket = _open(turn, held.action.channel, pace)
    pace.leave(bucket, turn.now)
    _wait_less(note, bucket)


def give_up(turn: Turn, held: Held) -> None:
    """Note that a held command does not leave at its place, if it had one."""
    pace = turn.program.sends.rates.get(held.action.channel)
    if pace is not None and held.look_at < held.action.expires_at:
        _wait_less(*_open(turn, held.action.channel, pace))


def _wait_less(note: Customer, bucket: Bucket) -> None:
    bucket.waiting = max(bucket.waiting - 1, 0)
    if bucket.waiting == 0:
        bucket.given = bucket.left
    _keep(note, bucket)


def _is_behind_own(turn: Turn, channel: str) -> bool:
    """Tell whether an earlier command of the customer has its place at this very instant, whose timers come after the record."""
    contact = turn.contact
    if contact is None or turn.record is None:
        return False
    return any(held.reason == RATE and held.action.channel == channel and held.look_at <= turn.now for held in contact.held)


def _open(turn: Turn, channel: str, pace: Pace) -> tuple[Customer, Bucket]:
    note = turn.note(f"{KIND}:{channel}")
    return note, pace.opened(notes.read(note, _read) or Bucket())


def _keep(note: Customer, bucket: Bucket) -> None:
    """Keep the bucket for a day after it is full: by then no held command can count on it."""
    notes.write(note, bucket, bucket.given // bucket.scale + LATE_MS)

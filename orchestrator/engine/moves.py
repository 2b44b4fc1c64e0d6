"""What a step says should happen next. A verb gives one; the walk carries it out."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Move(Struct, frozen=True):
    """Base of all moves."""


class Next(Move, frozen=True):
    """Go on with the step after this one; after the last, rest in the state."""


class Wait(Move, frozen=True):
    """Stay here: the verb has set what it waits for."""


class Go(Move, frozen=True):
    """Enter a state, the own one included (ruling A80)."""

    state: str


class End(Move, frozen=True):
    """End the instance in the regular way."""

    outcome: str


class Leave(Move, frozen=True):
    """End the instance because a setting says `exit` (`on_suppressed`, `past`); `reason` goes into the decision."""

    reason: str


NEXT: Final = Next()
WAIT: Final = Wait()


def go_or_next(state: str) -> Move:
    """Give the move for a setting that may name a state."""
    return Go(state) if state else NEXT

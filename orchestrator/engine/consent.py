"""Consent: which record counts, and whether it allows a send now (rules C1, C2, M1; rulings A55, A56, A77, A107).

Where ids were merged, what was known of each of them stands on a side of its own: a send must be allowed on every side that
knows of its channel and purpose. A change is noted on all sides, so that the newer one settles what they disagreed on.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from msgspec import structs

from orchestrator.engine.document import Consent
from orchestrator.engine.outputs import ConsentUsed
from orchestrator.language.model import Policy

ANY: Final = "*"
NOT_REQUIRED: Final = ConsentUsed("not_required")
UNKNOWN_ALLOWED: Final = ConsentUsed("unknown")


class ConsentRules:
    """What policy.yaml says of consent, prepared for the question `may I, now`."""

    def __init__(self, policy: Policy) -> None:
        self._lasts_ms = policy.consent.expires_ms
        self._free = frozenset(name for name, purpose in policy.purposes.items() if purpose.consent == "not_required")
        self._allowed_unknown = frozenset(
            name for name, purpose in policy.purposes.items() if (purpose.unknown or policy.consent.unknown) == "allow"
        )

    def needs(self, purpose: str) -> bool:
        """Tell whether this purpose needs consent; one that the policy does not declare does."""
        return purpose not in self._free

    def judge(self, consents: list[Consent], channel: str, purpose: str, now: int) -> ConsentUsed | None:
        """Give the consent that allows a send at `now` (ms UTC), None where nothing does."""
        if purpose in self._free:
            return NOT_REQUIRED
        newest = _newest(consents, channel, purpose)
        if newest is None:
            return UNKNOWN_ALLOWED if purpose in self._allowed_unknown else None
        sides = [newest] if not consents[-1].side else _newest_of_sides(consents, channel, purpose)
        if all(one.granted and one.time <= now < self._end(one) for one in sides):
            return ConsentUsed("granted", newest.time, newest.source, newest.version)
        return None

    def is_withdrawn(self, consents: list[Consent], channel: str, purpose: str) -> bool:
        """Tell whether the newest consent, of any side, is a withdrawal, whenever it arrived: an older one takes nothing (C1)."""
        if purpose in self._free:
            return False
        return any(not newest.granted for newest in _newest_of_sides(consents, channel, purpose))

    def _end(self, consent: Consent) -> float:
        """Give the first instant at which a consent no longer holds: its own expiry or the policy's, whichever is earlier."""
        own = consent.expiry or float("inf")
        return own if self._lasts_ms is None else min(own, consent.time + self._lasts_ms)


def _newest(consents: Iterable[Consent], channel: str, purpose: str) -> Consent | None:
    newest: Consent | None = None
    for consent in consents:
        if _covers(consent, channel, purpose) and (newest is None or _is_newer(consent, newest)):
            newest = consent
    return newest


def _newest_of_sides(consents: list[Consent], channel: str, purpose: str) -> list[Consent]:
    sides = groupby(consents, key=lambda consent: consent.side)
    found = [_newest(said, channel, purpose) for _, said in sides]
    return [newest for newest in found if newest is not None]


def _covers(consent: Consent, channel: str, purpose: str) -> bool:
    return consent.channel in (channel, ANY) and consent.purpose in (purpose, ANY)


def _is_newer(one: Consent, other: Consent) -> bool:
    """Compare by version time, not by arrival; at equal times the withdrawal counts."""
    return one.time > other.time or (one.time == other.time and other.granted and not one.granted)


def note(consents: list[Consent], change: Consent) -> None:
    """Keep a change, on every side, if it is newer than what is known there for exactly its channel and purpose."""
    for side in range(_sides(consents) or 1):
        _note(consents, change if not side else structs.replace(change, side=side))
    if consents[-1].side:
        consents[:] = _without_repeats(consents)


def _note(consents: list[Consent], change: Consent) -> None:
    place = len(consents)
    for position, known in enumerate(consents):
        if known.side == change.side and known.channel == change.channel and known.purpose == change.purpose:
            if _is_newer(change, known):
                consents[position] = change
            return
        if known.side > change.side:
            place = min(place, position)
    consents.insert(place, change)


def unite(ours: list[Consent], theirs: list[Consent]) -> list[Consent]:
    """Give the consents of two ids that are one person: the more restrictive of both counts, until a newer one (rule M1)."""
    first = _sides(ours)
    return _without_repeats([*ours, *(structs.replace(consent, side=first + consent.side) for consent in theirs)])


def _sides(consents: list[Consent]) -> int:
    """Give how many sides there are; they are numbered from 0 and stand in that order."""
    return consents[-1].side + 1 if consents else 0


def _without_repeats(consents: list[Consent]) -> list[Consent]:
    """Leave out sides that say the same as another."""
    sides: list[list[Consent]] = []
    for number in range(_sides(consents)):
        said = sorted((structs.replace(one, side=0) for one in consents if one.side == number), key=_place)
        if said not in sides:
            sides.append(said)
    return [structs.replace(one, side=number) for number, said in enumerate(sides) for one in said]


def _place(consent: Consent) -> tuple[str, str]:
    return consent.channel, consent.purpose

"""Consent: which record counts, and whether it allows a send now (rules C1, C2; rulings A55, A56, A107)."""

from __future__ import annotations

from typing import Final

from orchestrator.engine.document import Consent
from orchestrator.engine.handling import ConsentUsed
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
        if newest.granted and newest.time <= now < self._end(newest):
            return ConsentUsed("granted", newest.time, newest.source, newest.version)
        return None

    def is_withdrawn(self, consents: list[Consent], channel: str, purpose: str) -> bool:
        """Tell whether the newest consent is a withdrawal, whenever it arrived: one that is older takes nothing (rule C1)."""
        newest = None if purpose in self._free else _newest(consents, channel, purpose)
        return newest is not None and not newest.granted

    def _end(self, consent: Consent) -> float:
        """Give the first instant at which a consent no longer holds: its own expiry or the policy's, whichever is earlier."""
        own = consent.expiry or float("inf")
        return own if self._lasts_ms is None else min(own, consent.time + self._lasts_ms)


def _newest(consents: list[Consent], channel: str, purpose: str) -> Consent | None:
    newest: Consent | None = None
    for consent in consents:
        if _covers(consent, channel, purpose) and (newest is None or _is_newer(consent, newest)):
            newest = consent
    return newest


def _covers(consent: Consent, channel: str, purpose: str) -> bool:
    return consent.channel in (channel, ANY) and consent.purpose in (purpose, ANY)


def _is_newer(one: Consent, other: Consent) -> bool:
    """Compare by version time, not by arrival; at equal times the withdrawal counts."""
    return one.time > other.time or (one.time == other.time and other.granted and not one.granted)


def note(consents: list[Consent], change: Consent) -> None:
    """Keep a change if it is newer than what is known for exactly its channel and purpose."""
    for position, known in enumerate(consents):
        if known.channel == change.channel and known.purpose == change.purpose:
            if _is_newer(change, known):
                consents[position] = change
            return
    consents.append(change)

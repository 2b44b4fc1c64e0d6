"""The global holdout: customers who walk every journey and are sent nothing (rule P2, ruling A99).

    bucket = first 8 bytes, big-endian, of SHA-256(salt \\x1f customer), modulo 1,000,000
    held out = bucket < percent * 10,000

So a customer stays where they are while the salt stays, and a higher percentage only adds customers.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orchestrator.engine.handling import Action
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import Policy

HOLDOUT: Final = "holdout"  # the reason of a suppressed action
_BUCKETS: Final = 1_000_000


class HoldoutRule:
    """Who is held out, of which purposes."""

    __slots__ = ("_below", "_purposes", "_salt")

    def __init__(self, policy: Policy) -> None:
        """Without purposes of its own the holdout is for all that need consent."""
        holdout = policy.holdout
        self._below = round(holdout.percent * _BUCKETS / 100) if holdout is not None else 0
        self._salt = holdout.salt if holdout is not None else ""
        named = holdout.purposes if holdout is not None else ()
        needing = (name for name, purpose in policy.purposes.items() if purpose.consent == "required")
        self._purposes = frozenset(named or needing)

    def holds_out(self, turn: Turn, action: Action) -> bool:
        """Tell whether a send is kept from the customer."""
        return action.purpose in self._purposes and bucket(self._salt, turn.customer) < self._below


def bucket(salt: str, customer: str) -> int:
    """Give the customer's place from 0 to 999,999."""
    return int.from_bytes(sha256(f"{salt}\x1f{customer}".encode()).digest()[:8]) % _BUCKETS

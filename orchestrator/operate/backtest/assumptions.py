"""What is assumed to become of actions, since nobody carries them out: by channel, in shares, drawn by a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct

from orchestrator.engine.handling import Action
from orchestrator.engine.record import Record
from orchestrator.errors import UsageError
from orchestrator.names import ACTION_OUTCOME

STATUSES: Final = ("delivered", "bounced", "failed", "succeeded", "cancelled")
DELAY_MS: Final = 60_000  # from the command to the report
_USUAL: Final = {"send": {"delivered": 1.0}, "call": {"succeeded": 1.0}}
_FORM: Final = "write it as --outcome email=delivered:0.97,bounced:0.03"


class Assumptions(Struct, frozen=True):
    """Shares of statuses by channel; what they leave of 1 is never reported. Other channels: delivered, and calls succeed."""

    shares: Mapping[str, Mapping[str, float]] = {}
    seed: int = 0

    def outcome_of(self, action: Action) -> Record | None:
        """Give the report about an action, None where there is none. The same seed gives the same for the same action."""
        shares = self.shares.get(action.channel, _USUAL.get(action.kind, {}))
        digest = sha256(f"{self.seed} {action.action_id} {action.attempt}".encode()).digest()
        luck = int.from_bytes(digest[:8], "big") / 2**64
        for status, share in shares.items():
            luck -= share
            if luck < 0:
                at = action.created_at + DELAY_MS
                payload: dict[str, Any] = {"action_id": action.action_id, "status": status, "code": None, "data": {}}
                event_id = f"outcome-{action.action_id}-{action.attempt}"
                return Record(ACTION_OUTCOME, action.customer, event_id, at, payload, occurred_at=at)
        return None

    def told(self) -> list[str]:
        """Say what is assumed, a line each."""
        lines = [
            f"{channel}: " + ", ".join(f"{share:.1%} {status}" for status, share in shares.items())
            for channel, shares in sorted(self.shares.items())
        ]
        lines.append(f"{'other ' if lines else ''}channels: every message is delivered, every call succeeds")
        lines.append(f"reports come {DELAY_MS // 1000} s after the command; seed {self.seed}")
        lines.append("what was really reported about actions, and operators' requests, are left out")
        return lines


def parse(texts: Iterable[str], channels: Iterable[str], seed: int) -> Assumptions:
    """Read `channel=status:share,...`. Raises UsageError for a channel or status that there is not, and shares over 1."""
    known = sorted(channels)
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        channel, equals, shares = text.partition("=")
        if channel not in known or not equals:
            raise UsageError(f"--outcome {text}: no such channel", next_step=f"{_FORM}; channels are {', '.join(known)}")
        found[channel] = {}
        for each in shares.split(","):
            status, _, share = each.partition(":")
            if status not in STATUSES or not _is_share(share):
                raise UsageError(
                    f"--outcome {text}: {each!r} is no status and share", next_step=f"{_FORM}: {', '.join(STATUSES)}"
                )
            found[channel][status] = float(share)
        if sum(found[channel].values()) > 1.000001:
            raise UsageError(f"--outcome {text}: the shares are more than 1", next_step=_FORM)
    return Assumptions(found, seed)


def _is_share(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and 0 <= float(text) <= 1

"""What reserved event types do to a customer before any journey sees them (rule T7; rulings A53, A55, A69)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator import names
from orchestrator.engine import answers, consent, erasure, exporting, merging, operations, withdrawal
from orchestrator.engine.document import Consent
from orchestrator.names import Reason

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn

_STATUS: Final = {"granted": True, "withdrawn": False}
_encode = msgspec.msgpack.Encoder().encode


def change_consent(turn: Turn) -> None:
    """Note a `consent.changed`; one that does not say what changed is an incident, and changes nothing."""
    payload = turn.payload
    channel, purpose, status = (_text(payload.get(name)) for name in ("channel", "purpose", "status"))
    time = payload.get("time")
    time = turn.now if time is None else time
    expiry = payload.get("expiry") or 0
    if not channel or not purpose or status not in _STATUS or not _is_time(time) or not _is_time(expiry):
        turn.incident(Reason.UNUSABLE_EVENT, "consent.changed needs channel, purpose, status granted or withdrawn, times in ms")
        return
    source, version = _text(payload.get("source")), _text(payload.get("version"))
    change = Consent(channel, purpose, _STATUS[status], time, source, version, expiry)
    consent.note(turn.document.consents, change)
    if not change.granted:
        withdrawal.carry_out(turn, change)


KEEPS_NULLS: Final = 4  # the semantics from which on a null for a name that is not in the profile is remembered


def merge_profile(turn: Turn) -> None:
    """Merge a payload into the profile at top level; null deletes a name. Newest record time wins."""
    profile = turn.document.profile
    merged = dict(profile)
    keeps_nulls = turn.program.semantics >= KEEPS_NULLS
    for name, value in turn.payload.items():
        known = profile.get(name)
        # A null for a name that is not there is kept as well, so that an older update which comes later does not set it.
        is_newer = (value is not None or keeps_nulls) if known is None else known[1] <= turn.now
        if is_newer:
            merged[name] = (value, turn.now)
    if len(_encode(merged)) > turn.program.limits.context_bytes:
        limit = turn.program.limits.context_bytes
        turn.incident(Reason.DOCUMENT_TOO_LARGE, f"the profile would exceed {limit} bytes; the update was not applied")
        return
    turn.document.profile = merged
    turn.forget_profile()


EFFECTS: Final[Mapping[str, Callable[[Turn], None]]] = {
    names.CONSENT_CHANGED: change_consent,
    names.PROFILE_UPDATED: merge_profile,
    names.PREFERENCE_UPDATED: merge_profile,
    names.PROFILE_MERGED: merging.carry_out,
    names.ERASURE_REQUESTED: erasure.carry_out,
    names.EXPORT_REQUESTED: exporting.carry_out,
    names.ACTION_OUTCOME: answers.receive,
    names.OPERATION_REQUESTED: operations.carry_out,
}


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> str:
    return "" if value is None else str(value)

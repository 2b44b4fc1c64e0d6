"""What would have to change for an entry or a send that was refused, said with the journey's and the policy's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.engine.portrait import instant
from orchestrator.language.durations import format_duration
from orchestrator.language.model import Journey, Topology
from orchestrator.names import CONSENT_CHANGED

_ENTRY: Final = {
    "duplicate": "an event with an event_id of its own",
    "condition": "an event for which the condition is true",
    "already_active": "the instance that is there must end first",
    "limit": "one of the customer's instances must end, or `limits.instances_per_customer` be raised",
}
_SEND: Final = {
    "holdout": "nothing: the customer stays in the control group for good",
    "quiet_hours_expired": "a longer `expires`, or shorter quiet hours",
    "duplicate_address": "another address, or a send after `dedupe.addresses` has run out",
    "rate": "a longer `expires`, or a higher `rate` of the channel",
    "paused": "the journey must be resumed before the message expires",
    "no_channel": f"a {CONSENT_CHANGED} that grants one of the step's channels",
}


def entry_change(reason: str, journey: Journey | None, at: int) -> str:
    """Say what would let the customer in, after a refusal at `at` (ms UTC); "" where nothing is known of the journey."""
    if reason in _ENTRY:
        return _ENTRY[reason]
    if journey is None:
        return ""
    if reason == "too_old":
        return f"an event no older than {format_duration(journey.entry.max_age_ms or 0)} when it is handled"
    if reason == "consent":
        return f"a {CONSENT_CHANGED} that grants a channel of the journey for {journey.purpose}"
    if reason == "reentry":
        again = journey.entry.reentry
        if again.kind == "never":
            return "nothing: `reentry: never` is for ever, short of an erasure"
        earliest = instant(at + again.after_ms)
        return f"{format_duration(again.after_ms)} after the last {again.since}; from {earliest} on in any case"
    return "the other journey of the exclusive group must end first" if reason == "exclusive" else ""


def send_change(reason: str, channel: str, detail: Mapping[str, str], topology: Topology) -> str:
    """Say what would let such a message go."""
    if reason in _SEND:
        return _SEND[reason]
    if reason == "consent":
        return f"a {CONSENT_CHANGED} that grants {channel or 'the channel'} for the message's purpose"
    if reason == "suppression":
        rules = ", ".join(rule.id for rule in topology.policy.suppress)
        return f"the block must be over: rules of `suppress` are {rules}; `inspect` shows until when"
    if reason == "cap":
        cap = next((each for each in topology.policy.caps if each.id == detail.get("cap")), None)
        if cap is None:
            return "a free slot of the cap"
        return f"fewer than {cap.limit} such messages in {format_duration(cap.per_ms)}, by the cap {cap.id}"
    return ""

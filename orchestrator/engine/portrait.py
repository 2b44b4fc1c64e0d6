"""A customer's document as people read it: by names, times as text, and with what is personal left out unless it is asked for.

Names of fields, journeys, steps, channels and rules are authors' words and always shown. Values are not: of the profile, of an
instance's context and key, of remembered events, of what is held for the customer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.engine.contact import Contact, Held, Sent
from orchestrator.engine.dedupe import ENTRY
from orchestrator.engine.document import NEVER, Consent, Document, Instance
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.storing import decode, next_due

MASK: Final = "***"
_LAST: Final = 253_402_300_799_000  # the last instant that a calendar has


def portrait(stored: bytes, *, reveal: bool = False) -> dict[str, Any]:
    """Give a stored document as plain values, fit for JSON. Raises ValueError for a format this version does not know."""
    document = decode(stored)
    shown = _Shown(reveal)
    found: dict[str, Any] = {
        "next_due": instant(next_due(stored)),
        "merged_into": shown(document.merged.into) if document.merged is not None and document.merged.into else None,
        "merged_ids": [shown(each) for each in document.merged.ids] if document.merged is not None else [],
        "instances": [_instance(each, shown) for each in document.instances],
        "profile": {name: {"value": shown(value), "at": instant(at)} for name, (value, at) in document.profile.items()},
        "consents": [_consent(each) for each in document.consents],
        "journeys_before": _markers(document, shown),
        "arms": document.arms,
        "exposed": {name: instant(at) for name, at in document.exposed.items()},
        "goals_watched": [
            {"journey": each.journey, "version": each.version, "missing": each.missing, "since": instant(each.entered)}
            for each in document.goals
        ],
        "event_ids_known": len(document.seen) // ENTRY,
        **_memory(document, shown),
        **_contact(document.contact, shown),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {}, "")}


def places(stored: bytes) -> list[tuple[str, int, str, str]]:
    """Give where the instances of a stored document stand: journey, version, state, and step, "" for none.

    Raises ValueError for a format this version does not know.
    """
    return [(each.journey, each.version, each.state, each.step) for each in decode(stored).instances]


def instant(at: int) -> str | None:
    """Give a time in ms UTC as text, None where there is none."""
    if at in (0, NEVER) or not 0 < at <= _LAST:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Shown:
    """What a value is shown as."""

    def __init__(self, reveal: bool) -> None:
        self._reveal = reveal

    def __call__(self, value: Any) -> Any:
        if self._reveal or value in (None, ""):
            return value
        if isinstance(value, dict):
            return {name: self(each) for name, each in value.items()}
        return MASK


def _instance(instance: Instance, shown: _Shown) -> dict[str, Any]:
    found = {
        "journey": instance.journey,
        "version": instance.version,
        "instance": uuid_text(instance.id),
        "key": shown(instance.key),
        "started": instant(instance.started),
        "state": instance.state,
        "step": instance.step,
        "due": instant(instance.due) if not instance.stopped else None,
        "expires": instant(instance.expires) if not instance.stopped else None,
        "clock_stands_since": instant(instance.stopped),
        "left_s": (instance.due - instance.stopped) // 1000 if instance.stopped and instance.due else None,
        "parked": instance.parked,
        "held_out": instance.held_out,
        "visits": instance.visits,
        "context": shown(instance.context),
        "last_steps": instance.trail,
    }
    return {name: value for name, value in found.items() if value not in (None, "", {}, False)}


def _consent(consent: Consent) -> dict[str, Any]:
    found = {
        "channel": consent.channel,
        "purpose": consent.purpose,
        "status": "granted" if consent.granted else "withdrawn",
        "at": instant(consent.time),
        "expires": instant(consent.expiry),
        "source": consent.source,
        "version": consent.version,
    }
    return {name: value for name, value in found.items() if value}


def _markers(document: Document, shown: _Shown) -> list[dict[str, Any]]:
    found = []
    for name, marker in document.markers.items():
        journey, _, key = name.partition("\x1f")
        entry = {"journey": journey, "key": shown(key), "entered": instant(marker.entered), "ended": instant(marker.ended)}
        found.append({field: value for field, value in entry.items() if value})
    return found


def _memory(document: Document, shown: _Shown) -> dict[str, Any]:
    memory = document.memory
    if memory is None:
        return {}
    return {
        "events_remembered": [
            {"type": each.type, "at": instant(each.time), "payload": shown(each.payload)} for each in memory.events
        ],
        "events_counted": {event: [instant(at) for at in times] for event, times in memory.times.items()},
    }


def _contact(contact: Contact | None, shown: _Shown) -> dict[str, Any]:
    if contact is None:
        return {}
    return {
        "suppressed": {rule: {"from": instant(start), "until": instant(end)} for rule, (start, end) in contact.blocks.items()},
        "sent": [_sent(each) for each in contact.sent],
        "held": [_held(each, shown) for each in contact.held],
        "latest_by_channel": {channel: instant(at) for channel, at in contact.latest.items()},
    }


def _sent(sent: Sent) -> dict[str, Any]:
    return {
        "action_id": uuid_text(sent.action),
        "journey": sent.journey,
        "step": sent.step,
        "channel": sent.channel,
        "purpose": sent.purpose,
        "at": instant(sent.time),
        "counts_until": instant(sent.counts_until),
        "outcome": ("open", "answered", "cancel asked")[sent.status],
    }


def _held(held: Held, shown: _Shown) -> dict[str, Any]:
    action = held.action
    return {
        "action_id": action.action_id,
        "journey": action.journey,
        "step": action.step,
        "channel": action.channel,
        "template": action.template or action.action,
        "reason": held.reason,
        "decided": instant(held.decided),
        "looked_at_again": instant(held.look_at),
        "expires": instant(action.expires_at),
        "data": shown(action.data),
    }

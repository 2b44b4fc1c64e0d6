"""Plain records as the watcher decodes them, for tests that need no Kafka."""

from __future__ import annotations

from typing import Any

DECISION = {
    "journey": "onboarding", "version": 1, "state": None, "step": None, "reason": None, "by": None, "outcome": None, "arm": None,
    "channel": None, "instance": "i1", "key": None, "action_id": None, "detail": {},
}  # fmt: skip


def decision(kind: str, **fields: Any) -> dict[str, Any]:
    return {**DECISION, "kind": kind, **fields}


def handling(customer: str, at: int, *decisions: dict[str, Any], event: str = "", event_id: str = "") -> dict[str, Any]:
    return {"customer": customer, "at": at, "event": event or None, "event_id": event_id or None, "decisions": list(decisions)}


def action(customer: str, action_id: str, template: str | None, channel: str = "email", kind: str = "send") -> dict[str, Any]:
    return {"kind": kind, "customer": customer, "action_id": action_id, "template": template, "action": None, "channel": channel}


def call(customer: str, action_id: str, what: str, attempt: int = 1) -> dict[str, Any]:
    return {**action(customer, action_id, None, "case-desk", "call"), "action": what, "attempt": attempt}

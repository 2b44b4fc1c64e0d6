"""What the engine gives out beside decisions: incidents, exports, and actions as plain data."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class ConsentUsed(Struct, frozen=True, omit_defaults=True, gc=False):
    """The consent record that allowed a send (rule A1). `status` is granted, unknown (policy allows) or not_required."""

    status: str
    at: int = 0
    source: str = ""
    version: str = ""


class PlainAction(Struct, omit_defaults=True, gc=False):
    """The fields of an `engine.handling.Action` as data: a held one is stored with the customer so."""

    kind: Literal["send", "call", "cancel"]
    action_id: str
    customer: str
    journey: str
    version: int
    instance: str
    step: str
    channel: str
    created_at: int
    expires_at: int
    purpose: str = ""
    template: str = ""
    action: str = ""
    key: str = ""
    attempt: int = 1
    urgency: str = "medium"
    urgent: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    consent: ConsentUsed | None = None
    arms: dict[str, str] = field(default_factory=dict)
    handoff: dict[str, Any] | None = None


class Incident(Struct, omit_defaults=True, gc=False):
    """Something an operator must see, decided by the engine. `message` holds no customer data."""

    reason: str
    message: str = ""
    journey: str = ""
    version: int = 0
    instance: str = ""
    step: str = ""
    severity: str = "error"
    stage: Literal["engine", "timer"] = "engine"


class Export(Struct, gc=False):
    """Everything that is kept of a customer, given out (rule F2). `request_id` is "" where the request had none."""

    request_id: str
    document: dict[str, Any]

"""What comes out of the engine: everything that one record, or one timer instant, did to one customer."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class Decision(Struct, omit_defaults=True, gc=False):
    """One line of the decision log. Empty text means that the field does not apply.

    `at`, customer, event and event_id are those of the Handling. `detail` holds what only some kinds have, as text.
    """

    kind: str
    journey: str = ""
    version: int = 0
    instance: str = ""
    key: str = ""
    state: str = ""
    step: str = ""
    reason: str = ""
    by: str = ""
    outcome: str = ""
    arm: str = ""
    channel: str = ""
    action_id: str = ""
    detail: dict[str, str] | None = None


class ConsentUsed(Struct, frozen=True, omit_defaults=True, gc=False):
    """The consent record that allowed a send (rule A1). `status` is granted, unknown (policy allows) or not_required."""

    status: str
    at: int = 0
    source: str = ""
    version: str = ""


class Action(Struct, omit_defaults=True, gc=False):
    """A command to a channel service (rule A1). Consumers dedupe on `action_id` and honour `expires_at`."""

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


class Handling(Struct, gc=False):
    """The outputs of one handling, in order. `at` is the record's time or the timers' due instant, ms UTC.

    `counts` holds what is counted and is no decision, by `names.Count`. `profile` holds what journeys set in the profile; the
    log has the names, in `context_set`, and nothing carries the values further (ruling A88). `joined` is the id that the record
    merged into `customer`, "" for none. `export` is what a request for everything that is kept gets. `stays` are the states that
    instances left, for metrics: journey, state, how long it was in ms.
    """

    customer: str
    at: int
    event: str = ""  # the record's type; "" for timers
    event_id: str = ""
    decisions: list[Decision] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    joined: str = ""
    export: Export | None = None
    stays: list[tuple[str, str, int]] = field(default_factory=list)

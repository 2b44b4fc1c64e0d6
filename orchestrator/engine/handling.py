"""What comes out of the engine: everything that one record, or one timer instant, did to one customer.

Classes of their own and not Structs: where they are compiled, a field of theirs is read at a place and not by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec.structs import astuple

from orchestrator.engine.fields import Fielded
from orchestrator.engine.outputs import PlainAction

if TYPE_CHECKING:
    from orchestrator.engine.outputs import ConsentUsed, Export, Incident


_LINE: Final = (
    "kind", "journey", "version", "instance", "key", "state", "step", "reason", "by", "outcome", "arm", "channel", "action_id",
    "detail",
)  # fmt: skip


class Decision(Fielded):
    """One line of the decision log. Empty text means that the field does not apply.

    `at`, customer, event and event_id are those of the Handling. `detail` holds what only some kinds have, as text.
    """

    __slots__ = _LINE

    FIELDS: ClassVar = _LINE

    def __init__(  # noqa: PLR0913, PLR0917 - the fields of a line
        self,
        kind: str,
        journey: str = "",
        version: int = 0,
        instance: str = "",
        key: str = "",
        state: str = "",
        step: str = "",
        reason: str = "",
        by: str = "",
        outcome: str = "",
        arm: str = "",
        channel: str = "",
        action_id: str = "",
        detail: dict[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.journey = journey
        self.version = version
        self.instance = instance
        self.key = key
        self.state = state
        self.step = step
        self.reason = reason
        self.by = by
        self.outcome = outcome
        self.arm = arm
        self.channel = channel
        self.action_id = action_id
        self.detail = detail


_COMMAND: Final = PlainAction.__struct_fields__


class Action(Fielded):
    """A command to a channel service (rule A1). Consumers dedupe on `action_id` and honour `expires_at`.

    `kind` is "send", "call" or "cancel"; times are ms UTC.
    """

    __slots__ = _COMMAND

    FIELDS: ClassVar = _COMMAND

    def __init__(  # noqa: PLR0913, PLR0917 - as `Decision`
        self,
        kind: str,
        action_id: str,
        customer: str,
        journey: str,
        version: int,
        instance: str,
        step: str,
        channel: str,
        created_at: int,
        expires_at: int,
        purpose: str = "",
        template: str = "",
        action: str = "",
        key: str = "",
        attempt: int = 1,
        urgency: str = "medium",
        urgent: bool = False,
        data: dict[str, Any] | None = None,
        consent: ConsentUsed | None = None,
        arms: dict[str, str] | None = None,
        handoff: dict[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.action_id = action_id
        self.customer = customer
        self.journey = journey
        self.version = version
        self.instance = instance
        self.step = step
        self.channel = channel
        self.created_at = created_at
        self.expires_at = expires_at
        self.purpose = purpose
        self.template = template
        self.action = action
        self.key = key
        self.attempt = attempt
        self.urgency = urgency
        self.urgent = urgent
        self.data: dict[str, Any] = {} if data is None else data
        self.consent = consent
        self.arms: dict[str, str] = {} if arms is None else arms
        self.handoff = handoff

    @classmethod
    def of(cls, plain: PlainAction) -> Action:
        """Give the action of these fields."""
        return cls(*astuple(plain))

    def plain(self) -> PlainAction:
        """Give its fields as data, which share what is in them."""
        return PlainAction(**self.fields())


_OUTPUTS: Final = (
    "customer", "at", "event", "event_id", "decisions", "actions", "incidents", "counts", "profile", "joined", "export", "stays",
)  # fmt: skip


class Handling(Fielded):
    """The outputs of one handling, in order. `at` is the record's time or the timers' due instant, ms UTC.

    `event` is the record's type, "" for timers. `counts` holds what is counted and is no decision, by `names.Count`. `profile`
    holds what journeys set in the profile; the log has the names, in `context_set`, and nothing carries the values further
    (ruling A88). `joined` is the id that the record merged into `customer`, "" for none. `export` is what a request for
    everything that is kept gets. `stays` are the states that instances left, for metrics: journey, state, how long it was in ms.
    """

    __slots__ = _OUTPUTS

    FIELDS: ClassVar = _OUTPUTS

    def __init__(  # noqa: PLR0913, PLR0917 - as `Decision`
        self,
        customer: str,
        at: int,
        event: str = "",
        event_id: str = "",
        decisions: list[Decision] | None = None,
        actions: list[Action] | None = None,
        incidents: list[Incident] | None = None,
        counts: dict[str, int] | None = None,
    ) -> None:
        self.customer = customer
        self.at = at
        self.event = event
        self.event_id = event_id
        self.decisions: list[Decision] = decisions or []
        self.actions: list[Action] = actions or []
        self.incidents: list[Incident] = incidents or []
        self.counts: dict[str, int] = counts or {}
        self.profile: dict[str, Any] = {}
        self.joined = ""
        self.export: Export | None = None
        self.stays: list[tuple[str, str, int]] = []

"""`alert`: put an operator alert on the incident topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine.moves import NEXT, Move
from orchestrator.engine.verbs.verb import Verb
from orchestrator.language.reader import Fields
from orchestrator.names import Kind, Reason
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

SEVERITIES: Final = ("info", "warning", "error", "critical")


class AlertSettings(Frozen, frozen=True):
    """What the operator reads. The message is fixed text: no customer data reaches an incident."""

    message: str
    severity: str = "error"


class Alert(Verb):
    """Raises an incident with reason `alert`, logs it, and goes on."""

    name = "alert"

    def parse(self, step: Fields) -> AlertSettings:
        """Read `alert: {severity, message}`."""
        settings = step.fields("alert", "alert", required=True)
        if settings is None:
            return AlertSettings("")
        parsed = AlertSettings(
            message=settings.text("message", required=True),
            severity=settings.choice("severity", SEVERITIES, "error"),
        )
        settings.close()
        return parsed

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Raise it."""
        settings: AlertSettings = step.plan
        walk.incident(Reason.ALERT, settings.message, step.id, settings.severity)
        walk.log(Kind.ALERT, step.id, detail={"severity": settings.severity})
        return NEXT

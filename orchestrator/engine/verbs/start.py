"""`start`: start another journey for this customer. Read in full; it runs with a later version."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.engine.verbs.verb import Verb
from orchestrator.language.model import Expr, Place, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check


class StartSettings(Struct, frozen=True):
    """Which journey, and the context it begins with."""

    journey: str
    place: Place
    data: tuple[tuple[str, Expr], ...] = ()


class Start(Verb):
    """Starts a journey in the same handling (ruling A100)."""

    name = "start"
    built = False

    def parse(self, step: Fields) -> StartSettings:
        """Read `start: {journey, data}`."""
        settings = step.fields("start", "start", required=True)
        if settings is None:
            return StartSettings("", step.at("start"))
        parsed = StartSettings(
            journey=settings.name("journey", required=True),
            place=step.at("start"),
            data=tuple(settings.expressions("data").items()),
        )
        settings.close()
        return parsed

    def check(self, step: Step, check: Check) -> None:
        """Check the expressions."""
        for _, expr in step.settings.data:
            check.value(expr)

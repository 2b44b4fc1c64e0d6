"""`delay`: wait for time. By a duration; until a date, at a local time and smoothing come with a later version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

from msgspec import Struct

from orchestrator.engine.moves import NEXT, Move
from orchestrator.engine.verbs.verb import Verb
from orchestrator.language import codes
from orchestrator.language.model import Expr, Milliseconds, Place, Step
from orchestrator.language.reader import Fields, read_duration
from orchestrator.language.verb import Check
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class DelaySettings(Struct, frozen=True):
    """One of `for_ms`, `until` and `at` is set. `at` is local time as "HH:MM"; no `days` means every day."""

    place: Place
    for_ms: Milliseconds | None = None
    until: Expr | None = None
    past: Literal["continue", "exit"] = "continue"
    at: str = ""
    days: tuple[str, ...] = ()
    timezone: Expr | None = None
    smooth_over_ms: Milliseconds | None = None


class Delay(Verb):
    """Waits for a stated time; a delay of 0 takes no timer (rules D1, D5)."""

    name = "delay"
    beside = frozenset({"smooth_over"})
    waits = True

    def parse(self, step: Fields) -> DelaySettings:
        """Read a duration, or a mapping with `until` or `at`."""
        place = step.at("delay")
        smooth_over_ms = step.duration("smooth_over")
        node = step.node("delay", required=True)
        if node is None:
            return DelaySettings(place, for_ms=0)
        if not isinstance(node.value, dict):
            return DelaySettings(place, for_ms=read_duration(node, step.problems, zero=True), smooth_over_ms=smooth_over_ms)
        settings = Fields(node, step.problems, "delay")
        by_clock = settings.has("at")
        parsed = DelaySettings(
            place,
            until=None if by_clock else settings.expression("until", required=True),
            past=cast(Literal["continue", "exit"], settings.choice("past", ("continue", "exit"), "continue")),
            at=settings.text("at") if by_clock else "",
            days=tuple(day for day in settings.names("days") if self._is_weekday(day, settings)),
            timezone=settings.expression("timezone"),
            smooth_over_ms=smooth_over_ms,
        )
        settings.close()
        return parsed

    def _is_weekday(self, day: str, settings: Fields) -> bool:
        if day in WEEKDAYS:
            return True
        message = f"{day!r} is no weekday: {', '.join(WEEKDAYS)}"
        settings.problems.error(settings.at("days"), codes.BAD_CHOICE, message, word=day, known=WEEKDAYS)
        return False

    def check(self, step: Step, check: Check) -> None:
        """Check the length, and refuse what is not built."""
        settings: DelaySettings = step.settings
        if settings.until is not None:
            check.value(settings.until)
            check.not_built("a delay until a date", settings.place)
        if settings.at:
            check.not_built("a delay until a local time", settings.place)
        if settings.smooth_over_ms is not None:
            check.not_built("smooth_over", settings.place)
        if settings.for_ms is not None:
            check.wait(settings.for_ms + (settings.smooth_over_ms or 0), settings.place)

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Set the timer."""
        settings: DelaySettings = step.plan
        if not settings.for_ms:
            return NEXT
        due = walk.turn.now + settings.for_ms
        walk.log(Kind.DELAY_STARTED, step.id, detail={"deadline": str(due)})
        return walk.wait(step, due)

    def fall_due(self, walk: Walk, step: StepProgram) -> Move:
        """Go on."""
        walk.log(Kind.DELAY_ENDED, step.id)
        return NEXT

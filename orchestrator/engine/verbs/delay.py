"""`delay`: wait for time: a duration, until a moment, or until a local time of day (rules D1-D6; rulings A72-A75, A104)."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, cast

from orchestrator.engine.local_time import next_at, zone_of
from orchestrator.engine.moves import NEXT, Leave, Move
from orchestrator.engine.verbs.verb import Verb, compiled_if
from orchestrator.language import codes
from orchestrator.language.activation import milliseconds
from orchestrator.language.expressions import UNKNOWN
from orchestrator.language.model import Expr, Milliseconds, Place, Step
from orchestrator.language.reader import Fields, read_duration
from orchestrator.language.references import plain_string
from orchestrator.language.verb import Check
from orchestrator.language.zones import check_zone
from orchestrator.names import Count, Kind
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


class DelaySettings(Frozen, frozen=True):
    """One of `for_ms`, `until` and `at` is set. `at` is local time as "HH:MM"; no `days` means every day."""

    place: Place
    for_ms: Milliseconds | None = None
    until: Expr | None = None
    past: Literal["continue", "exit"] = "continue"
    at: str = ""
    days: tuple[str, ...] = ()
    timezone: Expr | None = None
    smooth_over_ms: Milliseconds | None = None


class DelayPlan:
    """The same, ready to run. `past` is what to do about a moment that is over; weekdays count from 0 for Monday."""

    __slots__ = ("for_ms", "minute", "past", "smooth_over_ms", "timezone", "until", "weekdays")

    def __init__(self, settings: DelaySettings) -> None:
        """Compile the expressions."""
        self.for_ms: Milliseconds | None = settings.for_ms
        self.until = compiled_if(settings.until)
        self.past: Move = Leave("past") if settings.past == "exit" else NEXT
        self.minute = minute_of(settings.at) or 0
        self.weekdays = frozenset([WEEKDAYS.index(day) for day in settings.days or WEEKDAYS])
        self.timezone = compiled_if(settings.timezone)
        self.smooth_over_ms: Milliseconds = settings.smooth_over_ms or 0


class Delay(Verb):
    """Waits for a stated time, spread over a span where asked."""

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
        """Check the length, the expressions, the time of day, and a zone written out."""
        settings: DelaySettings = step.settings
        smooth_ms = settings.smooth_over_ms or 0
        if settings.until is not None:
            check.value(settings.until)
        if settings.at and minute_of(settings.at) is None:
            message = f"{settings.at!r} is no time of day: write hours and minutes, such as 09:00"
            check.problems.error(settings.place, codes.BAD_CHOICE, message)
        if settings.timezone is not None:
            check.value(settings.timezone)
            name = plain_string(settings.timezone.source.strip())
            if name is not None:
                check_zone(name, settings.timezone.place, check.problems)
        if settings.for_ms is not None or smooth_ms:
            check.wait((settings.for_ms or 0) + smooth_ms, settings.place)

    def plan(self, step: Step) -> DelayPlan:
        """Compile the expressions."""
        settings: DelaySettings = step.settings
        return DelayPlan(settings)

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Set the timer, at the target plus the customer's own offset."""
        plan: DelayPlan = step.plan
        now = walk.turn.now
        if plan.for_ms is not None:
            target = now + plan.for_ms
        elif plan.until is not None:
            value = walk.value(plan.until, step.id)
            if not isinstance(value, datetime):
                if value is not UNKNOWN:
                    walk.log(Kind.CONDITION_ERROR, step.id, detail={"expression": plan.until.source})
                return plan.past
            target = milliseconds(value)
            if target < now:
                return plan.past
        else:
            target = next_at(now, plan.minute, plan.weekdays, _zone(walk, plan))
        if plan.smooth_over_ms:
            target += offset_ms(walk.turn.customer, walk.journey.id, step.id, plan.smooth_over_ms)
        return _wait(walk, step, target)

    def is_dated(self, step: StepProgram) -> bool:
        """Where its length is written."""
        plan: DelayPlan = step.plan
        return plan.for_ms is not None

    def began(self, turn: Turn, step: StepProgram, instance: Instance) -> int:
        """Give when a delay of a written length began; a moment in time does not tell."""
        plan: DelayPlan = step.plan
        if plan.for_ms is None:
            return 0
        span_ms = plan.for_ms
        if plan.smooth_over_ms:
            span_ms += offset_ms(turn.customer, instance.journey, step.id, plan.smooth_over_ms)
        return instance.due - min(span_ms, turn.program.limits.wait_ms)

    def postponed(self, step: StepProgram, due: int, by_ms: int, until: int) -> int:
        """A moment in time stays what it is; where it is over by then, the wait is, too."""
        plan: DelayPlan = step.plan
        return due + by_ms if plan.for_ms is not None else max(due, until)

    def fall_due(self, walk: Walk, step: StepProgram) -> Move:
        """Go on."""
        walk.log(Kind.DELAY_ENDED, step.id)
        return NEXT


def _wait(walk: Walk, step: StepProgram, target: int) -> Move:
    """Wait until `target`, at most for `limits.wait` (ruling A75); a delay of 0 takes no timer (rule D5)."""
    now = walk.turn.now
    if target <= now:
        return NEXT
    due = min(target, now + walk.turn.program.limits.wait_ms)
    detail = {"deadline": str(due)}
    if due < target:
        detail["asked"] = str(target)
    walk.log(Kind.DELAY_STARTED, step.id, reason="limit" if due < target else "", detail=detail)
    return walk.wait(step, due)


def _zone(walk: Walk, plan: DelayPlan) -> tzinfo:
    """Give the zone that the expression names, without one the profile's; else the policy's, else UTC (rule D3)."""
    turn = walk.turn
    if plan.timezone is None:
        name = turn.profile.get("timezone")
    else:
        event = turn.event if walk.event is None else walk.event
        name = plan.timezone.evaluate(turn.scope(walk.instance.context, event))
    if name is not None and name is not UNKNOWN:
        zone = zone_of(name) if isinstance(name, str) else None
        if zone is not None:
            return zone
        turn.count(Count.UNKNOWN_ZONES)
    return turn.program.zone


def offset_ms(customer: str, journey: str, step: str, span_ms: Milliseconds) -> Milliseconds:
    """Give a customer's own offset within a span: SHA-256 of the three names, U+001F between, mod the span (rule D6)."""
    digest = sha256(f"{customer}\x1f{journey}\x1f{step}".encode()).digest()
    return int.from_bytes(digest, "big") % span_ms


def minute_of(text: str) -> int | None:
    """Read "HH:MM" as minutes after midnight, None for anything else."""
    found = _TIME_OF_DAY.fullmatch(text)
    return None if found is None else int(found[1]) * 60 + int(found[2])

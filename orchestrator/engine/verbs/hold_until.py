"""`hold_until`: wait for an event, at most until a deadline (rules W1, W3-W7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

from msgspec import Struct

from orchestrator.engine.moves import Move, go_or_next
from orchestrator.engine.values import storable
from orchestrator.engine.verbs.verb import Verb, compiled_if
from orchestrator.language import codes
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Milliseconds, Place, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, read_duration
from orchestrator.language.verb import Check, Target
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

SINCE_ENTRY: Final = -1  # `lookback_ms` for `since_entry`


class HoldBranch(Struct, frozen=True):
    """An event that ends the wait. No `go`: the next step (ruling A51). `as_name` is a name under `journey.`."""

    on: str
    place: Place
    when: Expr | None = None
    go: str = ""
    go_place: Place | None = None
    as_name: str = ""


class HoldSettings(Struct, frozen=True):
    """`lookback_ms`: 0 for none, SINCE_ENTRY, or a length. `restarts`: how often a repeat moves the deadline. No state: ""."""

    branches: tuple[HoldBranch, ...]
    timeout_ms: Milliseconds
    place: Place
    timeout_place: Place
    on_timeout: str = ""
    on_timeout_place: Place | None = None
    lookback_ms: Milliseconds = 0
    include_entry: bool = False
    match: Literal["first", "ranked"] = "first"
    restarts: int = 0
    on_late: str = ""
    on_late_place: Place | None = None


class WayOut(Struct, frozen=True):
    """A compiled branch."""

    when: Expression | None
    move: Move
    as_name: str
    number: str  # its position from 1, as the decision shows it


class HoldPlan(Struct, frozen=True):
    """The branches by event type, in written order, and what the deadline does."""

    by_type: dict[str, tuple[WayOut, ...]]
    timeout_ms: Milliseconds
    on_timeout: Move
    restarts: int


class HoldUntil(Verb):
    """Waits for the first matching event; the deadline ends the wait otherwise, and loses a tie with an event (rule T3)."""

    name = "hold_until"
    beside = frozenset({"timeout", "on_timeout", "lookback", "include_entry", "match", "on_repeat", "on_late"})
    waits = True

    def parse(self, step: Fields) -> HoldSettings:
        """Read the list of branches and what stands beside it."""
        lookback_ms = _read_lookback(step)
        include_entry = step.flag("include_entry")
        if include_entry and lookback_ms != SINCE_ENTRY:
            step.problems.error(step.at("include_entry"), codes.CONFLICT, "`include_entry` needs `lookback: since_entry`")
        return HoldSettings(
            branches=tuple(_read_branch(node, step.problems) for node in step.items("hold_until", required=True)),
            timeout_ms=step.duration("timeout", required=True) or 0,
            place=step.at("hold_until"),
            timeout_place=step.at("timeout"),
            on_timeout=step.name("on_timeout"),
            on_timeout_place=step.at("on_timeout"),
            lookback_ms=lookback_ms,
            include_entry=include_entry,
            match=cast(Literal["first", "ranked"], step.choice("match", ("first", "ranked"), "first")),
            restarts=_read_on_repeat(step),
            on_late=step.name("on_late"),
            on_late_place=step.at("on_late"),
        )

    def check(self, step: Step, check: Check) -> None:
        """Check types, conditions and the length of the wait, and refuse what is not built."""
        settings: HoldSettings = step.settings
        for branch in settings.branches:
            check.event_type(branch.on, branch.place)
            check.condition(branch.when, (branch.on,))
        check.branches(len(settings.branches), step.place)
        check.wait(settings.timeout_ms, settings.timeout_place)
        if settings.lookback_ms:
            check.not_built("a lookback other than `none`", settings.place)
        if settings.match != "first":
            check.not_built("`match: ranked`", settings.place)
        if settings.on_late:
            check.not_built("`on_late`", settings.on_late_place or settings.place)

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the states of the branches, of the timeout and of a late event."""
        settings: HoldSettings = step.settings
        named = [(branch.go, branch.go_place) for branch in settings.branches]
        named += [(settings.on_timeout, settings.on_timeout_place), (settings.on_late, settings.on_late_place)]
        return tuple(Target(state, place or settings.place) for state, place in named if state)

    def goes_on(self, step: Step) -> bool:
        """When a branch or the timeout names no state."""
        settings: HoldSettings = step.settings
        return not settings.on_timeout or any(not branch.go for branch in settings.branches)

    def assigns(self, step: Step) -> tuple[str, ...]:
        """Give the names that matched events are kept under."""
        return tuple(branch.as_name for branch in step.settings.branches if branch.as_name)

    def plan(self, step: Step) -> HoldPlan:
        """Compile the branches."""
        settings: HoldSettings = step.settings
        by_type: dict[str, tuple[WayOut, ...]] = {}
        for number, branch in enumerate(settings.branches, 1):
            way = WayOut(compiled_if(branch.when), go_or_next(branch.go), branch.as_name, str(number))
            by_type[branch.on] = (*by_type.get(branch.on, ()), way)
        return HoldPlan(by_type, settings.timeout_ms, go_or_next(settings.on_timeout), settings.restarts)

    def listens(self, step: Step) -> frozenset[str]:
        """Give the branches' types."""
        return frozenset(branch.on for branch in step.settings.branches)

    def repeats(self, step: Step) -> bool:
        """Tell whether the wait can be restarted by what began it."""
        settings: HoldSettings = step.settings
        return settings.restarts > 0

    def recalls(self, instance: Instance, event_type: str) -> bool:
        """Tell whether this type began the wait, where the wait can be restarted."""
        return instance.kept is not None and instance.kept[0] == event_type

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Start the wait; with restarts, keep which event type began it (rule W5, ruling A48)."""
        plan: HoldPlan = step.plan
        record = walk.turn.record
        kept = [record.type, 0] if plan.restarts and record is not None else None
        return self._wait(walk, step, kept)

    def _wait(self, walk: Walk, step: StepProgram, kept: list[object] | None) -> Move:
        plan: HoldPlan = step.plan
        due = walk.turn.now + plan.timeout_ms
        detail = {"deadline": str(due)}
        if kept is not None and kept[1]:
            detail["restart"] = str(kept[1])
        walk.log(Kind.HOLD_STARTED, step.id, detail=detail)
        return walk.wait(step, due, kept)

    def hear(self, walk: Walk, step: StepProgram) -> Move | None:
        """Take the first branch that matches (rule W3); else a repeat of what began the wait may restart it."""
        plan: HoldPlan = step.plan
        record = walk.turn.record
        if record is None:
            return None
        for way in plan.by_type.get(record.type, ()):
            if way.when is None or walk.holds(way.when, step.id):
                if way.as_name:
                    payload = {name: storable(value) for name, value in record.payload.items() if value is not None}
                    walk.write_context({way.as_name: payload}, step.id)
                walk.log(Kind.HOLD_RESOLVED, step.id, by="event", detail={"branch": way.number})
                return way.move
        kept = walk.instance.kept
        if kept is not None and kept[0] == record.type and kept[1] < plan.restarts:
            return self._wait(walk, step, [record.type, kept[1] + 1])
        return None

    def fall_due(self, walk: Walk, step: StepProgram) -> Move:
        """Take the timeout's way."""
        plan: HoldPlan = step.plan
        walk.log(Kind.HOLD_RESOLVED, step.id, by="timeout")
        return plan.on_timeout


def _read_branch(node: Node, problems: Problems) -> HoldBranch:
    fields = Fields(node, problems, "a branch of hold_until")
    branch = HoldBranch(
        on=fields.event_type("on", required=True),
        place=fields.at("on"),
        when=fields.expression("when"),
        go=fields.name("go"),
        go_place=fields.at("go"),
        as_name=fields.name("as"),
    )
    fields.close()
    return branch


def _read_lookback(step: Fields) -> Milliseconds:
    node = step.node("lookback")
    if node is None or node.value == "none":
        return 0
    if node.value == "since_entry":
        return SINCE_ENTRY
    return read_duration(node, step.problems) or 0


def _read_on_repeat(step: Fields) -> int:
    """Read `ignore` as 0, `{restart: N}` as N."""
    node = step.node("on_repeat")
    if node is None or node.value == "ignore":
        return 0
    fields = Fields(node, step.problems, "on_repeat")
    restarts = fields.integer("restart", low=1, required=True)
    fields.close()
    return restarts

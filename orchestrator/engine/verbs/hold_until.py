"""`hold_until`: wait for an event, at most until a deadline (rules W1-W7, T5; rulings A42-A48, A54)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from msgspec import Struct

from orchestrator.engine import memory
from orchestrator.engine.moves import Go, Move, go_or_next
from orchestrator.engine.values import storable
from orchestrator.engine.verbs.verb import Verb, compiled_if
from orchestrator.language import codes
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Milliseconds, Place, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, read_duration
from orchestrator.language.verb import SINCE_ENTRY, Check, LookBack, Target
from orchestrator.names import Kind
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk


class HoldBranch(Frozen, frozen=True):
    """An event that ends the wait. No `go`: the next step (ruling A51). `as_name` is a name under `journey.`."""

    on: str
    place: Place
    when: Expr | None = None
    go: str = ""
    go_place: Place | None = None
    as_name: str = ""


class HoldSettings(Frozen, frozen=True):
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


class WayOut(Frozen, frozen=True):
    """A compiled branch."""

    when: Expression | None
    move: Move
    as_name: str
    number: str  # its position from 1, as the decision shows it


class HoldPlan(Frozen, frozen=True):
    """The branches by event type, in written order, and what the deadline does."""

    by_type: dict[str, tuple[WayOut, ...]]
    timeout_ms: Milliseconds
    on_timeout: Move
    restarts: int
    lookback_ms: Milliseconds
    include_entry: bool
    is_ranked: bool
    on_late: Move | None
    ways: tuple[WayOut, ...]


class Match(Frozen, frozen=True):
    """An event that matched a branch: its time and payload, as storable values."""

    way: WayOut
    time: int
    payload: dict[str, Any]


class Waiting(Struct):
    """What an instance keeps while it waits: the type that began the wait, restarts so far, and the best match of a ranked one.

    `way` is the position of the branch from 0, -1 for none yet. Kept in the document as a plain list.
    """

    began_by: str = ""
    restarts: int = 0
    way: int = -1
    time: int = 0
    payload: dict[str, Any] = {}

    def kept(self) -> list[Any]:
        """Give it as the document keeps it."""
        return [self.began_by, self.restarts, self.way, self.time, self.payload]


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
        """Check types, conditions and the length of the wait."""
        settings: HoldSettings = step.settings
        for branch in settings.branches:
            check.event_type(branch.on, branch.place)
            check.condition(branch.when, (branch.on,))
        check.branches(len(settings.branches), step.place)
        check.wait(settings.timeout_ms, settings.timeout_place)
        if settings.lookback_ms > 0:
            check.wait(settings.lookback_ms, settings.place)

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
        return HoldPlan(
            by_type,
            settings.timeout_ms,
            go_or_next(settings.on_timeout),
            settings.restarts,
            settings.lookback_ms,
            settings.include_entry,
            settings.match == "ranked",
            Go(settings.on_late) if settings.on_late else None,
            tuple(sorted((way for ways in by_type.values() for way in ways), key=lambda way: int(way.number))),
        )

    def looks_back(self, step: Step) -> tuple[LookBack, ...]:
        """Give the branches' types where earlier events count."""
        settings: HoldSettings = step.settings
        if not settings.lookback_ms:
            return ()
        return tuple(LookBack(branch.on, settings.lookback_ms) for branch in settings.branches)

    def listens(self, step: Step) -> frozenset[str]:
        """Give the branches' types."""
        return frozenset(branch.on for branch in step.settings.branches)

    def keeps_whole(self, step: Step) -> frozenset[str]:
        """Give the types of the branches whose event gets a name."""
        return frozenset(branch.on for branch in step.settings.branches if branch.as_name)

    def repeats(self, step: Step) -> bool:
        """Tell whether the wait can be restarted by what began it."""
        settings: HoldSettings = step.settings
        return settings.restarts > 0

    def recalls(self, instance: Instance, event_type: str) -> bool:
        """Tell whether this type began the wait, where the wait can be restarted."""
        return instance.kept is not None and instance.kept[0] == event_type

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Look back first, if asked to; else start the wait. With restarts, keep which event type began it (W5, ruling A48)."""
        plan: HoldPlan = step.plan
        record = walk.turn.record
        began_by = record.type if plan.restarts and record is not None else ""
        waiting = Waiting(began_by)
        if plan.lookback_ms:
            for match in _matches_before(walk, step):
                if not plan.is_ranked:
                    return _resolve(walk, step, match, "lookback")
                _offer(plan, waiting, match)
        return self._wait(walk, step, waiting)

    def _wait(self, walk: Walk, step: StepProgram, waiting: Waiting) -> Move:
        plan: HoldPlan = step.plan
        due = walk.turn.now + plan.timeout_ms
        detail = {"deadline": str(due)}
        if waiting.restarts:
            detail["restart"] = str(waiting.restarts)
        walk.log(Kind.HOLD_STARTED, step.id, detail=detail)
        return walk.wait(step, due, waiting.kept() if waiting.began_by or plan.is_ranked else None)

    def hear(self, walk: Walk, step: StepProgram) -> Move | None:
        """Take the first branch that matches (rule W3), or note it for the deadline; else a repeat may restart the wait."""
        plan: HoldPlan = step.plan
        record = walk.turn.record
        if record is None:
            return None
        kept = walk.instance.kept
        match = _match(walk, step, record.type, record.time, record.payload)
        if match is not None:
            if not plan.is_ranked:
                return _resolve(walk, step, match, "event")
            waiting = Waiting(*kept) if kept is not None else Waiting()
            _offer(plan, waiting, match)
            walk.instance.kept = waiting.kept()
            return None
        if kept is not None and kept[0] == record.type and kept[1] < plan.restarts:
            return self._wait(walk, step, Waiting(kept[0], kept[1] + 1, *kept[2:]))
        return None

    def fall_due(self, walk: Walk, step: StepProgram) -> Move:
        """Take the best branch of a ranked wait (rulings A45, A47), else the timeout's way; remember that the wait timed out."""
        plan: HoldPlan = step.plan
        kept = walk.instance.kept
        if plan.is_ranked and kept is not None and kept[2] >= 0:
            waiting = Waiting(*kept)
            return _resolve(walk, step, Match(plan.ways[waiting.way], waiting.time, waiting.payload), "event")
        walk.log(Kind.HOLD_RESOLVED, step.id, by="timeout")
        walk.instance.late = (step.id, walk.turn.now)
        return plan.on_timeout

    def is_dated(self, step: StepProgram) -> bool:
        """Always: its timeout is written."""
        return True

    def began(self, turn: Turn, step: StepProgram, instance: Instance) -> int:
        """Give when it began, or was restarted last."""
        plan: HoldPlan = step.plan
        return instance.due - plan.timeout_ms

    def hear_late(self, walk: Walk, step: StepProgram) -> Move | None:
        """Log an event that would have ended the wait which timed out; `on_late` compensates (rule T5)."""
        plan: HoldPlan = step.plan
        record = walk.turn.record
        match = None if record is None else _match(walk, step, record.type, record.time, record.payload)
        if match is None:
            return None
        late, walk.instance.late = walk.instance.late, None
        deadline = "" if late is None else str(late[1])
        walk.log(Kind.LATE_EVENT, step.id, detail={"branch": match.way.number, "deadline": deadline})
        if plan.on_late is not None:
            _keep_payload(walk, step, match)
        return plan.on_late


def _match(walk: Walk, step: StepProgram, event_type: str, time: int, payload: Mapping[str, Any]) -> Match | None:
    """Give the first written branch that an event matches (rule W3)."""
    plan: HoldPlan = step.plan
    for way in plan.by_type.get(event_type, ()):
        if way.when is None or walk.holds(way.when, step.id):
            is_kept = bool(way.as_name)
            found = {name: storable(value) for name, value in payload.items() if value is not None} if is_kept else {}
            return Match(way, time, found)
    return None


def _matches_before(walk: Walk, step: StepProgram) -> Iterator[Match]:
    """Give the earlier events that match, earliest first, judged with the context of now (rule W2, ruling A43).

    While one is taken, the walk's `event` is that one (ruling A46); where none is, it is the record's own again.
    """
    plan: HoldPlan = step.plan
    span_ms = None if plan.lookback_ms == SINCE_ENTRY else plan.lookback_ms
    own = walk.event
    for one in memory.look_back(walk, plan.by_type, span_ms, include_entry=plan.include_entry):
        walk.event = memory.event_of(one, walk.turn.customer)
        match = _match(walk, step, one.type, one.time, one.payload)
        if match is not None:
            yield match
    walk.event = own


def _offer(plan: HoldPlan, waiting: Waiting, match: Match) -> None:
    """Note a match of a ranked wait if it ranks higher, or as high and earlier: written order, first is highest."""
    rank, best = int(match.way.number) - 1, waiting.way
    if best < 0 or rank < best or (rank == best and match.time < waiting.time):
        waiting.way, waiting.time, waiting.payload = rank, match.time, match.payload


def _resolve(walk: Walk, step: StepProgram, match: Match, by: str) -> Move:
    _keep_payload(walk, step, match)
    walk.log(Kind.HOLD_RESOLVED, step.id, by=by, detail={"branch": match.way.number})
    return match.way.move


def _keep_payload(walk: Walk, step: StepProgram, match: Match) -> None:
    if match.way.as_name:
        walk.write_context({match.way.as_name: match.payload}, step.id)


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

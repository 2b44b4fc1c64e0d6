"""`call`: an action that is no message, with its answer awaited (rules A2-A4; rulings A89-A96)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from msgspec import Struct

from orchestrator.engine import identity
from orchestrator.engine.handling import Action
from orchestrator.engine.handoff import handoff
from orchestrator.engine.moves import NEXT, WAIT, Go, Move
from orchestrator.engine.outgoing import Candidate
from orchestrator.engine.values import sendable, storable
from orchestrator.engine.verbs.verb import Verb, compiled
from orchestrator.language import codes
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Milliseconds, Place, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.verb import Check, Target
from orchestrator.names import ACTION_OUTCOME, Kind, Reason
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

HOUR_MS: Final = 3_600_000
LONGEST_MS: Final = 400 * 86_400_000
TIMEOUT: Final = "timeout"  # the failure code of a call that nobody answers
FAILURES: Final = frozenset({"failed", "bounced", "cancelled"})


class Retry(Frozen, frozen=True):
    """What to do about failure codes; "*" is any code. `max_attempts` counts the first one too (rulings A90-A93)."""

    on: tuple[str, ...]
    max_attempts: int = 3
    interval_ms: Milliseconds = 30_000
    backoff: float = 2.0
    max_delay_ms: Milliseconds | None = 600_000
    jitter: Literal["none", "full"] = "none"


class CallSettings(Frozen, frozen=True):
    """What to call and what becomes of its answer."""

    action: str
    place: Place
    channel: str
    channel_place: Place
    on_error_place: Place
    data: tuple[tuple[str, Expr], ...] = ()
    awaited: bool = True
    timeout_ms: Milliseconds = HOUR_MS
    retry: tuple[Retry, ...] = ()
    result: str = ""
    on_error: str = ""
    handoff: bool = False


class CallPlan(Frozen, frozen=True):
    """The settings, with the expressions compiled and the moves ready."""

    settings: CallSettings
    data: tuple[tuple[str, Expression], ...]
    on_error: Move | None


class Attempt(Struct):
    """What an instance keeps while a call is under way: the attempt's number, from 1 and never used twice for one action id.

    `is_out`: it was emitted and is not answered; else its back-off runs, and answers to earlier ones move nothing (rule A3).
    `before` is the attempts before an operator's redrive, which do not count against `max_attempts`.
    """

    number: int
    is_out: bool
    data: dict[str, Any]
    before: int = 0

    def kept(self) -> list[Any]:
        """Give it as the document keeps it."""
        return [self.number, self.is_out, self.data, self.before]


class Call(Verb):
    """Commands a service to do something and waits for the outcome (rule A2)."""

    name = "call"
    acts = True
    waits = True

    def parse(self, step: Fields) -> CallSettings:
        """Read `call: {action, ...}`."""
        place = step.at("call")
        settings = step.fields("call", "call", required=True)
        if settings is None:
            return CallSettings("", place, "", place, place)
        parsed = CallSettings(
            action=settings.name("action", required=True),
            place=place,
            channel=settings.name("channel"),
            channel_place=settings.at("channel"),
            on_error_place=settings.at("on_error"),
            data=tuple(settings.expressions("data").items()),
            awaited=settings.flag("await", True),
            timeout_ms=settings.duration("timeout", HOUR_MS) or HOUR_MS,
            retry=tuple(_read_retry(node, step.problems) for node in settings.items("retry")),
            result=settings.name("result"),
            on_error=settings.name("on_error"),
            handoff=settings.flag("handoff"),
        )
        settings.close()
        return parsed

    def check(self, step: Step, check: Check) -> None:
        """Check names, expressions and the time-out."""
        settings: CallSettings = step.settings
        if settings.channel:
            check.channel(settings.channel, settings.channel_place)
        for _, expr in settings.data:
            check.value(expr)
        check.wait(settings.timeout_ms, settings.place)
        services = [name for name, channel in check.policy.channels.items() if channel.kind == "action"]
        if not settings.channel and len(services) != 1:
            found = (
                f"{len(services)}: name one with `channel`" if services else "none: add one, such as {topic: ..., kind: action}"
            )
            message = f"a call goes to the channel of `kind: action`, and policy.yaml has {found}"
            check.channel_needed(message, settings.place)
        elif settings.channel and settings.channel in check.policy.channels and settings.channel not in services:
            message = f"channel {settings.channel!r} is for messages: a call needs one with `kind: action`"
            check.problems.error(settings.channel_place, codes.UNKNOWN_CHANNEL, message, word=settings.channel, known=services)

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the state for a failed call."""
        settings: CallSettings = step.settings
        return (Target(settings.on_error, settings.on_error_place),) if settings.on_error else ()

    def assigns(self, step: Step) -> tuple[str, ...]:
        """Give the name of the result."""
        settings: CallSettings = step.settings
        return (settings.result,) if settings.result else ()

    def plan(self, step: Step) -> CallPlan:
        """Compile the expressions."""
        settings: CallSettings = step.settings
        data = tuple((name, compiled(expr)) for name, expr in settings.data)
        return CallPlan(settings, data, Go(settings.on_error) if settings.on_error else None)

    def listens(self, step: Step) -> frozenset[str]:
        """Give the outcomes, where they are awaited."""
        settings: CallSettings = step.settings
        return frozenset({ACTION_OUTCOME}) if settings.awaited else self.NOTHING

    def hands_off(self, plan: Any) -> bool:
        """Where the author says so."""
        settings: CallSettings = plan.settings
        return settings.handoff

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Emit the command; in a holdout arm it counts as done at once (ruling A96)."""
        plan: CallPlan = step.plan
        if walk.instance.held_out:
            walk.log(Kind.ACTION_SUPPRESSED, step.id, "holdout").channel = _channel(walk, plan)
            return NEXT
        data = {name: sendable(value) for name, value in walk.values(plan.data, step.id).items()}
        return _emit(walk, step, Attempt(1, True, data))

    def hear(self, walk: Walk, step: StepProgram) -> Move | None:
        """Take the outcome of the attempt that is out; any other moves nothing (rule A3)."""
        plan: CallPlan = step.plan
        payload = walk.turn.payload
        if payload.get("action_id") != action_id(walk, step) or walk.instance.kept is None:
            return None
        attempt = Attempt(*walk.instance.kept)
        status = payload.get("status")
        if not attempt.is_out or (status != "succeeded" and status not in FAILURES):
            return None
        if status == "succeeded":
            if plan.settings.result:
                given = payload.get("data") or {}
                walk.write_context({plan.settings.result: storable(given)}, step.id)
            return NEXT
        return _fail(walk, step, attempt, str(payload.get("code") or status))

    def fall_due(self, walk: Walk, step: StepProgram) -> Move:
        """Nobody answered in time, or a back-off is over."""
        kept = walk.instance.kept
        attempt = Attempt(*kept) if kept is not None else Attempt(1, False, {})
        if attempt.is_out:
            return _fail(walk, step, attempt, TIMEOUT)
        return _emit(walk, step, Attempt(attempt.number, True, attempt.data, attempt.before))

    def backs_off(self, instance: Instance) -> bool:
        """Tell whether an attempt has failed and the next is not out yet."""
        return instance.kept is not None and not Attempt(*instance.kept).is_out

    def redo(self, walk: Walk, step: StepProgram) -> Move:
        """Try again from a first attempt, under the same action id (rule A4)."""
        kept = walk.instance.kept
        if kept is None or walk.instance.held_out:
            return self.arrive(walk, step)
        last = Attempt(*kept)
        return _emit(walk, step, Attempt(last.number + 1, True, last.data, last.number))


def action_id(walk: Walk, step: StepProgram) -> str:
    """Give the id of the step's action on this visit."""
    return identity.action_id(walk.instance.id, step.id, walk.visit(step))


def _channel(walk: Walk, plan: CallPlan) -> str:
    return plan.settings.channel or walk.turn.program.service


def _emit(walk: Walk, step: StepProgram, attempt: Attempt) -> Move:
    plan: CallPlan = step.plan
    settings, instance, journey, now = plan.settings, walk.instance, walk.journey, walk.turn.now
    move: Move = NEXT
    if settings.awaited:
        move = walk.wait(step, now + settings.timeout_ms, attempt.kept())
    action = Action(
        kind="call",
        action_id=action_id(walk, step),
        customer=walk.turn.customer,
        journey=journey.id,
        version=journey.version,
        instance=walk.id,
        step=step.id,
        channel=_channel(walk, plan),
        created_at=now,
        expires_at=now + settings.timeout_ms,
        purpose=journey.purpose,
        action=settings.action,
        key=instance.key,
        attempt=attempt.number,
        urgency=journey.urgency,
        data=attempt.data,
        arms=walk.arms() if journey.experiments else {},
    )
    if settings.handoff:
        action.handoff = handoff(walk, action.action_id)
    walk.turn.pending.append(Candidate(action, instance.state, journey.priority, now, walk))
    return move


def _fail(walk: Walk, step: StepProgram, attempt: Attempt, code: str) -> Move:
    """Retry by the first entry that has the code; else the call has failed (ruling A92: attempts count over all entries)."""
    plan: CallPlan = step.plan
    retry = next((one for one in plan.settings.retry if code in one.on or "*" in one.on), None)
    if retry is not None and attempt.number - attempt.before < retry.max_attempts:
        delay = delay_ms(retry, attempt.number - attempt.before, attempt.number, action_id(walk, step))
        following = Attempt(attempt.number + 1, delay == 0, attempt.data, attempt.before)
        detail = {"attempt": str(following.number), "deadline": str(walk.turn.now + delay)}
        walk.log(Kind.RETRY_SCHEDULED, step.id, code, detail=detail).action_id = action_id(walk, step)
        if delay == 0:
            return _emit(walk, step, following)
        return walk.wait(step, walk.turn.now + delay, following.kept())
    detail = {"attempts": str(attempt.number - attempt.before)}
    walk.log(Kind.CALL_FAILED, step.id, code, detail=detail).action_id = action_id(walk, step)
    if plan.on_error is not None:
        return plan.on_error
    walk.park(Reason.ACTION_FAILED, "a call failed for good and its step has no `on_error`: the instance waits for a redrive")
    return WAIT


def delay_ms(retry: Retry, failures: int, attempt: int, action: str) -> Milliseconds:
    """Give the back-off after so many failures: interval * backoff ** (failures - 1), at most `max_delay`.

    `jitter: full` takes SHA-256(action id U+001F attempt that failed) mod that delay (ruling A93).
    """
    longest = float(retry.max_delay_ms) if retry.max_delay_ms is not None else float("inf")
    try:
        delay = min(retry.interval_ms * retry.backoff ** (failures - 1), longest)
    except OverflowError:
        delay = longest
    whole = int(min(delay, LONGEST_MS))
    if retry.jitter == "none" or whole == 0:
        return whole
    return int.from_bytes(sha256(f"{action}\x1f{attempt}".encode()).digest(), "big") % whole


def _read_retry(node: Node, problems: Problems) -> Retry:
    fields = Fields(node, problems, "an entry of retry")
    codes_node = fields.node("on", required=True)
    retry = Retry(
        on=_failure_codes(codes_node, problems),
        max_attempts=fields.integer("max_attempts", 3, low=1),
        interval_ms=fields.duration("interval", 30_000, zero=True) or 0,
        backoff=fields.number("backoff", 2.0, low=1) or 2.0,
        max_delay_ms=fields.duration("max_delay", 600_000),
        jitter=cast(Literal["none", "full"], fields.choice("jitter", ("none", "full"), "none")),
    )
    fields.close()
    return retry


def _failure_codes(node: Node | None, problems: Problems) -> tuple[str, ...]:
    """Read `on: [codes]`; codes are free text."""
    if node is None:
        return ()
    items = node.value if isinstance(node.value, list) else [node]
    for item in items:
        if not isinstance(item.value, str):
            problems.error(item.place, codes.WRONG_TYPE, "`on` of a retry is a list of failure codes, as text")
    return tuple(item.value for item in items if isinstance(item.value, str))

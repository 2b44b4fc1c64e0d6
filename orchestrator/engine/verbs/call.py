"""`call`: an action that is no message, with its answer awaited. Read in full; it runs with a later version."""

from __future__ import annotations

from typing import Final, Literal, cast

from msgspec import Struct

from orchestrator.engine.verbs.verb import Verb
from orchestrator.language import codes
from orchestrator.language.model import Expr, Milliseconds, Place, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node
from orchestrator.language.verb import Check, Target

HOUR_MS: Final = 3_600_000


class Retry(Struct, frozen=True):
    """What to do about failure codes; "*" is any code. `max_attempts` counts the first one too (rulings A90-A93)."""

    on: tuple[str, ...]
    max_attempts: int
    interval_ms: Milliseconds
    backoff: float = 1.0
    max_delay_ms: Milliseconds | None = None
    jitter: Literal["none", "full"] = "none"


class CallSettings(Struct, frozen=True):
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


class Call(Verb):
    """Commands a service to do something and waits for the outcome (rule A2)."""

    name = "call"
    built = False
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

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the state for a failed call."""
        settings: CallSettings = step.settings
        return (Target(settings.on_error, settings.on_error_place),) if settings.on_error else ()

    def assigns(self, step: Step) -> tuple[str, ...]:
        """Give the name of the result."""
        settings: CallSettings = step.settings
        return (settings.result,) if settings.result else ()


def _read_retry(node: Node, problems: Problems) -> Retry:
    fields = Fields(node, problems, "an entry of retry")
    codes_node = fields.node("on", required=True)
    retry = Retry(
        on=_failure_codes(codes_node, problems),
        max_attempts=fields.integer("max_attempts", 1, low=1, required=True),
        interval_ms=fields.duration("interval", 0, zero=True) or 0,
        backoff=fields.number("backoff", 1.0) or 1.0,
        max_delay_ms=fields.duration("max_delay"),
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

"""`send`: a message to the customer through a channel (rules A1, C2; rulings A39, A58, A85)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from orchestrator.engine import identity, moves
from orchestrator.engine.arbitration import Candidate, suppression
from orchestrator.engine.handling import Action
from orchestrator.engine.values import sendable
from orchestrator.engine.verbs.verb import Verb, compiled
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Journey, Milliseconds, Place, Policy, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check, Target
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

DAY_MS: Final = 86_400_000
PREFERRED: Final = "preferred"
ON_SUPPRESSED: Final[dict[str, moves.Move]] = {"continue": moves.NEXT, "exit": moves.Leave("suppressed")}


class SendSettings(Struct, frozen=True):
    """`channels` has one name, the word `preferred`, or several names of which the first allowed one is taken."""

    channels: tuple[str, ...]
    template: str
    place: Place
    channel_place: Place
    purpose_place: Place
    suppressed_place: Place
    urgent_place: Place
    data: tuple[tuple[str, Expr], ...] = ()
    purpose: str = ""
    expires_ms: Milliseconds = DAY_MS
    on_suppressed: str = "continue"
    urgent: bool = False


class SendPlan(Struct, frozen=True):
    """What of a command is known before it is sent."""

    channel: str
    template: str
    purpose: str
    expires_ms: Milliseconds
    data: tuple[tuple[str, Expression], ...]
    on_suppressed: moves.Move


class Send(Verb):
    """Decides on a message. Whether it goes out is judged here and settled at the end of the handling."""

    name = "send"
    acts = True

    def parse(self, step: Fields) -> SendSettings:
        """Read `send: {channel, template, ...}`."""
        place = step.at("send")
        settings = step.fields("send", "send", required=True)
        if settings is None:
            return SendSettings((), "", place, place, place, place, place)
        parsed = SendSettings(
            channels=settings.names("channel", required=True),
            template=settings.text("template", required=True),
            place=place,
            channel_place=settings.at("channel"),
            purpose_place=settings.at("purpose"),
            suppressed_place=settings.at("on_suppressed"),
            urgent_place=settings.at("urgent"),
            data=tuple(settings.expressions("data").items()),
            purpose=settings.name("purpose"),
            expires_ms=settings.duration("expires", DAY_MS) or DAY_MS,
            on_suppressed=settings.text("on_suppressed", "continue"),
            urgent=settings.flag("urgent"),
        )
        settings.close()
        return parsed

    def check(self, step: Step, check: Check) -> None:
        """Check names and expressions, and refuse what is not built."""
        settings: SendSettings = step.settings
        if settings.channels == (PREFERRED,):
            check.not_built("`channel: preferred`", settings.channel_place)
        else:
            for channel in settings.channels:
                check.channel(channel, settings.channel_place)
        if len(settings.channels) > 1:
            check.not_built("a list of channels", settings.channel_place)
        if settings.purpose:
            check.purpose(settings.purpose, settings.purpose_place)
        if settings.urgent:
            check.not_built("`urgent`", settings.urgent_place)
        for _, expr in settings.data:
            check.value(expr)

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the state for a suppressed send."""
        settings: SendSettings = step.settings
        if settings.on_suppressed in ON_SUPPRESSED:
            return ()
        return (Target(settings.on_suppressed, settings.suppressed_place),)

    def plan(self, step: Step) -> SendPlan:
        """Compile the expressions."""
        settings: SendSettings = step.settings
        move = ON_SUPPRESSED.get(settings.on_suppressed) or moves.Go(settings.on_suppressed)
        data = tuple((name, compiled(expr)) for name, expr in settings.data)
        return SendPlan(settings.channels[0], settings.template, settings.purpose, settings.expires_ms, data, move)

    def entry_channels(self, step: Step, journey: Journey, policy: Policy) -> tuple[str, ...]:
        """Give this send's channels if it is for the journey's own purpose; `preferred` may be any message channel."""
        settings: SendSettings = step.settings
        if (settings.purpose or journey.purpose) != journey.purpose:
            return ()
        if settings.channels == (PREFERRED,):
            return tuple(name for name, channel in policy.channels.items() if channel.kind == "message")
        return settings.channels

    def arrive(self, walk: Walk, step: StepProgram) -> moves.Move:
        """Decide: suppressed with its reason, or a candidate for the end of the handling."""
        plan: SendPlan = step.plan
        action = _command(walk, step, plan)
        reason = suppression(walk.turn, action)
        if reason:
            walk.log(Kind.ACTION_SUPPRESSED, step.id, reason).channel = plan.channel
            return plan.on_suppressed
        action.data = {name: sendable(value) for name, value in walk.values(plan.data, step.id).items()}
        walk.turn.pending.append(Candidate(walk, action, walk.instance.state))
        return moves.NEXT


def _command(walk: Walk, step: StepProgram, plan: SendPlan) -> Action:
    instance, journey, now = walk.instance, walk.journey, walk.turn.now
    return Action(
        kind="send",
        action_id=identity.action_id(instance.id, step.id, walk.visit(step)),
        customer=walk.turn.customer,
        journey=journey.id,
        version=journey.version,
        instance=walk.id,
        step=step.id,
        channel=plan.channel,
        created_at=now,
        expires_at=now + plan.expires_ms,
        purpose=plan.purpose or journey.purpose,
        template=plan.template,
        key=instance.key,
        urgency=journey.urgency,
        arms=walk.arms() if journey.experiments else {},
    )

"""`send`: a message to the customer through a channel (rules A1, C2; rulings A39, A58, A85)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine import identity, moves
from orchestrator.engine.arbitration import suppression
from orchestrator.engine.handling import Action
from orchestrator.engine.holdout import HOLDOUT
from orchestrator.engine.outgoing import Candidate
from orchestrator.engine.values import sendable
from orchestrator.engine.verbs.verb import Verb, compiled
from orchestrator.language.model import Expr, Journey, Milliseconds, Place, Policy, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check, Target
from orchestrator.names import Kind
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk

DAY_MS: Final = 86_400_000
PREFERRED: Final = "preferred"
ON_SUPPRESSED: Final[dict[str, moves.Move]] = {"continue": moves.NEXT, "exit": moves.Leave("suppressed")}


class SendSettings(Frozen, frozen=True):
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


class SendPlan:
    """What of a command is known before it is sent. `channel` is "" where it is chosen at the step, among `channels`."""

    __slots__ = ("channel", "channels", "data", "expires_ms", "on_suppressed", "purpose", "template", "urgent")

    def __init__(self, settings: SendSettings) -> None:
        """Compile the expressions."""
        self.channels = () if settings.channels == (PREFERRED,) else settings.channels
        self.channel = self.channels[0] if len(self.channels) == 1 else ""
        self.template = settings.template
        self.purpose = settings.purpose
        self.expires_ms: int = settings.expires_ms
        self.data = tuple((name, compiled(expr)) for name, expr in settings.data)
        self.on_suppressed: moves.Move = ON_SUPPRESSED.get(settings.on_suppressed) or moves.Go(settings.on_suppressed)
        self.urgent = settings.urgent


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
        """Check names and expressions."""
        settings: SendSettings = step.settings
        if settings.channels != (PREFERRED,):
            for channel in settings.channels:
                check.channel(channel, settings.channel_place)
        if settings.purpose:
            check.purpose(settings.purpose, settings.purpose_place)
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
        return SendPlan(settings)

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
        reason, address = suppression(walk.turn, action)
        if reason:
            walk.log(Kind.ACTION_SUPPRESSED, step.id, reason).channel = action.channel
            return moves.NEXT if reason == HOLDOUT else plan.on_suppressed  # the holdout walks as if it had been sent (rule P2)
        action.data = {name: sendable(value) for name, value in walk.values(plan.data, step.id).items()}
        turn, journey = walk.turn, walk.journey
        candidate = Candidate(action, walk.instance.state, journey.priority, turn.now, walk, plan.on_suppressed, address=address)
        turn.pending.append(candidate)
        return moves.NEXT


def _command(walk: Walk, step: StepProgram, plan: SendPlan) -> Action:
    instance, journey, now = walk.instance, walk.journey, walk.turn.now
    purpose = plan.purpose or journey.purpose
    return Action(
        "send", identity.action_id(instance.id, step.id, walk.visit(step)), walk.turn.customer, journey.id, journey.version,
        walk.id, step.id, plan.channel or _choose(walk.turn, plan.channels, purpose), now, now + plan.expires_ms, purpose,
        plan.template, key=instance.key, urgency=journey.urgency, urgent=plan.urgent,
        arms=walk.arms() if journey.experiments else {},
    )  # fmt: skip


def _choose(turn: Turn, channels: tuple[str, ...], purpose: str) -> str:
    """Give the first channel by which the purpose is allowed now, "" for none (ruling A69).

    No channels means `preferred`: the one that the profile names, if the policy has it as a message channel, then all message
    channels in the order of the policy. Caps and quiet hours do not choose: they decide later (ruling A07).
    """
    if not channels:
        messages = turn.program.sends.messages
        preferred = turn.profile.get("preferred_channel")
        channels = (preferred, *messages) if preferred in messages else messages
    judge, consents = turn.program.consent.judge, turn.document.consents
    return next((name for name in channels if judge(consents, name, purpose, turn.now) is not None), "")

"""What a policy says of sends, prepared once: judgements, caps, quiet hours, and what must be remembered of a send."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.engine.addresses import AddressRule
from orchestrator.engine.caps import CapRule
from orchestrator.engine.holdout import HOLDOUT, HoldoutRule
from orchestrator.engine.rates import Pace
from orchestrator.engine.suppress import SuppressRule
from orchestrator.language.model import Topology, expressions_in

if TYPE_CHECKING:
    from fractions import Fraction

    from orchestrator.engine.handling import Action
    from orchestrator.engine.turn import Turn

Judgement = tuple[str, Callable[["Turn", "Action"], bool]]


class SendRules:
    """The rules of one topology. A policy without a rule has no judgement for it, and asks nothing."""

    def __init__(self, topology: Topology, share: Fraction) -> None:
        """`share` is the partition's part of the channels' rates."""
        policy = topology.policy
        self.caps = tuple(CapRule(cap) for cap in policy.caps)
        self.quiet = {name: channel.quiet_hours for name, channel in policy.channels.items() if channel.quiet_hours is not None}
        self.rates = {name: Pace(channel.rate, share) for name, channel in policy.channels.items() if channel.rate is not None}
        self.addresses = AddressRule(policy.dedupe_addresses, policy.channels)
        self.suppress = tuple(SuppressRule(rule) for rule in policy.suppress)
        self.messages = tuple(name for name, channel in policy.channels.items() if channel.kind == "message")
        self.notes_latest = any("sent_within" in expr.source for expr in expressions_in(topology))
        self._holdout = HoldoutRule(policy)
        self._caps: dict[tuple[str, str], tuple[CapRule, ...]] = {}
        # In the order of ruling A58: erased, holdout, no_channel, consent, suppression, then the address; cap, quiet hours and
        # rate are decided at the end of the handling.
        self.again: tuple[Judgement, ...] = (
            ("no_channel", _has_no_channel),
            ("consent", _lacks_consent),
            *((("suppression", self._is_suppressed),) if policy.suppress else ()),
        )
        self.judgements: tuple[Judgement, ...] = (
            (HOLDOUT, _is_held_out),
            *(((HOLDOUT, self._holdout.holds_out),) if policy.holdout is not None else ()),
            *self.again,
        )

    def caps_of(self, action: Action) -> tuple[CapRule, ...]:
        """Give the caps that count a send."""
        pair = action.channel, action.purpose
        found = self._caps.get(pair)
        if found is None:
            found = self._caps[pair] = tuple(cap for cap in self.caps if cap.covers(*pair))
        return found

    def _is_suppressed(self, turn: Turn, action: Action) -> bool:
        return any(rule.blocks(turn, action) for rule in self.suppress)


def _is_held_out(turn: Turn, action: Action) -> bool:
    """Rule P2: from a holdout arm on, an instance walks silently."""
    return turn.at_work is not None and turn.at_work.held_out


def _has_no_channel(turn: Turn, action: Action) -> bool:
    return action.channel not in turn.program.policy.channels


def _lacks_consent(turn: Turn, action: Action) -> bool:
    action.consent = turn.program.consent.judge(turn.document.consents, action.channel, action.purpose, turn.now)
    return action.consent is None

"""What a withdrawal of consent does to sends that are held or on their way (rule C3, ruling A57)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import held
from orchestrator.engine.consent import ANY
from orchestrator.engine.contact import CANCEL_ASKED, OPEN, Sent
from orchestrator.engine.handling import Action, Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.document import Consent
    from orchestrator.engine.turn import Turn

_REASON = "consent"


def carry_out(turn: Turn, change: Consent) -> None:
    """Cancel held sends that the withdrawal takes the consent from, and ask to cancel those emitted and not answered.

    A withdrawal that is older than a newer consent takes nothing. An emitted send keeps its cap slot until its outcome comes.
    """
    contact = turn.contact
    if contact is None:
        return
    for sent in contact.sent:
        if sent.status == OPEN and turn.now < sent.expires and _hits(turn, change, sent.channel, sent.purpose):
            ask_to_cancel(turn, sent, _REASON)
    held.cancel(
        turn, _REASON, lambda each: each.action.kind == "send" and _hits(turn, change, each.action.channel, each.action.purpose)
    )


def _hits(turn: Turn, change: Consent, channel: str, purpose: str) -> bool:
    if change.channel not in (channel, ANY) or change.purpose not in (purpose, ANY):
        return False
    return turn.program.consent.is_withdrawn(turn.document.consents, channel, purpose)


def ask_to_cancel(turn: Turn, sent: Sent, reason: str) -> None:
    """Emit a command that cancels an emitted send, as far as its channel still can."""
    sent.status = CANCEL_ASKED
    action_id, instance = uuid_text(sent.action), uuid_text(sent.instance)
    command = Action(
        "cancel", action_id, turn.customer, sent.journey, sent.version, instance, sent.step, sent.channel,
        created_at=turn.now, expires_at=sent.expires, purpose=sent.purpose, key=sent.key,
    )  # fmt: skip
    decision = Decision(
        Kind.ACTION_CANCELLED, sent.journey, sent.version, instance, sent.key, step=sent.step, reason=reason,
        channel=sent.channel, action_id=action_id,
    )  # fmt: skip
    turn.handling.actions.append(command)
    turn.handling.decisions.append(decision)

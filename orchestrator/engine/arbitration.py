"""Sends, from what a step wants to what goes out (rules C2, K2; rulings A07, A58).

Two moments. At the step, `JUDGEMENTS` say at once whether the send is suppressed, so that `on_suppressed` can act. At the end of
the handling, `settle` puts what is left in order and emits it; what can only be decided over all its sends belongs there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from orchestrator.engine.handling import Action
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk


class Candidate(Struct, eq=False):
    """A send that its step decided on and nothing has stopped so far."""

    walk: Walk
    action: Action
    state: str  # where the instance stood at the step


def suppression(turn: Turn, action: Action) -> str:
    """Give the first reason to suppress a send, "" for none; fills in the consent used."""
    for reason, stands_against in JUDGEMENTS:
        if stands_against(turn, action):
            return reason
    return ""


def settle(turn: Turn) -> None:
    """Emit the handling's sends: priority descending, then the earlier decided, journey id, step order (rule K2).

    All sends of one handling were decided at one instant, and stand in step order; sorting is stable.
    """
    while turn.pending:
        batch, turn.pending = turn.pending, []
        if len(batch) > 1:
            batch.sort(key=lambda candidate: (-candidate.walk.journey.priority, candidate.walk.journey.id))
        for candidate in batch:
            _emit(turn, candidate)


def _emit(turn: Turn, candidate: Candidate) -> None:
    action = candidate.action
    turn.handling.actions.append(action)
    decision = candidate.walk.log(Kind.ACTION_EMITTED, action.step)
    decision.state = candidate.state
    decision.channel = action.channel
    decision.action_id = action.action_id


def _has_no_channel(turn: Turn, action: Action) -> bool:
    return action.channel not in turn.program.policy.channels


def _lacks_consent(turn: Turn, action: Action) -> bool:
    action.consent = turn.program.consent.judge(turn.document.consents, action.channel, action.purpose, turn.now)
    return action.consent is None


def _is_held_out(turn: Turn, action: Action) -> bool:
    """Rule P2: from a holdout arm on, an instance walks silently."""
    return turn.at_work is not None and turn.at_work.held_out


# In the order of ruling A58: erased, holdout, no_channel, consent, suppression, duplicate_address, cap; quiet hours last.
JUDGEMENTS: Final[tuple[tuple[str, Callable[[Turn, Action], bool]], ...]] = (
    ("holdout", _is_held_out),
    ("no_channel", _has_no_channel),
    ("consent", _lacks_consent),
)

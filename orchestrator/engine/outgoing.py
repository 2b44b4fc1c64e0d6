"""A send on its way out: the candidate, its line in the log, its emission and what is remembered of it (K1, C3; A60, A102)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.contact import Held, Sent
from orchestrator.engine.customer_clock import zone_of
from orchestrator.engine.handling import Action, Decision
from orchestrator.engine.identity import uuid_bytes
from orchestrator.engine.moves import NEXT, Move
from orchestrator.engine.upkeep import contact_of, drop_over
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk


class Candidate:
    """A send that its step decided on and nothing has stopped so far.

    `state` is where the instance stood at the step, `otherwise` what the instance does if the send loses now. `walk` is None for
    one that was held: its instance has gone on. `until` is then how long a cap may go on holding it, 0 for a new one, and
    `held_for` why it was held. `address` is the note in which it claims its address, "" for none (rule X1). `is_overtaken`: an
    earlier send of its instance lost, and took the instance elsewhere.
    """

    __slots__ = (
        "action", "address", "decided", "held_for", "is_overtaken", "may_wait", "otherwise", "priority", "state", "until", "walk",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - as `Turn`
        self,
        action: Action,
        state: str,
        priority: int,
        decided: int,
        walk: Walk | None = None,
        otherwise: Move = NEXT,
        until: int = 0,
        held_for: str = "",
        address: str = "",
    ) -> None:
        self.action = action
        self.state = state
        self.priority = priority
        self.decided = decided
        self.walk = walk
        self.otherwise = otherwise
        self.until = until
        self.held_for = held_for
        self.address = address
        self.may_wait = True
        self.is_overtaken = False


def again(held: Held) -> Candidate:
    """Give a held send as a candidate."""
    action = Action.of(held.action)
    return Candidate(
        action, held.state, held.priority, held.decided, until=held.until, held_for=held.reason, address=held.address
    )  # fmt: skip


def log(turn: Turn, candidate: Candidate, kind: str, reason: str = "") -> Decision:
    """Log a decision about a send, whose instance may be over."""
    action = candidate.action
    decision = Decision(
        kind, action.journey, action.version, action.instance, action.key, candidate.state, action.step, reason,
        channel=action.channel, action_id=action.action_id,
    )  # fmt: skip
    turn.handling.decisions.append(decision)
    return decision


def emit(turn: Turn, candidate: Candidate) -> None:
    """Send it, and remember what later decisions need of it. A command is created when it leaves; it expires as decided."""
    action = candidate.action
    action.created_at = turn.now
    turn.handling.actions.append(action)
    log(turn, candidate, Kind.ACTION_EMITTED)
    if action.kind != "send":
        return
    rules = turn.program.sends
    if candidate.address:
        rules.addresses.emitted(turn, candidate.address, action)
    counting, counts_until = rules.caps_of(action) if rules.caps else (), 0
    if counting:
        zone = zone_of(turn)
        counts_until = max([cap.window_end(turn.now, zone) for cap in counting])
    contact = contact_of(turn.document)
    instance = uuid_bytes(action.instance) if candidate.walk is None else candidate.walk.instance.id
    sent = Sent(
        uuid_bytes(action.action_id), turn.now, action.expires_at, counts_until, action.channel, action.purpose,
        action.journey, action.version, instance, action.step, action.key,
    )  # fmt: skip
    contact.sent.append(sent)
    drop_over(contact, turn.now)
    if rules.notes_latest:
        contact.latest[action.channel] = max(turn.now, contact.latest.get(action.channel, 0))

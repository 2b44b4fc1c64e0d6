"""Sends, from what a step wants to what goes out (rules C2, K1, K2, K4, V6, X2; rulings A07, A58, A61).

Two moments. At the step, the policy's judgements say at once whether the send is suppressed, so that `on_suppressed` can act. At
the end of the handling, `settle` puts what is left in order, and pauses, caps, quiet hours and rates decide over each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import held, pausing, rates
from orchestrator.engine.addresses import DUPLICATE
from orchestrator.engine.contact import CAP, OPERATOR, QUIET_HOURS, RATE
from orchestrator.engine.customer_clock import zone_of
from orchestrator.engine.moves import NEXT
from orchestrator.engine.outgoing import Candidate, emit, log
from orchestrator.engine.quiet import quiet_until
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.caps import CapRule
    from orchestrator.engine.handling import Action
    from orchestrator.engine.turn import Turn


def suppression(turn: Turn, action: Action) -> tuple[str, str]:
    """Give the first reason to suppress a send, "" for none, and the note in which it then claims its address, if in any.

    Fills in the consent used.
    """
    rules = turn.program.sends
    for reason, stands_against in rules.judgements:
        if stands_against(turn, action):
            return reason, ""
    address = rules.addresses.note_of(turn, action)
    if address and rules.addresses.is_claimed(turn, address):
        return DUPLICATE, ""
    return "", address


def settle(turn: Turn) -> None:
    """Decide on the handling's sends: priority descending, then the earlier decided, journey id, step order (rule K2).

    Sends of one instance stand in step order; sorting is stable. A send that loses may move its instance (ruling A07); what it
    then sends is decided on in a further round.
    """
    while turn.pending:
        batch, turn.pending = turn.pending, []
        if len(batch) > 1:
            batch.sort(key=_rank)
        for place, candidate in enumerate(batch):
            if candidate.is_overtaken:
                log(turn, candidate, Kind.ACTION_CANCELLED, "exited")
            elif not _decide(turn, candidate):
                _take_other_way(turn, candidate, batch[place + 1 :])


def _rank(candidate: Candidate) -> tuple[int, int, str]:
    return -candidate.priority, candidate.decided, candidate.action.journey


def _decide(turn: Turn, candidate: Candidate) -> bool:
    """Emit or hold a send; False where it is suppressed."""
    rules, action = turn.program.sends, candidate.action
    if _is_stopped(turn, candidate):
        return True
    if action.kind == "send":  # no caps or quiet hours for calls (ruling A95)
        if rules.caps:
            over = _caps_over(turn, action)
            if over:
                return _hold_for_caps(turn, candidate, over)
        if rules.quiet:
            quiet = quiet_until(turn, action)
            if quiet is not None:
                held.hold(turn, candidate, QUIET_HOURS, quiet)
                return True
    if rules.rates:
        place = rates.place_of(turn, candidate)
        if place is not None:
            pausing.start_clock(turn, action, place, action.expires_at)
            held.hold(turn, candidate, RATE, place)
            return True
    if candidate.walk is None:
        log(turn, candidate, Kind.ACTION_RELEASED, candidate.held_for)
    emit(turn, candidate)
    return True


def _is_stopped(turn: Turn, candidate: Candidate) -> bool:
    """Hold what a paused journey or an operator lets not leave; tell whether that was so."""
    action, contact = candidate.action, turn.contact
    if pausing.stops(turn, action):
        held.pause(turn, candidate)
        return True
    until = contact.held_until(turn.now) if contact is not None and contact.blocks and action.kind == "send" else 0
    if until:
        held.hold(turn, candidate, OPERATOR, until)
    return bool(until)


def _caps_over(turn: Turn, action: Action) -> tuple[CapRule, ...]:
    counting = turn.program.sends.caps_of(action)
    if not counting:
        return ()
    contact, now, zone = turn.contact, turn.now, zone_of(turn)
    return tuple([cap for cap in counting if cap.is_over(contact, now, zone)])


def _hold_for_caps(turn: Turn, candidate: Candidate, over: tuple[CapRule, ...]) -> bool:
    """Hold a send until all caps are free, or suppress it: where one cap skips, or the time to hold is up (rule K4)."""
    skipping = next((cap for cap in over if cap.over == "skip"), None)
    until = min((candidate.decided + cap.max_hold_ms for cap in over), default=0)
    until = min(until, candidate.until or until)
    if skipping is not None or until <= turn.now:
        log(turn, candidate, Kind.ACTION_SUPPRESSED, CAP).detail = {"cap": (skipping or over[0]).id}
        if candidate.address:
            turn.program.sends.addresses.freed(turn, candidate.address, candidate.action.action_id)
        return False
    zone = zone_of(turn)
    held.hold(turn, candidate, CAP, max(cap.frees_at(turn.contact, turn.now, zone) for cap in over), until)
    return True


def _take_other_way(turn: Turn, loser: Candidate, rest: list[Candidate]) -> None:
    """Move the instance of a send that lost as `on_suppressed` says, if it is still active (ruling A07).

    What the instance wanted to send after that step is overtaken: it would not have come there.
    """
    walk = loser.walk
    if walk is None or loser.otherwise is NEXT or all(each is not walk.instance for each in turn.document.instances):
        return
    for later in rest:
        if later.walk is not None and later.walk.instance is walk.instance:
            later.is_overtaken = True
    turn.at_work = walk.instance
    walk.follow(walk.journey.steps[loser.action.step], loser.otherwise)

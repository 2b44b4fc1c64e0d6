"""Sends that wait beside their instance: held, looked at again, released, cancelled (C3, K4, Q1, V6, X2; A12, A13, A65)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.engine import outgoing, pausing, rates
from orchestrator.engine.contact import CAP, OPERATOR, PAUSED, QUIET_HOURS, RATE, Contact, Held
from orchestrator.engine.document import NEVER
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.quiet import quiet_until
from orchestrator.engine.upkeep import contact_of, tidy
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.document import Document
    from orchestrator.engine.handling import Action
    from orchestrator.engine.outgoing import Candidate
    from orchestrator.engine.turn import Turn

EXPIRED: Final = {QUIET_HOURS: "quiet_hours_expired", CAP: "cap", RATE: "rate", PAUSED: "paused", OPERATOR: "operator"}


def hold(turn: Turn, candidate: Candidate, reason: str, release: int, until: int = 0) -> None:
    """Let a send wait for `release`; it is looked at no later than `until` (0 for no bound) and its expiry."""
    if not candidate.may_wait:
        outgoing.log(turn, candidate, Kind.ACTION_CANCELLED, "exited")
        return
    action = candidate.action
    look_at = release if action.kind == "call" else min(release, action.expires_at, until or NEVER)
    held = Held(action.plain(), candidate.decided, candidate.state, candidate.priority, reason, look_at, until, candidate.address)
    contact_of(turn.document).keep(held)
    if candidate.address:
        turn.program.sends.addresses.held(turn, candidate.address, action)
    if reason != candidate.held_for:  # looked at again and still over its cap, it goes on being held
        decision = outgoing.log(turn, candidate, Kind.ACTION_HELD, reason)
        decision.detail = None if look_at == NEVER else {"deadline": str(look_at)}


def pause(turn: Turn, candidate: Candidate) -> None:
    """Let an action wait until its journey is resumed (rule V6). How long a cap may hold it is judged anew then."""
    pausing.stop_clock(turn, candidate.action)
    hold(turn, candidate, PAUSED, NEVER)


def release(turn: Turn) -> None:
    """Look at what is due: what waited for a cap competes with the handling's other sends (rule K2, ruling A06), the rest goes.

    A send that waited for quiet hours or its channel's rate has its cap slots, so they leave in the order decided.
    """
    _look_at(turn, lambda held: held.look_at <= turn.now)


def resume(turn: Turn, journey: str) -> None:
    """Look at what waits for a journey to be resumed, in the order decided; all is decided anew, cap and quiet hours too."""
    _look_at(turn, lambda held: held.reason == PAUSED and held.action.journey == journey)


def let_go(turn: Turn) -> None:
    """Look at what an operator has held, in the order decided; all is decided anew."""
    _look_at(turn, lambda held: held.reason == OPERATOR)


def _look_at(turn: Turn, is_meant: Callable[[Held], bool]) -> None:
    contact = turn.contact
    meant = [held for held in contact.held if is_meant(held)] if contact is not None else []
    if contact is None or not meant:
        return
    for held in meant:
        candidate = outgoing.again(held)
        action = candidate.action
        reason = _stands_against(turn, action, held.reason)
        if reason:
            _remove(turn, contact, held)
            outgoing.log(turn, candidate, Kind.ACTION_SUPPRESSED, reason)
        elif pausing.is_paused(turn, action):
            _take_out(turn, contact, held)
            pause(turn, candidate)
        elif held.reason in (CAP, PAUSED, OPERATOR):
            contact.held.remove(held)
            if held.reason == PAUSED:
                pausing.start_clock(turn, action, turn.now)
            turn.pending.append(candidate)
        else:
            contact.held.remove(held)
            _let_go(turn, held, candidate)
    tidy(turn.document, turn.now)


def _let_go(turn: Turn, held: Held, candidate: Candidate) -> None:
    """Release a send, unless an operator holds it, it is quiet (again: the zone may have changed) or the rate is used up."""
    action = candidate.action
    if action.kind == "send" and turn.contact is not None:
        until = turn.contact.held_until(turn.now)
        if until:
            if held.reason == RATE:
                rates.give_up(turn, held)
            hold(turn, candidate, OPERATOR, until)
            turn.contact.wake(turn.now)
            return
    quiet = None if action.kind == "call" else quiet_until(turn, action)
    if quiet is not None:
        if held.reason == RATE:
            rates.give_up(turn, held)
        hold(turn, candidate, QUIET_HOURS, quiet)
        return
    if held.reason == RATE:
        rates.leave(turn, held)
    else:
        place = rates.place_of(turn, candidate)
        if place is not None:
            hold(turn, candidate, RATE, place)
            return
    outgoing.log(turn, candidate, Kind.ACTION_RELEASED, held.reason)
    outgoing.emit(turn, candidate)


def _stands_against(turn: Turn, action: Action, held_for: str) -> str:
    """Give why a held send may not go any more: expired, consent, suppression (rulings A59, A65). Exits have cancelled it.

    Nothing stands against a call: its time runs from its leaving (rulings A91, A95).
    """
    if action.kind == "call":
        return ""
    if action.expires_at <= turn.now:
        return EXPIRED[held_for]
    for reason, stands_against in turn.program.sends.again:
        if stands_against(turn, action):
            return reason
    return ""


def cancel(turn: Turn, reason: str, is_meant: Callable[[Held], bool]) -> None:
    """Cancel the held sends that are meant, and give their slots back."""
    contact = turn.contact
    if contact is None:
        return
    for held in [each for each in contact.held if is_meant(each)]:
        _remove(turn, contact, held)
        outgoing.log(turn, outgoing.again(held), Kind.ACTION_CANCELLED, reason)
    tidy(turn.document, turn.now)


def _remove(turn: Turn, contact: Contact, held: Held) -> None:
    """Take a held send out for good, and give back what it had: its address too."""
    _take_out(turn, contact, held)
    if held.address:
        turn.program.sends.addresses.freed(turn, held.address, held.action.action_id)


def _take_out(turn: Turn, contact: Contact, held: Held) -> None:
    """Take a held send out, and give back its place and its cap slots, for which others may wait."""
    contact.held.remove(held)
    if held.reason == RATE:
        rates.give_up(turn, held)
    if held.has_slot:
        contact.wake(turn.now)


def drop(turn: Turn, instance: bytes, reason: str) -> None:
    """Cancel what an instance that ends before its time has waiting, and let nothing of it begin to wait (ruling A13)."""
    for candidate in turn.pending:
        if candidate.walk is not None and candidate.walk.instance.id == instance:
            candidate.may_wait = False
    cancel(turn, reason, lambda held: held.action.instance == uuid_text(instance))


def stop(document: Document, due: int) -> bool:
    """After a failure: keep what was due at `due` from being looked at for ever; give whether there was any.

    It stays in the document, where it can be seen and is still cancelled by a withdrawal or an exit.
    """
    stopped = [held for held in document.contact.held if held.look_at <= due] if document.contact is not None else []
    for held in stopped:
        held.look_at = NEVER
    return bool(stopped)

"""Sends that wait beside their instance: held, looked at again, released, cancelled (rules C3, K4, Q1; rulings A12, A13, A65)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.engine import outgoing
from orchestrator.engine.contact import CAP, QUIET_HOURS, Contact, Held, contact_of, tidy
from orchestrator.engine.document import NEVER
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.quiet import quiet_until
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.document import Document
    from orchestrator.engine.outgoing import Candidate
    from orchestrator.engine.turn import Turn

EXPIRED: Final = {QUIET_HOURS: "quiet_hours_expired", CAP: "cap"}


def hold(turn: Turn, candidate: Candidate, reason: str, release: int, until: int = 0) -> None:
    """Let a send wait for `release`; it is looked at no later than `until` (0 for no bound) and its expiry."""
    if not candidate.may_wait:
        outgoing.log(turn, candidate, Kind.ACTION_CANCELLED, "exited")
        return
    action = candidate.action
    look_at = min(release, action.expires_at, until or NEVER)
    contact_of(turn.document).keep(Held(action, candidate.decided, candidate.state, candidate.priority, reason, look_at, until))
    if reason != candidate.held_for:  # looked at again and still over its cap, it goes on being held
        outgoing.log(turn, candidate, Kind.ACTION_HELD, reason).detail = {"deadline": str(look_at)}


def release(turn: Turn) -> None:
    """Look at what is due: let go what waited for the end of quiet hours, in the order decided; offer the rest to arbitration.

    A send that waited for quiet hours has its cap slot, so nothing can be in its way. One that waited for a cap competes with
    the handling's other sends (rule K2, ruling A06).
    """
    contact = turn.document.contact
    if contact is None:
        return
    due = [held for held in contact.held if held.look_at <= turn.now]
    if not due:
        return
    for held in due:
        candidate = outgoing.again(held)
        reason = _stands_against(turn, held)
        if reason:
            _remove(turn, contact, held)
            outgoing.log(turn, candidate, Kind.ACTION_SUPPRESSED, reason)
        elif held.reason == CAP:
            contact.held.remove(held)
            turn.pending.append(candidate)
        else:
            _let_go(turn, held, candidate)
    tidy(turn.document, turn.now)


def _let_go(turn: Turn, held: Held, candidate: Candidate) -> None:
    """Release after quiet hours; where the customer's zone has changed meanwhile, they may go on."""
    quiet = quiet_until(turn, held.action)
    if quiet is not None:
        held.look_at = min(quiet, held.action.expires_at)
        return
    contact_of(turn.document).held.remove(held)
    outgoing.log(turn, candidate, Kind.ACTION_RELEASED, held.reason)
    outgoing.emit(turn, candidate)


def _stands_against(turn: Turn, held: Held) -> str:
    """Give why a held send may not go any more: expired, consent, suppression (rulings A59, A65). Exits have cancelled it."""
    if held.action.expires_at <= turn.now:
        return EXPIRED[held.reason]
    for reason, stands_against in turn.program.sends.again:
        if stands_against(turn, held.action):
            return reason
    return ""


def cancel(turn: Turn, reason: str, is_meant: Callable[[Held], bool]) -> None:
    """Cancel the held sends that are meant, and give their slots back."""
    contact = turn.document.contact
    if contact is None:
        return
    for held in [each for each in contact.held if is_meant(each)]:
        _remove(turn, contact, held)
        outgoing.log(turn, outgoing.again(held), Kind.ACTION_CANCELLED, reason)
    tidy(turn.document, turn.now)


def _remove(turn: Turn, contact: Contact, held: Held) -> None:
    """Take a held send out for good; one that waited for quiet hours had a slot, which others may wait for."""
    contact.held.remove(held)
    if held.reason == QUIET_HOURS:
        contact.wake(turn.now)


def drop(turn: Turn, instance: bytes, reason: str) -> None:
    """Cancel what an instance that ends before its time has waiting, and let nothing of it begin to wait (ruling A13)."""
    for candidate in turn.pending:
        if candidate.walk is not None and candidate.walk.instance.id == instance:
            candidate.may_wait = False
    if turn.document.contact is not None:
        name = uuid_text(instance)
        cancel(turn, reason, lambda held: held.action.instance == name)


def stop(document: Document, due: int) -> bool:
    """After a failure: keep what was due at `due` from being looked at for ever; give whether there was any.

    It stays in the document, where it can be seen and is still cancelled by a withdrawal or an exit.
    """
    stopped = [held for held in document.contact.held if held.look_at <= due] if document.contact is not None else []
    for held in stopped:
        held.look_at = NEVER
    return bool(stopped)

"""The part of a customer's document about contacting them: made when first needed, rid of what is over when next touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw

from orchestrator.engine.contact import LATE_MS, OPEN, Contact

if TYPE_CHECKING:
    from orchestrator.engine.contact import Sent
    from orchestrator.engine.document import Document

CANCELLABLE: Final = 256  # emitted sends remembered only to be cancelled; beyond them the oldest is forgotten first


def contact_in(document: Document) -> Contact | None:
    """Give the part, None where there is none: as `Document.contact`, and once it is decoded with no call of the interpreter."""
    kept: Raw | Contact | None = document.lazy_contact
    return document.contact if type(kept) is Raw else kept


def contact_of(document: Document) -> Contact:
    """Give the part to write to."""
    contact = contact_in(document)
    if contact is None:
        contact = document.contact = Contact()
    return contact


def tidy(document: Document, now: int) -> None:
    """Drop what is over at `now` (ms UTC), and the part itself where nothing is left."""
    contact = contact_in(document)
    if contact is not None:
        drop_over(contact, now)
        if not (contact.blocks or contact.sent or contact.held or contact.latest):
            document.contact = None


def drop_over(contact: Contact, now: int) -> None:
    """Drop what is over at `now`: blocks, and sends on which nothing can depend any more."""
    if contact.blocks:
        contact.blocks = {rule: block for rule, block in contact.blocks.items() if now < block[1] + LATE_MS}
    sent = [one for one in contact.sent if _may_count(one, now) or (one.status == OPEN and now < one.expires)]
    if len(sent) > CANCELLABLE:
        over = [one for one in sent if not _may_count(one, now)]
        forgotten = {id(one) for one in over[:-CANCELLABLE]}
        sent = [one for one in sent if id(one) not in forgotten]
    contact.sent = sent


def _may_count(sent: Sent, now: int) -> bool:
    """Tell whether it may take a cap's slot, for a record of `now` or a late one after it."""
    return now < sent.counts_until + LATE_MS

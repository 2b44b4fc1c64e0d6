"""One customer while a caller works on it: the stored bytes, and the document that they hold."""

from __future__ import annotations

from orchestrator.engine.document import Document
from orchestrator.engine.storing import decode, encode, with_seen


class Customer:
    """One customer, or one note of the partition (`engine.vicinity`), whose `id` then begins with U+0000.

    `stored` is the document as bytes after the last handling, None for no state (a tombstone in the changelog). It begins with
    a format byte and `next_due` as 8 bytes big-endian. It stays the same object where a handling changed nothing. `document` is
    decoded on first use and kept; it belongs to the engine.
    """

    __slots__ = ("document", "id", "stored")

    def __init__(self, customer_id: str, stored: bytes | None) -> None:
        self.id = customer_id
        self.stored = stored
        self.document: Document | None = None

    def open(self) -> Document:
        """Give the document, decoded if it is not yet. Raises ValueError for bytes that are none."""
        if self.document is None:
            self.document = decode(self.stored)
        return self.document

    def keep(self, document: Document) -> None:
        """Take the document as it is after a handling."""
        stored = encode(document)
        if stored != self.stored:
            self.stored = stored

    def keep_seen(self, document: Document) -> None:
        """Take the document as it is after a handling that changed nothing of it but `seen`."""
        stored = None if self.stored is None else with_seen(self.stored, document.seen)
        if stored is None:
            self.keep(document)
        elif stored != self.stored:
            self.stored = stored

    def restore(self, stored: bytes | None) -> None:
        """Go back to what was stored before a handling that failed."""
        self.stored, self.document = stored, None

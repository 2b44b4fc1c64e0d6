"""A customer's document as it is stored, and what can be told of it without decoding it.

1 byte format, 8 bytes big-endian `next_due` (ms UTC), then the msgpack of `Document` as nested arrays. The fixed head lets the
timer calendar be checked and rebuilt without decoding.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from orchestrator.engine.document import NEVER, Document
from orchestrator.engine.upkeep import contact_in

FORMAT: Final = 1
HEAD: Final = struct.Struct(">BQ")
_DUE: Final = struct.Struct(">Q")
# How msgpack writes the beginning of a document: an array of so many fields, the first of them bytes of a size.
_ARRAY: Final = 0x90 | len(Document.__struct_fields__)
_SEEN_AT: Final = HEAD.size + 1
_BIN_8: Final = 0xC4
_BIN_16: Final = 0xC5
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Document).decode


def encode(document: Document) -> bytes | None:
    """Give the stored form, None for an empty document."""
    if not document.instances and document.is_empty:
        return None
    return HEAD.pack(FORMAT, earliest(document)) + _encode(document)


def earliest(document: Document) -> int:
    """Give the earliest instant at which an instance or a held send is due, NEVER where none is."""
    found = NEVER
    for instance in document.instances:
        if instance.stopped:
            continue
        due, expires = instance.due, instance.expires
        if 0 != due < found:
            found = due
        if 0 != expires < found:
            found = expires
    if (contact := contact_in(document)) is not None:
        for held in contact.held:
            found = min(found, held.look_at)
    return found


def with_seen(stored: bytes, seen: bytes) -> bytes | None:
    """Give a stored document with another `seen`, which stands first in it, and nothing else touched; None where it is no such.

    That takes a fifth of encoding it all. None for a document of an older form, and for a memory of 64 KiB or more.
    """
    if stored[HEAD.size] != _ARRAY or len(seen) >= 1 << 16:
        return None
    kind = stored[_SEEN_AT]
    if kind == _BIN_8:
        start, size = _SEEN_AT + 2, stored[_SEEN_AT + 1]
    elif kind == _BIN_16:
        start, size = _SEEN_AT + 3, int.from_bytes(stored[_SEEN_AT + 1 : _SEEN_AT + 3], "big")
    else:
        return None
    if size == len(seen):  # a full memory's size stays
        return stored[:start] + seen + stored[start + size :]
    return stored[:_SEEN_AT] + _encode(seen) + stored[start + size :]


def decode(stored: bytes | None) -> Document:
    """Read a stored document; None gives an empty one. Raises ValueError for a format this version does not know."""
    if stored is None:
        return Document()
    if stored[0] != FORMAT:
        raise ValueError(f"document format {stored[0]} is not {FORMAT}: written by a newer version")
    return _decode(stored[HEAD.size :])


def next_due(stored: bytes | None) -> int:
    """Give the earliest deadline of a stored document in ms UTC, NEVER where there is none, without decoding it."""
    due: int = NEVER if stored is None else _DUE.unpack_from(stored, 1)[0]
    return due


def due_bytes(stored: bytes) -> bytes:
    """Give the same as it stands there, 8 bytes big-endian, which sort like the number."""
    return stored[1 : HEAD.size]


def without_timers(stored: bytes) -> bytes:
    """Give the same stored document with `next_due` NEVER: for one that cannot be read, so that its timers stop."""
    return HEAD.pack(stored[0], NEVER) + stored[HEAD.size :]

"""The stored form of notes (`engine.vicinity`): the fixed head of a document, then the msgpack of what the note's kind keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from orchestrator.engine.storing import FORMAT, HEAD

if TYPE_CHECKING:
    from orchestrator.engine.customer import Customer
    from orchestrator.engine.handling import Handling
    from orchestrator.engine.program import Program
    from orchestrator.engine.vicinity import Vicinity

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode


def read(note: Customer, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    """Give what a note keeps, None where nothing was noted yet. Raises ValueError for what this version does not know."""
    if note.stored is None:
        return None
    if note.stored[0] != FORMAT:
        raise ValueError(f"note format {note.stored[0]} is not {FORMAT}: written by a newer version")
    return decoder.decode(note.stored[HEAD.size :])


def write(note: Customer, kept: Any, forget_at: int) -> None:
    """Keep `kept` until `forget_at`, ms UTC."""
    note.stored = HEAD.pack(FORMAT, max(forget_at, 0)) + _encode(kept)


def forget(program: Program, note: Customer, due: int, vicinity: Vicinity) -> list[Handling]:
    """Let go of a note at its time: for kinds that move `forget_at` on whenever they write."""
    note.stored = None
    return []

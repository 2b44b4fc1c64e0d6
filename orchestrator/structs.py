"""What Structs need for threads that read them, and for modules that are compiled."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

S = TypeVar("S", bound=Struct)


def resolved(struct: type[S]) -> type[S]:
    """Have msgspec read the annotations of a struct now, as a class decorator.

    It would at the first decoding, and two threads that are first at the same time crash the process (msgspec 0.22.0).
    """
    msgspec.msgpack.Decoder(struct)
    return struct


class Frozen(Struct, frozen=True):
    """Base of the Structs that do not change in modules that are compiled (`orchestrator.compiled`).

    mypyc drops the keywords of a class; a Struct has those of its bases as well. The keyword is said again for mypy. Of the
    fields' types it keeps little: what is read by its type (`decode(..., type=X)`) stays in a module that is not compiled.
    """

"""Structs whose types are known before any thread reads one."""

from __future__ import annotations

from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def resolved(struct: type[S]) -> type[S]:
    """Have msgspec read the annotations of a struct now, as a class decorator.

    It would at the first decoding, and two threads that are first at the same time crash the process (msgspec 0.22.0).
    """
    msgspec.msgpack.Decoder(struct)
    return struct

"""Avro's binary encoding, by hand, for what is written at every event.

fastavro takes 42 us for the decisions of one purchase, because it looks at the schema of every field; concatenating pieces, most
of them kept from the last time, takes 5. Tests hold these pieces against fastavro.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

NULL: Final = b"\x00"  # branch 0 of ["null", T]
NOT_NULL: Final = b"\x02"  # branch 1
END: Final = b"\x00"  # after the last block of an array or a map
TRUE: Final = b"\x01"
FALSE: Final = b"\x00"

_pack_double = struct.Struct("<d").pack


def _varint(zigzag: int) -> bytes:
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


_FEW: Final = 1 << 13  # numbers whose zigzag has 14 bits: two bytes
_SMALL: Final = tuple(_varint(number << 1) for number in range(_FEW))
_SMALL_OPTIONAL: Final = tuple(NOT_NULL + encoded for encoded in _SMALL)
# Bytes by 14 bits at a time, since six bytes of a time one by one take a microsecond: such as more follow, and the last ones.
_MORE: Final = tuple(bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(2 * _FEW))
_LAST: Final = tuple(_varint(bits) for bits in range(2 * _FEW))
_FROM: Final = 1 << 28  # zigzags of five or six bytes: times from 2 January 1970 on, until 2039
_UNTIL: Final = 1 << 42


def long(number: int) -> bytes:
    """Encode an int or a long. Raises OverflowError beyond 64 bits."""
    if 0 <= number < _FEW:
        return _SMALL[number]
    zigzag = number << 1 if number > 0 else (-number << 1) - 1
    if _FROM <= zigzag < _UNTIL:
        return _MORE[zigzag & 0x3FFF] + _MORE[zigzag >> 14 & 0x3FFF] + _LAST[zigzag >> 28]
    if zigzag >> 64:
        raise OverflowError("an Avro long has 64 bits")
    return _varint(zigzag)


def double(number: float) -> bytes:
    """Encode a double."""
    return _pack_double(number)


def text(value: str) -> bytes:
    """Encode a string."""
    raw = value.encode()
    size = len(raw)
    return (_SMALL[size] if size < _FEW else long(size)) + raw


def optional(value: str) -> bytes:
    """Encode ["null", "string"], where empty text is null."""
    if not value:
        return NULL
    raw = value.encode()
    size = len(raw)
    return (_SMALL_OPTIONAL[size] if size < _FEW else NOT_NULL + long(size)) + raw


_KEPT: Final = 4096
_words: dict[str, bytes] = {}


def word(value: str) -> bytes:
    """Encode one of the few words that a program uses as names: encoding one takes twice as long as finding it again."""
    found = _words.get(value)
    if found is None:
        if len(_words) >= _KEPT:
            _words.clear()
        found = _words[value] = text(value)
    return found


def text_map(values: Mapping[str, str]) -> bytes:
    """Encode a map of strings."""
    if not values:
        return END
    encoded = long(len(values))
    for key, value in values.items():
        encoded += word(key) + text(value)
    return encoded + END

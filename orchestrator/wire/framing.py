"""How a value says which schema it was written with: three ways, told apart by a header and the first byte.

__value_schema_id header   0x01, 16-byte GUID; the value is the bare Avro body    (newer registry clients)
0x00 value                 4-byte id, big-endian, then the body                   (Confluent's wire format)
0xC3 0x01 value            CRC-64-AVRO fingerprint, 8 bytes little-endian, then the body    (Avro single object)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

SINGLE_OBJECT: Final = b"\xc3\x01"
SINGLE_OBJECT_LENGTH: Final = 10
CONFLUENT: Final = b"\x00"
CONFLUENT_LENGTH: Final = 5
GUID_HEADER: Final = "__value_schema_id"
_GUID_MAGIC: Final = b"\x01"
_GUID_LENGTH: Final = 17

Headers = Sequence[tuple[str, bytes | None]]


class SchemaRef(Struct, frozen=True):
    """What a record says about its schema: the bytes that name it, and where the Avro body begins."""

    kind: Literal["fingerprint", "id", "guid"]
    name: bytes
    body: int

    def __str__(self) -> str:
        """Give the form that incidents and logs show."""
        if self.kind == "id":
            return str(int.from_bytes(self.name, "big"))
        return self.name.hex()


class NotFramed(ValueError):
    """The value does not begin like any of the three; `is_short` where it begins right and ends too soon."""

    def __init__(self, message: str, *, is_short: bool = False) -> None:
        self.is_short = is_short
        super().__init__(message)


def read_frame(value: bytes, headers: Headers | None) -> SchemaRef:
    """Tell by which schema a value was written. Raises NotFramed."""
    guid = guid_header(headers)
    if guid is not None:
        return SchemaRef("guid", guid, 0)
    if value[:1] == CONFLUENT:
        return SchemaRef("id", _name(value, 1, CONFLUENT_LENGTH), CONFLUENT_LENGTH)
    if value[:2] == SINGLE_OBJECT:
        return SchemaRef("fingerprint", _name(value, 2, SINGLE_OBJECT_LENGTH), SINGLE_OBJECT_LENGTH)
    if value == SINGLE_OBJECT[:1]:
        raise NotFramed("the value ends within the frame", is_short=True)
    raise NotFramed("the value begins neither with 00 nor with C3 01")


def _name(value: bytes, start: int, end: int) -> bytes:
    if len(value) < end:
        raise NotFramed("the value ends within the frame", is_short=True)
    return value[start:end]


def guid_header(headers: Headers | None) -> bytes | None:
    """Give the 16-byte GUID of the schema where the record's headers carry one."""
    for name, value in headers or ():
        if name == GUID_HEADER and value is not None and len(value) == _GUID_LENGTH and value[:1] == _GUID_MAGIC:
            return value[1:]
    return None


def single_object(fingerprint: bytes) -> bytes:
    """Give the ten bytes that stand before the body. `fingerprint` is 8 bytes, little-endian."""
    return SINGLE_OBJECT + fingerprint


def confluent(schema_id: int) -> bytes:
    """Give the five bytes that stand before the body."""
    return CONFLUENT + schema_id.to_bytes(4, "big")

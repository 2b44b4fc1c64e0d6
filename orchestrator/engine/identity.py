"""Ids that a replay computes again (rules I1, I3; ruling A10).

The recipe, for anyone who wants to compute them elsewhere:

    NAMESPACE   = uuid5(NAMESPACE_URL, "urn:journey-orchestrator:ids") = 7d8ab4b4-06f3-5c63-bbb8-2dc39a3a251e
    instance_id = uuid5(NAMESPACE, journey \\x1f customer \\x1f key \\x1f entry_event_id)
                  and for the n-th use of these same four names, n >= 2:  ... \\x1f entry_event_id \\x1f n
    action_id   = uuid5(instance_id, step \\x1f visit)

`\\x1f` is the one character U+001F between names; names are UTF-8; key is empty where the journey declares none; numbers are
decimal. The entry event id is the event's own id, and `topic-partition-offset` for a record without one. `visit` counts, from
1, how often this instance entered the state that the step stands in; for an exit's last send (step `exit:<n>`) it is 1.

`uuid.uuid5` gives the same values at 6.3 us; hashing and formatting here costs 1 us.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

NAMESPACE: Final = bytes.fromhex("7d8ab4b406f35c63bbb82dc39a3a251e")
HASH_BYTES: Final = 8  # of an event id, as documents remember it

# The two bytes of a UUID that say version 5 and the RFC's variant, with the bits that come from the name.
_VERSION_5: Final = tuple(bytes((byte & 0x0F | 0x50,)) for byte in range(256))
_VARIANT: Final = tuple(bytes((byte & 0x3F | 0x80,)) for byte in range(256))


def uuid5_bytes(namespace: bytes, name: str) -> bytes:
    """Give the 16 bytes of the version 5 UUID (RFC 9562) of a name in a namespace."""
    digest = sha1(namespace + name.encode()).digest()  # noqa: S324 - RFC 9562 says SHA-1; nothing rests on its strength
    return digest[:6] + _VERSION_5[digest[6]] + digest[7:8] + _VARIANT[digest[8]] + digest[9:16]


def uuid_text(raw: bytes) -> str:
    """Give the usual text of a UUID's 16 bytes."""
    pairs = raw.hex("-", 2)  # eight groups of four digits; the first two and the last three stand together
    return f"{pairs[:4]}{pairs[5:29]}{pairs[30:34]}{pairs[35:]}"


def instance_id(journey: str, customer: str, key: str, entry_event_id: str, use: int = 1) -> bytes:
    """Give an instance's id as 16 bytes; `use` is 1 for the first instance that these names give."""
    name = f"{journey}\x1f{customer}\x1f{key}\x1f{entry_event_id}"
    return uuid5_bytes(NAMESPACE, name if use == 1 else f"{name}\x1f{use}")


def uuid_bytes(text: str) -> bytes:
    """Give the 16 bytes of a UUID's text. Raises ValueError for text that is none."""
    return bytes.fromhex(text.replace("-", ""))


def action_id(instance: bytes, step: str, visit: int) -> str:
    """Give the id of the action that a step decides on one visit; its retries keep it."""
    return uuid_text(uuid5_bytes(instance, f"{step}\x1f{visit}"))


def event_hash(event_id: str) -> bytes:
    """Give the 8 bytes by which a customer's document remembers an event id."""
    return sha1(event_id.encode()).digest()[:HASH_BYTES]  # noqa: S324 - tells ids apart, protects nothing

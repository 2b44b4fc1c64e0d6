"""What one committed cycle changes in a partition's RocksDB: the keys, and all of it as one WriteBatch.

Keys: `d` + customer, `t` + due + customer, `m`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rocksdict import WriteBatch

DOCUMENT: Final = b"d"
TIMER: Final = b"t"
META: Final = b"m"


def timer_key(due: int, customer: bytes) -> bytes:
    """Give the key of a calendar entry; `due` is ms UTC."""
    return TIMER + max(due, 0).to_bytes(8, "big") + customer


def batch_of(
    documents: Mapping[bytes, bytes | None], timers_gone: Iterable[tuple[int, bytes]], timers_new: Iterable[tuple[int, bytes]]
) -> WriteBatch:
    """Give the changes of a cycle. A None document is deleted; a timer that is in both stays.

    In the order of the keys: RocksDB finds the place of each one near that of the one before.
    """
    changes: dict[bytes, bytes | None] = {DOCUMENT + customer: stored for customer, stored in documents.items()}
    for due, customer in timers_gone:
        changes[timer_key(due, customer)] = None
    for due, customer in timers_new:
        changes[timer_key(due, customer)] = b""
    batch = WriteBatch(raw_mode=True)
    put, delete = batch.put, batch.delete
    for key in sorted(changes):
        value = changes[key]
        if value is None:
            delete(key)
        else:
            put(key, value)
    return batch

"""Which partition a customer is in: murmur2 over the key, as Java's default producer does and librdkafka's `murmur2_random`."""

from __future__ import annotations

from typing import Final

PARTITIONER: Final = "murmur2_random"  # librdkafka's name, for `partitioner=`

_SEED: Final = 0x9747B28C
_MIX: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Give the 32-bit MurmurHash2 of a key as Kafka computes it (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    length = len(key)
    found = (_SEED ^ length) & _MASK
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little") * _MIX & _MASK
        word = (word ^ word >> 24) * _MIX & _MASK
        found = (found * _MIX & _MASK) ^ word
    if length > whole:
        found = (found ^ int.from_bytes(key[whole:], "little")) * _MIX & _MASK
    found = (found ^ found >> 13) * _MIX & _MASK
    return found ^ found >> 15


def partition_for(key: bytes, count: int) -> int:
    """Give the partition of a key on a topic with `count` partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % count

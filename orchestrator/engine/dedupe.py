"""Event ids that a customer's document remembers (rules I2; rulings A09, A52).

Memory is one byte string of 14-byte entries, earliest time first: 8 bytes hash of the event id, 6 bytes big-endian record time
of its first handling, ms UTC. A dict of them was rejected: 18 bytes an entry instead of 14, and 3 times the cost to decode.
"""

from __future__ import annotations

from typing import Final

from orchestrator.engine.contact import LATE_MS
from orchestrator.engine.identity import HASH_BYTES
from orchestrator.language.model import EventDedupe

_TIME: Final = 6
ENTRY: Final = HASH_BYTES + _TIME
_LATEST: Final = (1 << 8 * _TIME) - 1


def _time_of(seen: bytes, position: int) -> int:
    return int.from_bytes(seen[position + HASH_BYTES : position + ENTRY], "big")


def is_repeat(seen: bytes, hashed: bytes, time: int, rule: EventDedupe) -> bool:
    """Tell whether an event with this hash, at record time `time` (ms), was handled within the window before.

    At exactly first + window it is new again; a repeat does not refresh the first time.
    """
    position = seen.find(hashed)
    while position >= 0:
        if position % ENTRY == 0 and time < _time_of(seen, position) + rule.window_ms:
            return True
        position = seen.find(hashed, position + 1)
    return False


def remember(seen: bytes, hashed: bytes, time: int, rule: EventDedupe) -> tuple[bytes, int]:
    """Note an event; give the new memory and how many ids that were still in the window `rule.max` made it forget.

    Ids are kept for a day past their window, so that a late record which repeats one is still known.
    """
    if not 0 <= time <= _LATEST:
        time = max(0, min(time, _LATEST))
    stamp = time.to_bytes(_TIME, "big")  # these sort like the times
    window_start = time - rule.window_ms
    oldest_kept = window_start - LATE_MS
    oldest = _time_of(seen, 0)
    if oldest > oldest_kept and seen[-_TIME:] <= stamp:
        seen += hashed + stamp
    else:
        seen = _among(seen, hashed + stamp, time, oldest_kept)
        oldest = _time_of(seen, 0)
    excess = len(seen) - rule.max * ENTRY
    if excess <= 0:
        return seen, 0
    if excess == ENTRY:  # nearly always, once it is full
        return seen[ENTRY:], int(oldest > window_start)
    forgotten = sum([_time_of(seen, at) > window_start for at in range(0, excess, ENTRY)])
    return seen[excess:], forgotten


def _among(seen: bytes, noted: bytes, time: int, oldest_kept: int) -> bytes:
    """Put an entry at its place by time, and leave out those that are too old."""
    if not seen or _time_of(seen, len(seen) - ENTRY) <= oldest_kept:
        return noted
    start, place = 0, len(seen)
    while start < place and _time_of(seen, start) <= oldest_kept:
        start += ENTRY
    while place > start and _time_of(seen, place - ENTRY) > time:
        place -= ENTRY
    return seen[start:place] + noted + seen[place:]


def unite(ours: bytes, theirs: bytes, rule: EventDedupe) -> bytes:
    """Give the memory of two ids that are one person: what either has handled is a repeat (rule M1)."""
    entries = [one[at : at + ENTRY] for one in (ours, theirs) for at in range(0, len(one), ENTRY)]
    newest = {entry[:HASH_BYTES]: entry for entry in sorted(entries, key=lambda entry: entry[HASH_BYTES:])}
    kept = sorted(newest.values(), key=lambda entry: entry[HASH_BYTES:])
    return b"".join(kept[-rule.max :])

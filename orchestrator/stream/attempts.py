"""What the worker was doing when it died: a mark, made before a block is handled, that outlives the process.

The mark is a page of a file mapped into memory. To make one is a write to memory, about 1 us a block, and the kernel keeps it
whatever ends the process: segmentation fault, OOM, kill -9. (A power cut may lose it; no record is to blame for that.) The next
process finds it, and counts a death against the records of that block. What several deaths blame is what their blocks have in
common.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.observe.logs import logger
from orchestrator.structs import resolved

log = logger(__name__)

DEATHS: Final = 3  # so many processes may die at a block before its records are tried one by one
_MARK: Final = struct.Struct("<iqqH249s")  # partition, first and next offset, length of the topic's name, the name
_SIZE: Final = mmap.PAGESIZE


@resolved
class Suspicion(msgspec.Struct):
    """Records of one source partition, one of which may end the process: `deaths` processes died handling them."""

    topic: str
    partition: int
    first: int
    next: int
    deaths: int = 1

    def overlaps(self, first: int, after: int) -> bool:
        """Tell whether offsets `first` up to before `after` are among these."""
        return self.first < after and first < self.next


class Attempts:
    """The mark and the deaths counted so far, in a worker's state directory. Belongs to the worker's loop."""

    def __init__(self, folder: Path) -> None:
        """Read what the process before this one left in `folder`, and count its death if it died at work."""
        self._deaths = folder / "deaths.json"
        self._page = _mapped(folder / "at-work")
        self.suspicions = _read(self._deaths)
        if self._page[0]:
            self._count_death()
            self.over()

    def begin(self, topic: str, partition: int, first: int, after: int) -> None:
        """Mark that the records from offset `first` up to before `after` are being handled."""
        name = topic.encode()
        self._page[0] = 0
        _MARK.pack_into(self._page, 1, partition, first, after, len(name), name)
        self._page[0] = 1

    def over(self) -> None:
        """Mark that no record is being handled."""
        self._page[0] = 0

    def _count_death(self) -> None:
        partition, first, after, length, name = _MARK.unpack_from(self._page, 1)
        topic = name[:length].decode(errors="replace")
        before = next((s for s in self.suspicions if (s.topic, s.partition) == (topic, partition)), None)
        found = Suspicion(topic, partition, first, after)
        if before is not None:
            self.suspicions.remove(before)
            if before.overlaps(first, after):
                # The one to blame is in both.
                found = Suspicion(topic, partition, max(before.first, first), min(before.next, after), before.deaths + 1)
        self.suspicions.append(found)
        self._write()
        log.warning("died_at_work", topic=topic, partition=partition, first=found.first, next=found.next, deaths=found.deaths)

    def suspected(self, topic: str, partition: int, first: int, after: int) -> bool:
        """Tell whether so many processes died at one of these records that it must be tried apart."""
        return any(
            s.deaths >= DEATHS and (s.topic, s.partition) == (topic, partition) and s.overlaps(first, after)
            for s in self.suspicions
        )

    def passed(self, partition: int, next_offsets: dict[str, int]) -> None:
        """Forget suspicions of records that are behind a partition's committed position."""
        left = [s for s in self.suspicions if s.partition != partition or next_offsets.get(s.topic, 0) < s.next]
        if len(left) < len(self.suspicions):
            self.suspicions = left
            self._write()

    def _write(self) -> None:
        fresh = self._deaths.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self.suspicions))
        fresh.rename(self._deaths)


def _mapped(path: Path) -> mmap.mmap:
    if not path.exists() or path.stat().st_size != _SIZE:
        path.write_bytes(bytes(_SIZE))  # real bytes: a hole in the file would be a bus error on a full disk
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _SIZE)


def _read(path: Path) -> list[Suspicion]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Suspicion])
    except (FileNotFoundError, msgspec.DecodeError):
        return []

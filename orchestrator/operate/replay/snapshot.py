"""The state of a partition after one of its cycles, as a replay came to it, in a file: all documents, and the place in each log.

Replays keep them in a folder that whoever asks names, and begin with the nearest one from before their window. What was rejected:
the compacted changelog as of an offset is only there until it is compacted, has no place in the other logs, and would make a
replay start from what it is to check.

The cycle's number and checksum bind it to one history: the next journal record must carry them.

So many of each partition stay, those that were kept or begun with last. A replay holds a shared lock on the one that it began
with, for as long as it runs: nobody removes that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from orchestrator.structs import resolved

STATE: Final = "state"  # the file's name in the folder of a partition
_SUFFIX: Final = ".snapshot"
KEPT: Final = 10  # how many of a partition stay, unless somebody asks for more or fewer
_MODE: Final = 0o600  # documents have personal data


class Reached(Struct, frozen=True):
    """The last cycle that was followed. `at` is when it was committed, ms UTC; `positions` the next offset of each source."""

    cycle: int = 0
    chain: int = 0
    at: int = 0
    journal_next: int | None = None  # None before the first
    positions: dict[str, int] = {}


@resolved
class Snapshot(Struct, frozen=True):
    """`outputs` are the offsets after all that was written up to then, by topic."""

    reached: Reached
    newest: int
    outputs: dict[str, int]
    deadly: list[tuple[str, int, int]]
    documents: dict[str, bytes]

    @property
    def cycle(self) -> int:
        """The cycle after which it is the state."""
        return self.reached.cycle

    @property
    def chain(self) -> int:
        """The checksum of that cycle's journal record."""
        return self.reached.chain

    @property
    def journal_next(self) -> int:
        """The offset after that record."""
        return self.reached.journal_next or 0


def write(path: Path, snapshot: Snapshot) -> None:
    """Write it; the file takes its name only when it is whole."""
    part = path.with_name(f".{path.name}.part")
    part.touch(_MODE)
    part.write_bytes(msgspec.msgpack.encode(snapshot))
    part.replace(path)


def read(path: Path) -> Snapshot:
    """Read what `write` wrote. Raises OSError, msgspec.DecodeError."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)


def keep(folder: Path, journal: str, partition: int, snapshot: Snapshot, most: int = KEPT) -> None:
    """Put one among those of its partition, and remove the oldest of more than `most` that no replay is using."""
    place = _place(folder, journal, partition)
    place.mkdir(parents=True, exist_ok=True)
    made = place / f"{snapshot.cycle:012d}{_SUFFIX}"
    write(made, snapshot)
    others = sorted((path for path in place.glob(f"*{_SUFFIX}") if path != made), key=_age, reverse=True)
    for path in others[most - 1 :]:
        with suppress(OSError), path.open("rb") as file:  # another replay may have removed it, or use it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Kept(Struct, frozen=True):
    """One that is there. It is in use until its file is closed."""

    snapshot: Snapshot
    file: IO[bytes]


def kept(folder: Path, journal: str, partition: int) -> Iterator[Kept]:
    """Give those of a partition, the latest first; what cannot be read is passed over. Whoever gets one closes its file."""
    for path in sorted(_place(folder, journal, partition).glob(f"*{_SUFFIX}"), reverse=True):
        file: IO[bytes] | None = None
        try:
            file = path.open("rb")
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            found = Kept(msgspec.msgpack.decode(file.read(), type=Snapshot), file)
        except (OSError, msgspec.DecodeError):
            if file is not None:
                file.close()
            continue
        yield found


def use(found: Kept) -> IO[bytes]:
    """Note that a replay begins with one; give its file, to be closed when the replay is over."""
    os.utime(found.file.fileno())
    return found.file


def _place(folder: Path, journal: str, partition: int) -> Path:
    return folder / journal / f"partition-{partition}"

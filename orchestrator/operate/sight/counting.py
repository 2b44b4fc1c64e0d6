"""Where instances stand, counted by the workers that have them; by the changelog where a worker cannot be asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from orchestrator.engine.portrait import places
from orchestrator.errors import NotAllowed, Unreachable, WorkerRefuses
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.operate.documents import Progress
from orchestrator.operate.sight.asking import Asker
from orchestrator.operate.sight.looking_up import REBALANCE_S, Question, ask_owner
from orchestrator.stream.desk import COUNT

Standing = Counter[tuple[str, int, str, str]]  # instances by journey, version, state and step, "" for none


class Counted(Struct, frozen=True):
    """Where instances stand, and who says so: the workers, and the partitions that were read from the changelog."""

    stand: Standing
    workers: tuple[str, ...] = ()
    read: tuple[int, ...] = ()

    @property
    def told(self) -> str:
        """Who counted, for people."""
        return told_by(self.workers, self.read)


def told_by(workers: Sequence[str], read: Sequence[int]) -> str:
    """Say who counted: these workers, and for the partitions that were read the changelog."""
    asked = f"the worker{'s' if len(workers) > 1 else ''} {', '.join(workers)}" if workers else ""
    changelog = f"the changelog (partition {', '.join(map(str, read))})" if workers else "the changelog"
    return " and ".join(filter(None, (asked, changelog if read else "")))


def count(
    conf: Mapping[str, Any], streams: Streams, asker: Asker | None, progress: Progress = lambda done, total: None
) -> Counted:
    """Ask each partition's owner, with `asker` None nobody; read those of whom nobody tells.

    Blocks; raises Unreachable, TopicMismatch, and ValueError for a document of a newer version. Workers go on
    meanwhile: the counts are of no one instant.
    """
    counted: Standing = Counter()
    workers: set[str] = set()
    read: list[int] = []
    until = time.monotonic() + REBALANCE_S  # for all of them together
    for partition in range(streams.partitions):
        told = None if asker is None else _told(conf, streams, partition, asker, until)
        if told is None:
            read.append(partition)
        else:
            workers.add(told[0])
            counted.update(told[1])
    if read:
        for each in documents.documents(conf, streams, read, progress):
            counted.update(places(each.stored))
    return Counted(counted, tuple(sorted(workers)), tuple(read))


def _told(conf: Mapping[str, Any], streams: Streams, partition: int, asker: Asker, until: float) -> tuple[str, Standing] | None:
    """Give what the owner counts, None where it cannot be asked, or the partition goes elsewhere while it counts."""
    counted: Standing = Counter()
    after, first = "", ""
    while True:
        try:
            asked = Question(COUNT, {"partition": partition, "after": after}, until if not after else 1.0)
            told = ask_owner(conf, streams, partition, asker, asked)
        except (WorkerRefuses, NotAllowed, Unreachable):  # not with this token, or nobody says who has it
            return None
        if told is None or first not in ("", told[0]):
            return None
        first, said = told
        for journey, version, state, step, number in said["counts"]:
            counted[journey, version, state, step] += number
        after = said["after"]
        if not after:
            return first, counted

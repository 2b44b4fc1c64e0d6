"""`orchestrator status` for people: one screen of 80 columns. Partitions are listed where something is the matter with them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.operate.sight.standing import PartitionStanding, Standing, WorkerStanding

_WIDTH: Final = 80
LISTED: Final = 12  # troubled partitions at most
Row = tuple[str, ...]
WORKER_HEAD: Final = ("WORKER", "ADDRESS", "PARTITIONS", "READY", "LAG", "TIMERS", "OVERDUE", "STORE")
PARTITION_HEAD: Final = ("PARTITION", "WORKER", "LAG", "WHAT IS THE MATTER")


def headline(found: Standing) -> Iterator[str]:
    """Give what stands above the tables."""
    owned = sum(bool(each.worker) for each in found.partitions)
    lag = [each.lag for each in found.partitions if each.lag is not None]
    count = len(found.workers)
    yield f"{found.app}: {found.state.lower().replace('_', ' ')}, {count} worker{'s' * (count != 1)}, " + (
        f"{owned} of {len(found.partitions)} partitions owned, lag {sum(lag):,}"
    )
    if len(found.programs) > 1:
        yield f"The workers run {len(found.programs)} different programs: {', '.join(found.programs)}"
    if found.journeys:
        yield from _wrapped("Journeys: ", found.journeys)


def tail(found: Standing) -> Iterator[str]:
    """Give what stands below the tables."""
    if found.incidents:
        yield from _wrapped(
            "Incidents since the workers began: ", [f"{reason} {n:,}" for reason, n in sorted(found.incidents.items())]
        )
    if found.parked_now is not None:
        yield from _wrapped("Parked: ", [f"{where} {n:,}" for where, n in found.parked_now.items()] or ["nobody"])
    elif found.parked:
        yield f"Of these {found.parked:,} may have left an instance parked: see with --parked"
    if found.parked_now:
        yield "  next: orchestrator parked list"
    waiting = [f"{n} of {each.worker}" for each in found.workers if (n := each.says.get("awaiting_registry"))]
    if waiting:
        yield from _wrapped("Partitions that wait for the schema registry: ", waiting)
    silent = [f"{each.worker} {each.silent}" for each in found.workers if each.silent]
    if silent:
        yield from _wrapped("Unknown: ", silent)
    if any("token" in each.silent for each in found.workers):
        yield "  next: name the file with your token: --set http_token_file=FILE"
    stopped = [str(each.partition) for each in found.partitions if each.stopped_at]
    if stopped:
        yield "  next: see why with: orchestrator incidents list"
        yield from textwrap.wrap(
            f"  then: orchestrator partitions resume {' '.join(stopped)} --execute", _WIDTH, subsequent_indent="    "
        )


def worker_rows(found: Standing) -> Iterator[Row]:
    """Give a row for each worker."""
    for worker in found.workers:
        parts = [each for each in found.partitions if each.partition in worker.partitions]
        ready = "yes" if worker.says.get("ready") else "no" if worker.says else "?"
        yield (
            worker.worker, worker.address or "-", _ranges(worker.partitions), ready, _sum(each.lag for each in parts),
            _sum(each.timers for each in parts), _sum(each.overdue for each in parts), _bytes(worker, parts),
        )  # fmt: skip


def partition_rows(found: Standing) -> list[Row]:
    """Give a row for each partition with which something is the matter."""
    rows: list[Row] = [
        (str(each.partition), each.worker or "-", _sum([each.lag]), matter)
        for each in found.partitions
        if (matter := _matter(each))
    ]
    more = len(rows) - LISTED
    return rows if more <= 0 else [*rows[:LISTED], ("...", "", "", f"and {more} more: --json has all")]


def _matter(part: PartitionStanding) -> str:
    found = [
        "" if part.worker else "nobody has it",
        f"restoring, {part.restoring:,} offsets to go" if part.restoring else "",
        f"{part.overdue:,} customer{'s' * (part.overdue != 1)} overdue" if part.overdue else "",
        f"stopped before {part.stopped_at}" if part.stopped_at else "",  # last: the topic's name may be cut off
    ]
    return "; ".join(filter(None, found))


def _ranges(numbers: tuple[int, ...]) -> str:
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    return ",".join("-".join(map(str, each)) for each in found) or "none"


def _sum(values: Iterable[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known):,}" if known else "?"


def _bytes(worker: WorkerStanding, parts: list[PartitionStanding]) -> str:
    known = [each.store_bytes for each in parts if each.store_bytes is not None]
    return f"{sum(known) / 1e6:,.1f} MB" if known and worker.says else "?"


def _wrapped(label: str, words: Iterable[str]) -> list[str]:
    return textwrap.wrap(label + ", ".join(words), _WIDTH, subsequent_indent="  ")

"""Journeys as they are live: their versions, who stands on them, pausing, resuming, entries to an earlier version."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.contact import PAUSED
from orchestrator.errors import NotPublishable
from orchestrator.language.model import Topology
from orchestrator.language.problems import nearest
from orchestrator.operate.documents import Found
from orchestrator.operate.operations import Answer, Desk, Request
from orchestrator.operate.publishing.plan import Live
from orchestrator.operate.sight.counting import Standing
from orchestrator.wire.programs import Freeze, Revision

NOTHING_LIVE: Final = "nothing was ever published: workers run the journeys of their own folders"


class Version(Struct, frozen=True):
    """One version of a journey. `status` says whether it takes entries: entries, paused (it does, its actions wait), earlier."""

    journey: str
    version: int
    status: str
    instances: int


def versions(topology: Topology, paused: Iterable[str], stand: Standing) -> list[Version]:
    """Give every version that is live or that instances stand on, the newest of a journey first."""
    entered = {each.id: each.version for each in topology.journeys}
    counted: dict[tuple[str, int], int] = {(each.id, each.version): 0 for each in (*topology.journeys, *topology.earlier)}
    for (journey, version, _, _), count in stand.items():
        counted[journey, version] = counted.get((journey, version), 0) + count
    stopped = frozenset(paused)
    return [
        Version(journey, version, _status(journey, version, entered, stopped), count)
        for (journey, version), count in sorted(counted.items(), key=lambda each: (each[0][0], -each[0][1]))
    ]


def _status(journey: str, version: int, entered: Mapping[str, int], paused: frozenset[str]) -> str:
    if entered.get(journey) != version:
        return "earlier"
    return "paused" if journey in paused else "entries"


def published(live: Live) -> Revision:
    """Give the live revision. Raises NotPublishable where nothing was ever published."""
    if live.program is None:
        raise NotPublishable(NOTHING_LIVE, next_step="orchestrator apply publishes a folder")
    return live.program.revision


def paused(live: Live, journey: str, freezes_at: int = 0) -> Revision:
    """Give the revision that pauses a journey; from `freezes_at`, ms UTC, its timers stand still, 0 for that they run.

    Raises NotPublishable where it is not live, or paused already.
    """
    revision = _of(live, journey)
    if journey in revision.paused:
        raise NotPublishable(f"{journey!r} is paused already", next_step="orchestrator journeys resume")
    freezes = (*revision.freezes, Freeze(journey, freezes_at)) if freezes_at else revision.freezes
    return replace(revision, paused=tuple(sorted((*revision.paused, journey))), freezes=freezes)


def resumed(live: Live, journey: str, at: int) -> Revision | None:
    """Give the revision that ends a journey's pause at an instant, ms UTC; timers that stood still run from then on.

    None where it is not paused: then only what still waits is let go.
    """
    revision = _of(live, journey)
    if journey not in revision.paused:
        return None
    freezes = tuple(
        replace(each, until=max(at, each.since + 1)) if each.journey == journey and not each.until else each
        for each in revision.freezes
    )
    return replace(revision, paused=tuple(each for each in revision.paused if each != journey), freezes=freezes)


def rolled_back(live: Live, journey: str, version: int | None) -> Revision:
    """Give the revision in which an earlier version takes the entries, by default the one before (rule V5).

    Raises NotPublishable where there is no such version.
    """
    revision = _of(live, journey)
    assert live.program is not None
    topology = live.program.topology
    entered = next((each.version for each in topology.journeys if each.id == journey), None)
    known = sorted(each.version for each in (*topology.journeys, *topology.earlier) if each.id == journey)
    to = version if version is not None else max((each for each in known if entered is not None and each < entered), default=None)
    if to is None or to not in known or to == entered or entered is None:
        listed = ", ".join(map(str, known))
        raise NotPublishable(
            f"{journey!r} takes entries with version {entered or 'none'}, and has no other one to roll back to: {listed}",
            next_step="orchestrator journeys list",
        )
    others = {name: number for name, number in revision.entries.items() if name != journey}
    return replace(revision, entries=others if to == known[-1] else others | {journey: to})


def _of(live: Live, journey: str) -> Revision:
    revision = published(live)
    assert live.program is not None
    known = {each.id for each in (*live.program.topology.journeys, *live.program.topology.earlier)}
    if journey not in known:
        near = nearest(journey, known)
        advice = f"did you mean {near}?" if near else "orchestrator journeys list"
        raise NotPublishable(f"no journey {journey!r} is live", next_step=advice)
    return revision


def waiting(found: Iterable[Found], journey: str) -> Iterator[str]:
    """Give the customers for whom something waits because a journey is paused, or was: an action, or a clock that stands."""
    for each in found:
        document = each.document()
        held = () if document.contact is None else document.contact.held
        is_held = any(one.reason == PAUSED and one.action.journey == journey for one in held)
        if is_held or any(one.stopped and one.journey == journey for one in document.instances):
            yield each.customer


def ask_slowly(
    desk: Desk, customers: Sequence[str], what: Request, pace: tuple[int, float], progress: Callable[[int], None]
) -> list[Answer]:
    """Ask the same for each customer, so many a second: to let go what waits (rule V6), to take over who stands on a step (V2).

    `pace` is that rate, and how long to wait for a worker. Each customer is a request on the operators' topic: ordered, audited
    and replayed like any record, and harmless to repeat. Blocks; the answers end where one stayed out.
    """
    rate, wait_s = pace
    answers: list[Answer] = []
    for start in range(0, len(customers), rate):
        began = time.monotonic()
        now = time.time_ns() // 1_000_000
        batch = customers[start : start + rate]
        answers += desk.ask([replace(what, customer=each, at=now, id=str(uuid.uuid4())) for each in batch], wait_s)
        progress(len(answers))
        if len(answers) < start + len(batch) or any(each.decided is None for each in answers[start:]):
            break
        if start + rate < len(customers):
            time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
    return answers

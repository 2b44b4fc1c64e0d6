"""Erasing a customer: what would go and what would stay, and a receipt that names both (rule F1).

The erasure itself is the engine's, asked for like anything else that operators ask for. What is done here is to look: where the
tombstones stand, and which records of the customer stay in topics until their retention lets go of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import Unreachable
from orchestrator.language.model import Streams, Topology
from orchestrator.operate import documents
from orchestrator.operate.keeping import Kept, kept, named, purposes
from orchestrator.operate.operations import Answer
from orchestrator.operate.rehearsal import Standing

_SETTLED_S: Final = 30.0


class Incidents(Struct, frozen=True):
    """The incidents that carry records of a customer: how many, and the offset after the newest."""

    count: int = 0
    next_offset: int = 0


class Extent(Struct, frozen=True):
    """What an erasure is about. `ids` are all of the person; `documents` those of them that have a document."""

    ids: tuple[str, ...]
    documents: tuple[str, ...]
    partition: int
    incidents: Incidents
    left: tuple[Kept, ...]


def extent(
    conf: Mapping[str, Any], topology: Topology, found: Standing, progress: documents.Progress = lambda done, total: None
) -> Extent:
    """Look through the incidents and ask for retentions. Blocks; raises as `documents.read` does."""
    merged = found.document.merged
    ids = tuple(dict.fromkeys((*found.ids, *(merged.ids if merged is not None else ()))))
    number = found.copy.number
    held = tuple(each for each in ids if (customer := found.copy.customer(each)) is not None and customer.stored is not None)
    incidents = _incidents(conf, topology.streams, number, ids, progress)
    return Extent(ids, held, number, incidents, tuple(kept(conf, purposes(topology))))


def _incidents(
    conf: Mapping[str, Any], streams: Streams, number: int, ids: Collection[str], progress: documents.Progress
) -> Incidents:
    keys = {each.encode() for each in ids}
    bounds = documents.ranges(conf, streams.incidents, [number])
    offsets: list[int] = []
    for message in documents.read(conf, streams.incidents, bounds, progress):
        if message.key() in keys and message.value() is not None:
            offsets.append(message.offset())
    return Incidents(len(offsets), offsets[-1] + 1 if offsets else 0)


def changelog_end(conf: Mapping[str, Any], streams: Streams, number: int) -> int:
    """Give where the changelog's partition ends, for `tombstones`."""
    return documents.ranges(conf, streams.changelog, [number])[number][1]


def tombstones(conf: Mapping[str, Any], streams: Streams, of: Extent, since: int) -> dict[str, int]:
    """Give the offset of the tombstone of each document that was there, once all can be read. Blocks; raises Unreachable."""
    wanted, deadline = {each.encode(): each for each in of.documents}, time.monotonic() + _SETTLED_S
    while True:
        _, end = documents.ranges(conf, streams.changelog, [of.partition])[of.partition]
        found: dict[str, int] = {}
        for message in documents.read(conf, streams.changelog, {of.partition: (since, end)}):
            if message.key() in wanted and message.value() is None:
                found[wanted[message.key()]] = message.offset()
        if len(found) == len(wanted):
            return found
        if time.monotonic() > deadline:
            raise Unreachable(
                "the tombstones of the erasure cannot be read yet",
                where=f"{streams.changelog}/{of.partition}",
                next_step="look for a hanging transaction (kafka-transactions.sh find-hanging), then ask again: it does no harm",
            )
        time.sleep(0.2)


def bury_incidents(conf: Mapping[str, Any], streams: Streams, of: Extent) -> bool:
    """Where the incidents' topic is compacted, have compaction remove the customer's; tell whether it is. Blocks."""
    if not named(of.left, streams.incidents).is_compacted:
        return False
    client = kafka.producer({**conf, "enable.idempotence": True})
    failed: list[Any] = []
    for each in of.ids:
        client.produce(
            streams.incidents,
            None,
            each.encode(),
            of.partition,
            on_delivery=lambda error, _: failed.extend([error] * bool(error)),
        )
    if client.flush(_SETTLED_S) or failed:
        raise Unreachable("the tombstones of the incidents were not written", where=streams.incidents, next_step="ask again")
    return True


def left(topology: Topology, of: Extent, *, is_buried: bool = False) -> list[dict[str, Any]]:
    """Say topic by topic what stays, and for how long."""
    return [
        {"topic": each.topic, "what": each.what, "stays": _stays(each, of, topology.streams, is_buried=is_buried)}
        for each in of.left
    ]


def _stays(topic: Kept, of: Extent, streams: Streams, *, is_buried: bool) -> str:
    if topic.topic != streams.incidents:
        return topic.stays
    if not of.incidents.count:
        return "none there"
    where = f"{of.incidents.count} of this customer, before offset {of.incidents.next_offset} of partition {of.partition}"
    return f"{where}: {'tombstones written, until compacted' if is_buried else topic.stays}"


def receipt(topology: Topology, of: Extent, answer: Answer, graves: Mapping[str, int], *, is_buried: bool) -> dict[str, Any]:
    """Give the receipt: what was asked and where it stands, what went, where from, and what stays."""
    streams, decided = topology.streams, answer.decided or (of.partition, -1)
    said: dict[str, str] = next((each["detail"] for each in answer.decisions if each["kind"] == "erased"), {})
    return {
        "customer": of.ids[0],
        "ids": list(of.ids),
        "requested": f"{streams.operations}/{answer.place[0]}/{answer.place[1]}",
        "requested_by": answer.request.requested_by,
        "reason": answer.request.reason,
        "decided": f"{streams.transitions}/{decided[0]}/{decided[1]}",
        "went": {name: said[name] for name in ("instances", "held_cancelled", "cancels_asked", "other_ids") if name in said},
        "tombstones": {each: f"{streams.changelog}/{of.partition}/{offset}" for each, offset in graves.items()},
        "local_store": f"partition {of.partition} of its worker, in the same cycle",
        "left": left(topology, of, is_buried=is_buried),
    }

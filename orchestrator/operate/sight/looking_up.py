"""Finding a customer's document: its owner is asked over HTTP; where nobody answers, the changelog is read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.engine.portrait import portrait
from orchestrator.errors import Unreachable
from orchestrator.language.model import Streams
from orchestrator.operate.documents import Progress
from orchestrator.operate.sight.asking import Asker
from orchestrator.operate.sight.customer_log import partition_of, stored_document
from orchestrator.operate.sight.owners import group_of
from orchestrator.stream.desk import INSPECT, REVEAL

REBALANCE_S: Final = 10.0  # how long an owner is looked for while a rebalance may be going on
_PAUSE_S: Final = 0.5
MOVING: Final = frozenset({"PREPARING_REBALANCING", "COMPLETING_REBALANCING"})


class Document(Struct, frozen=True):
    """A customer's document as `portrait` gives it, None where there is none; and who said so."""

    value: dict[str, Any] | None
    source: str


def document_of(
    conf: Mapping[str, Any], streams: Streams, customer: str, asker: Asker | None, progress: Progress, *, reveal: bool = False
) -> Document:
    """Ask the owner, or with `asker` None read Kafka at once. Blocks; raises Unreachable, WorkerRefuses, TopicMismatch."""
    told = None if asker is None else _told_by_owner(conf, streams, customer, asker, reveal=reveal)
    if told is not None:
        return told
    stored = stored_document(conf, streams, customer, progress)
    where = f"{streams.changelog}/{partition_of(customer, streams)}"
    return Document(None if stored is None else portrait(stored, reveal=reveal), where)


def _told_by_owner(conf: Mapping[str, Any], streams: Streams, customer: str, asker: Asker, *, reveal: bool) -> Document | None:
    """Give what the owner says, None where nobody serves. In a rebalance there is none for a while, or it says that it is not."""
    deadline = time.monotonic() + REBALANCE_S
    while True:
        group = group_of(conf, streams.app)
        owner = group.owner_of(partition_of(customer, streams))
        if owner is not None and owner.address:
            try:
                said = asker.ask(owner.address, REVEAL if reveal else INSPECT, {"customer": customer})
                return Document(said["document"], f"worker {owner.worker}")
            except Unreachable:
                if time.monotonic() > deadline:
                    return None
        elif group.state not in MOVING or time.monotonic() > deadline:
            return None
        time.sleep(_PAUSE_S)

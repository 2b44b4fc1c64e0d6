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
    asked = Question(REVEAL if reveal else INSPECT, {"customer": customer})
    told = ask_owner(conf, streams, partition_of(customer, streams), asker, asked)
    return None if told is None else Document(told[1]["document"], f"worker {told[0]}")


class Question(Struct, frozen=True):
    """What is asked of an owner, and until when it is looked for: on `time.monotonic`, 0 for ten seconds from now."""

    path: str
    body: Mapping[str, Any]
    until: float = 0.0


def ask_owner(
    conf: Mapping[str, Any], streams: Streams, partition: int, asker: Asker, question: Question
) -> tuple[str, dict[str, Any]] | None:
    """Give the worker that has a partition, and what it says; None where nobody serves. Blocks; raises WorkerRefuses.

    In a rebalance there is no owner for a while, or it says that it is none.
    """
    deadline = question.until or time.monotonic() + REBALANCE_S
    while True:
        group = group_of(conf, streams.app)
        owner = group.owner_of(partition)
        if owner is not None and owner.address:
            try:
                return owner.worker, asker.ask(owner.address, question.path, question.body)
            except Unreachable:
                if time.monotonic() > deadline:
                    return None
        elif group.state not in MOVING or time.monotonic() > deadline:
            return None
        time.sleep(_PAUSE_S)

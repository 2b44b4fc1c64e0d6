"""Making a revision live: one transaction on the definitions topic, by one publisher at a time.

init_transactions ──► fences any other publisher of the app, ends what it left open
read the topic    ──► is the latest revision still the one that was planned on? else StalePlan
files + revision  ──► one transaction; a publisher that was fenced meanwhile cannot commit
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaException
from msgspec import Struct
from msgspec.structs import replace

from orchestrator import kafka
from orchestrator.errors import NotPublishable, StalePlan, Unreachable
from orchestrator.language.model import Streams
from orchestrator.operate.publishing.composing import Target
from orchestrator.operate.publishing.definitions import read_board
from orchestrator.wire.programs import Revision, digest_of, encode_file, encode_revision

_TIMEOUT_S: Final = 30.0
_MOST_BYTES: Final = 900_000  # of one file: a record is at most a million with its key and headers


class Author(Struct, frozen=True):
    """Who publishes, and why."""

    by: str
    reason: str = ""


def revision_for(target: Target, base: Revision | None, app: str) -> Revision:
    """Give the revision that makes a target live after `base`; what is paused stays so."""
    made = Revision(app, 0, digest_of(target.files), target.files, dict(target.entries))
    return made if base is None else replace(made, paused=base.paused, freezes=base.freezes)


def publish(
    conf: Mapping[str, Any], streams: Streams, base: int, revision: Revision, author: Author, contents: Mapping[str, bytes] = {}
) -> Revision:
    """Publish a revision after `base`, the number of the one that is live; gives it as it stands. Blocks.

    `contents` are those of its files that may not be there yet. Raises StalePlan, NotPublishable, Unreachable, NotAllowed.
    """
    large = [file.name for file in revision.files if len(contents.get(file.sha256, b"")) > _MOST_BYTES]
    if large:
        raise NotPublishable(f"{large[0]} has more than {_MOST_BYTES:,} bytes", next_step="split it up")
    client = kafka.producer({**conf, "transactional.id": f"{streams.app}-publish"})
    try:
        client.init_transactions(_TIMEOUT_S)
        board = read_board(conf, streams)
        found = 0 if board.latest is None else board.latest.number
        if found != base:
            raise StalePlan(
                f"revision {found} is live, and this was planned on {base or 'none'}",
                where=streams.definitions,
                next_step="orchestrator plan shows what is left to do",
            )
        made = replace(revision, number=base + 1, by=author.by, reason=author.reason, at=time.time_ns() // 1_000_000)
        client.begin_transaction()
        for content in (content for sha256, content in contents.items() if sha256 not in board.contents):
            _produce(client, streams, encode_file(streams.app, content))
        _produce(client, streams, encode_revision(made))
        client.commit_transaction(_TIMEOUT_S)
    except KafkaException as error:
        raise _failure(error, streams) from error
    return made


def _produce(client: Any, streams: Streams, record: tuple[bytes, bytes]) -> None:
    key, value = record
    client.produce(streams.definitions, value, key, 0)


def _failure(error: KafkaException, streams: Streams) -> Exception:
    found = error.args[0]
    if found.code() in kafka.NOT_ALLOWED:
        return kafka.not_allowed(found, f"the topic {streams.definitions}, or the transactional id {streams.app}-publish")
    if found.fatal():
        return StalePlan("somebody else publishes right now", where=streams.definitions, next_step="orchestrator plan")
    return Unreachable(
        f"Kafka did not take it: {found.str()}",
        where=streams.definitions,
        next_step="orchestrator journeys list shows whether it is live; to apply it again does no harm",
    )

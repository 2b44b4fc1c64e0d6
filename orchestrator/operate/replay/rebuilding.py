"""Rebuilding: the state that a replay came to takes the place of what the changelog has (rule R2).

A replay reaches the state without acting. What the changelog has otherwise is then written to it, a transaction a partition, with
the word on the definitions topic that makes workers rebuild their stores of that partition from it, and a record of who did it.
Positions stay as they are, so workers go on behind the last cycle and send nothing again.

Nothing is noted of how far it got: what is left to do is what still differs. So it may be ended anywhere and done again. That no
worker has begun meanwhile is asked last, with everything written and not yet committed. A worker that begins later waits for
the end of that transaction before it takes the changelog for whole; one that began before is seen in the group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import HistoryGone, RefusedByState, Unreachable
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.operate.replay import snapshot
from orchestrator.operate.replay.snapshot import Snapshot
from orchestrator.operate.sight.owners import group_of
from orchestrator.stream import positions
from orchestrator.stream.commit import ENOUGH_BYTES
from orchestrator.stream.failpoints import Failpoint, reach
from orchestrator.wire.acts import REBUILT, OperatorAct, encode_operator_act
from orchestrator.wire.stops import encode_rebuilt

_TIMEOUT_S: Final = 30.0
_TRANSACTION_MS: Final = 40_000  # a worker that starts after this process was killed waits for it, a minute at most
_IDLE: Final = ("EMPTY", "DEAD")  # of a group without members, and of one that never was

Progress = documents.Progress


class Change(Struct, frozen=True, gc=False):
    """A document that the changelog has otherwise. None deletes it."""

    key: bytes
    stored: bytes | None


class Planned(Struct, frozen=True):
    """What is to be done to one partition. `cycle` is the last one, whose state it gets."""

    partition: int
    cycle: int
    same: int
    changed: int
    added: int
    removed: int

    @property
    def total(self) -> int:
        """How many documents are to be written."""
        return self.changed + self.added + self.removed


class Author(Struct, frozen=True):
    """Who rebuilds, and why."""

    by: str
    reason: str


class Rebuilding:
    """The rebuilding of some partitions of an app, after `replay` was asked for their state in `folder`. Blocks."""

    def __init__(self, conf: Mapping[str, Any], streams: Streams, folder: Path) -> None:
        self._conf, self._streams, self._folder = conf, streams, folder

    def check_idle(self) -> None:
        """Raise RefusedByState while the group has members, Unreachable where nobody tells."""
        group = group_of(self._conf, self._streams.app)
        if group.owners or group.state not in _IDLE:
            raise RefusedByState(
                f"the group is active: {len(group.owners)} workers, {group.state.lower()}",
                where=self._streams.app,
                next_step="stop all workers; each counts until its session has timed out, some 10 s; then do it again",
            )

    def plan(self, partitions: Sequence[int], progress: Progress) -> Iterator[Planned]:
        """Tell what would be written, partition by partition. Raises RefusedByState, HistoryGone, Unreachable, TopicMismatch."""
        for number in partitions:
            reached = self._reached(number)
            yield self._changes(number, reached, progress)[1]

    def execute(self, partitions: Sequence[int], author: Author, progress: Callable[[int, int], None]) -> Iterator[Planned]:
        """Do it, and give each partition once it is done; `progress` hears of documents. Raises as `plan` does.

        What was given stays; doing it again does the rest.
        """
        documents.ranges(self._conf, self._streams.audit, [0])  # it must be there
        producer = self._opened()
        for number in partitions:
            reached = self._reached(number)
            changes, counted = self._changes(number, reached, lambda done, total: None)
            try:
                self._write(producer, counted, changes, author, progress)
                self._check_still(number, reached)
                self.check_idle()
                reach(Failpoint.OFFSETS_SENT)
                _do(lambda: producer.commit_transaction(_TIMEOUT_S))
            except BaseException:
                _abort(producer)
                raise
            reach(Failpoint.COMMITTED)
            yield counted

    def _opened(self) -> Any:
        own = {
            "transactional.id": f"{self._streams.app}-rebuild", "transaction.timeout.ms": _TRANSACTION_MS,
            "message.max.bytes": ENOUGH_BYTES, "compression.type": "lz4",
        }  # fmt: skip
        producer = kafka.producer({**self._conf, **own})
        _do(lambda: producer.init_transactions(_TIMEOUT_S))  # ends what a killed one left open
        return producer

    def _reached(self, number: int) -> Snapshot:
        found = snapshot.read(self._folder / f"partition-{number}" / snapshot.STATE)
        self._check_still(number, found)
        return found

    def _check_still(self, number: int, reached: Snapshot) -> None:
        """Hold the replay's last cycle against what Kafka has. Raises RefusedByState where it is not the same."""
        now = positions.last_cycle(self._conf, self._streams, self._streams.sources, number)
        if (now.cycle, now.chain) != (reached.cycle, reached.chain) if now else reached.cycle:
            raise RefusedByState(
                f"the replay came to cycle {reached.cycle} of partition {number}, workers to {now.cycle if now else 'none'}",
                where=str(self._folder),
                next_step="remove the folder, or name another one with --out, and begin anew",
            )

    def _changes(self, number: int, reached: Snapshot, progress: Progress) -> tuple[list[Change], Planned]:
        """Hold the state against the changelog. Raises HistoryGone where there is state and no journal that it came from."""
        found = documents.partition(self._conf, self._streams, number, progress)
        if found and not reached.cycle:
            raise HistoryGone(
                f"the changelog has {len(found)} documents, the journal nothing: there is nothing to rebuild from",
                where=f"{self._streams.journal}/{number}",
                next_step="leave this partition out, or bring the journal back",
            )
        wanted = {name.encode(): stored for name, stored in reached.documents.items()}
        changed = [Change(key, stored) for key, stored in wanted.items() if key in found and found[key] != stored]
        added = [Change(key, stored) for key, stored in wanted.items() if key not in found]
        removed = [Change(key, None) for key in found if key not in wanted]
        same = len(wanted) - len(changed) - len(added)
        counted = Planned(number, reached.cycle, same, len(changed), len(added), len(removed))
        return [*changed, *added, *removed], counted

    def _write(
        self, producer: Any, counted: Planned, changes: Sequence[Change], author: Author, progress: Callable[[int, int], None]
    ) -> None:
        """Put everything into a transaction and wait until brokers have it, short of the commit."""
        streams, number = self._streams, counted.partition
        at = time.time_ns() // 1_000_000
        _do(producer.begin_transaction)
        for done, change in enumerate(changes):
            _produce(producer, streams.changelog, number, (change.key, change.stored))
            if done % 1_000 == 0:
                progress(done, len(changes))
            if done == len(changes) // 2:
                reach(Failpoint.HALF_PRODUCED)
        _produce(producer, streams.definitions, 0, encode_rebuilt(streams.app, number, at))
        counts = {name: str(getattr(counted, name)) for name in ("cycle", "same", "changed", "added", "removed")}
        act = OperatorAct(streams.app, REBUILT, f"partition {number}", at, author.by, author.reason, counts)
        _produce(producer, streams.audit, 0, encode_operator_act(act))
        if producer.flush(_TIMEOUT_S):
            raise Unreachable("Kafka has not taken all documents in time", next_step="check the cluster, and do it again")
        progress(len(changes), len(changes))
        reach(Failpoint.ALL_PRODUCED)


def _produce(producer: Any, topic: str, partition: int, record: tuple[bytes, bytes | None]) -> None:
    key, value = record
    while True:
        try:
            _do(lambda: producer.produce(topic, value, key, partition))
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _abort(producer: Any) -> None:
    """End the transaction; where even that fails, the next one to open does it."""
    try:
        producer.abort_transaction(_TIMEOUT_S)
    except KafkaException:
        return


def _do(call: Callable[[], object]) -> None:
    try:
        call()
    except KafkaException as error:
        why = error.args[0]
        if why.code() in kafka.NOT_ALLOWED:
            raise kafka.not_allowed(why, "the changelog, the definitions, the audit topic, or the transactional id") from error
        if why.fatal():
            raise RefusedByState(
                "another process rebuilds this app, or the transaction took too long", next_step="let it end, then do it again"
            ) from None
        raise Unreachable(
            f"Kafka did not take it: {why.str()}", next_step="check the cluster, and do it again: it goes on from there"
        ) from None

"""One partition from the beginning of its journal to the end of the window: the shadow, its files, the comparison.

It can be stopped after any cycle: everything that it knows is then kept in the folder, and the same call goes on from there.
"""

from __future__ import annotations

import fcntl
import gc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct, field

from orchestrator.engine.handling import Handling
from orchestrator.errors import HistoryGone
from orchestrator.names import Reason
from orchestrator.operate.replay import snapshot
from orchestrator.operate.replay.comparing import Cycles, Difference, Unmatched, comparisons
from orchestrator.operate.replay.logs import Log, Topics
from orchestrator.operate.replay.programs import Programs
from orchestrator.operate.replay.shadow import Shadow
from orchestrator.operate.replay.shadow_topic import ShadowTopic
from orchestrator.operate.replay.snapshot import Reached, Snapshot
from orchestrator.operate.replay.state import State
from orchestrator.operate.replay.window import Window
from orchestrator.operate.virtual_run import action_lines, decision_lines, write_lines
from orchestrator.structs import resolved
from orchestrator.wire.incidents import Place, deadly_record, refused_record
from orchestrator.wire.journal import JournalRecord, chain_of, decode_journal

CHECKPOINT: Final = "checkpoint"
DECISIONS: Final = "decisions.jsonl"
ACTIONS: Final = "actions.jsonl"
_LOCK: Final = ".lock"


class Order(Struct, frozen=True):
    """What to replay of one partition. `bounds` are those of each topic's log, `partitions` how many the app's topics have.

    With `is_for_state` the state that it comes to is kept in the folder, and no lines of decisions and actions. `snapshots` is a
    folder of states to begin with, which gets more, so many at most; `to_topic` is where all that the window has is written, too.
    """

    partition: int
    partitions: int
    topics: Topics
    bounds: Mapping[str, tuple[int, int]]
    window: Window
    folder: Path
    client: Mapping[str, Any]
    is_for_state: bool = False
    snapshots: Path | None = None
    to_topic: str = ""
    most_snapshots: int = snapshot.KEPT


class Outcome(Struct):
    """What came of a partition so far. `gone` outputs are older than what the log still has."""

    cycles: int = 0
    records: int = 0
    timers: int = 0
    shown_cycles: int = 0
    compared: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    miscounted: int = 0  # cycles of which the journal counts other decisions, actions or incidents than the log has
    differences: list[Difference] = field(default_factory=list)
    stood_in_for: list[str] = field(default_factory=list)
    began_after: int = 0  # the cycle of the snapshot that it began with
    is_finished: bool = False


@resolved
class Checkpoint(Struct):
    """All that a partition's replay knows after a cycle."""

    outcome: Outcome
    reached: Reached
    newest: int
    documents: dict[str, bytes]
    outputs: dict[str, int]
    unmatched: dict[str, Unmatched]
    differences: dict[str, list[Difference]]
    counts: dict[str, tuple[int, int]]
    cycles: Cycles
    deadly: list[Place]
    unknown: list[Place]
    file_sizes: dict[str, int]
    shadow_next: int = 0  # of the topic that is written


class Following:
    """The replay of one partition. Blocks; one thread at a time."""

    def __init__(self, order: Order, programs: Programs) -> None:
        order.folder.mkdir(parents=True, exist_ok=True)
        # A process whose parent was killed goes on to the end of its cycle, and keeps where it is: that is waited for.
        self._lock = (order.folder / _LOCK).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._order, self._programs = order, programs
        self._used: IO[bytes] | None = None  # the file of the snapshot that it began with
        kept = _kept(order.folder)
        self.outcome = kept.outcome if kept else Outcome()
        if self.outcome.is_finished:
            self._lock.close()
            return
        began = None if kept else self._nearest()
        self._reached = _reached_by(kept, began)
        self._cycles = kept.cycles if kept else Cycles()
        self._journal = self._log(order.topics.journal, self._reached.journal_next)
        self._sources = {topic: self._log(topic, self._reached.positions.get(topic)) for topic in order.topics.sources}
        read = kept.outputs if kept else began.outputs if began else {}
        outputs = {topic: self._log(topic, read.get(topic)) for topic in order.topics.outputs}
        self._comparisons = comparisons(outputs, order.topics, kept.unmatched if kept else {})
        for topic, comparison in self._comparisons.items() if kept else ():
            assert kept is not None
            comparison.differences = kept.differences[topic]
            comparison.compared, comparison.gone = kept.counts[topic]
        start = kept or began
        state = State(order.partition, order.partitions, start.documents if start else None)
        self.shadow = Shadow(state, self._take, start.newest if start else 0)
        deadly, unknown = (set(kept.deadly), set(kept.unknown)) if kept else self._refused_then()
        self.shadow.deadly, self.shadow.unknown = deadly | set(began.deadly if began else ()), unknown
        self._files = {name: _opened(order.folder / name, kept.file_sizes[name] if kept else 0) for name in (DECISIONS, ACTIONS)}
        self._shadow_topic = self._topic_to_write(kept.shadow_next if kept else 0)

    def _nearest(self) -> Snapshot | None:
        """Give the latest snapshot from before the window that is of this history, None where there is none."""
        order = self._order
        if order.snapshots is None:
            return None
        is_before = (lambda _: True) if order.is_for_state else order.window.begins_after
        for found in snapshot.kept(order.snapshots, order.topics.journal, order.partition):
            low, high = order.bounds[order.topics.journal]
            state = found.snapshot
            if is_before(state) and low <= state.journal_next <= high and self._is_followed(state):
                self.outcome.began_after = state.cycle
                self._used = snapshot.use(found)
                return state
            found.file.close()
        return None

    def _is_followed(self, found: Snapshot) -> bool:
        """Tell whether the journal goes on from a snapshot; where it ends there, nothing speaks against it."""
        log = self._log(self._order.topics.journal, found.journal_next)
        try:
            message = log.peek()
            record = None if message is None else decode_journal(message.value() or b"")
            return record is None or (record.cycle, record.previous) == (found.cycle + 1, found.chain)
        finally:
            log.close()

    def _topic_to_write(self, following: int) -> ShadowTopic | None:
        order = self._order
        return ShadowTopic(order.client, order.to_topic, order.partition, following) if order.to_topic else None

    def run(self, tell: Callable[[int], None], is_stopped: Callable[[], bool]) -> Outcome:
        """Follow the journal. `tell` hears how many source offsets lie behind; when `is_stopped`, all is kept for going on.

        Raises ProgramUnknown, HistoryGone, Unreachable.
        """
        if self.outcome.is_finished:
            return self.outcome
        gc.disable()  # a replay makes many objects and no cycles of references: looking for those takes a fifth of its time
        try:
            for record, reached in self._records():
                self._follow(record, reached)
                tell(sum(self._reached.positions.values()))
                if is_stopped():
                    self._keep()
                    return self.outcome
            self._finish()
        finally:
            gc.enable()
            self._close()
        return self.outcome

    def _log(self, topic: str, start: int | None = None) -> Log:
        return Log(self._order.client, (topic, self._order.partition), self._order.bounds[topic], start)

    def _take(self, topic: str, first: int, following: int) -> Iterator[Any]:
        log = self._sources.get(topic)
        if log is None:
            raise HistoryGone(
                f"the journal names {topic}, which streams.yaml does not",
                where=self._where(),
                next_step="name the topologies of then",
            )
        for message in log.take(first, following):
            self.outcome.records += 1
            yield message

    def _where(self) -> str:
        return f"{self._order.topics.journal}/{self._order.partition}, after cycle {self._reached.cycle}"

    def _refused_then(self) -> tuple[set[Place], set[Place]]:
        """Give the records of which the incidents say that they ended processes, and those whose schema nobody knew.

        No replay may touch the first; of the second the registry may know more by now.
        """
        deadly, unknown = set[Place](), set[Place]()
        log = self._log(self._order.topics.incidents)
        while (message := log.pop()) is not None:
            headers = message.headers() or []
            if (place := deadly_record(headers)) is not None:
                deadly.add(place)
            elif (place := refused_record(headers, Reason.UNKNOWN_SCHEMA)) is not None:
                unknown.add(place)
        log.close()
        return deadly, unknown

    def _records(self) -> Iterator[tuple[JournalRecord, Reached]]:
        """Give the journal's records that the window needs, each held against the one before it, and where each leads."""
        while (message := self._journal.pop()) is not None:
            at, reached = message.timestamp()[1], self._reached
            if self._order.window.is_past(reached.positions, at):
                return
            value = message.value() or b""
            record = decode_journal(value)
            if record.cycle != reached.cycle + 1 or record.previous != reached.chain:
                raise HistoryGone(
                    f"the journal goes from cycle {reached.cycle} to {record.cycle}: what the state was then is not known",
                    where=self._where(),
                    next_step="it begins with the first cycle or a snapshot: keep the whole journal (its cleanup.policy=delete)",
                )
            yield record, Reached(record.cycle, chain_of(value), at, self._journal.next, dict(record.sources))

    def _follow(self, record: JournalRecord, reached: Reached) -> None:
        at, outcome = reached.at, self.outcome
        program = self._programs.named(record.program, self._where())
        is_shown = self._order.window.covers(record, at)
        if is_shown and not outcome.shown_cycles:
            self._keep_snapshot()
        said, handlings = self.shadow.cycle(record, at, program)
        self._cycles.add(record, at, self._order.topics.sources, is_shown=is_shown)
        self._reached = reached
        outcome.cycles += 1
        outcome.timers += sum(run.first for run in record.runs if not run.topic)
        for each in said:
            self._comparisons[each.topic].expect(each, at, is_shown=is_shown)
        if is_shown:
            outcome.shown_cycles += 1
            outcome.miscounted += _counts(handlings, said, self._order.topics) != (
                record.decisions,
                record.actions,
                record.incidents,
            )
            if not self._order.is_for_state:
                self._write(handlings)
            if self._shadow_topic is not None:
                self._shadow_topic.send(said, at)

    def _write(self, handlings: list[Handling]) -> None:
        decisions, actions = self._files[DECISIONS], self._files[ACTIONS]
        for handling in handlings:
            write_lines(decisions, decision_lines(handling))
            write_lines(actions, action_lines(handling))

    def _finish(self) -> None:
        outcome = self.outcome
        self._keep_snapshot()
        for comparison in self._comparisons.values():
            comparison.finish(self._cycles)
            outcome.differences += comparison.differences
            outcome.compared[comparison.what] = outcome.compared.get(comparison.what, 0) + comparison.compared
            outcome.gone += comparison.gone
        outcome.stood_in_for = sorted(self._programs.stood_in_for)
        if self._order.is_for_state:
            snapshot.write(self._order.folder / snapshot.STATE, self._snapshot())
        outcome.is_finished = True
        self._keep()

    def _keep(self) -> None:
        """Write what is needed to go on from here. The file takes its name only when it is whole."""
        is_over = self.outcome.is_finished
        kept = Checkpoint(
            outcome=self.outcome,
            reached=self._reached,
            newest=self.shadow.newest,
            documents={} if is_over else self.shadow.state.documents,
            outputs={topic: each.log.next for topic, each in self._comparisons.items()},
            unmatched={} if is_over else {topic: each.unmatched for topic, each in self._comparisons.items()},
            differences={} if is_over else {topic: each.differences for topic, each in self._comparisons.items()},
            counts={topic: (each.compared, each.gone) for topic, each in self._comparisons.items()},
            cycles=Cycles() if is_over else self._cycles,
            deadly=sorted(self.shadow.deadly),
            unknown=sorted(self.shadow.unknown),
            file_sizes={name: _flushed(file) for name, file in self._files.items()},
            shadow_next=self._shadow_topic.flush() if self._shadow_topic is not None else 0,
        )
        part = self._order.folder / f".{CHECKPOINT}.part"
        part.write_bytes(msgspec.msgpack.encode(kept))
        part.replace(self._order.folder / CHECKPOINT)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            reached=self._reached,
            newest=self.shadow.newest,
            outputs={topic: each.log.next for topic, each in self._comparisons.items()},
            deadly=sorted(self.shadow.deadly),
            documents=self.shadow.state.documents,
        )

    def _keep_snapshot(self) -> None:
        """Keep the state for later replays, where the programs of then have run and the log has all of it and nothing else."""
        order, outcome = self._order, self.outcome
        is_of_then = not self._programs.stood_in_for and not outcome.miscounted
        if order.snapshots is None or not is_of_then or self._reached.cycle in (0, outcome.began_after):
            return
        if all(each.is_even for each in self._comparisons.values()):
            snapshot.keep(order.snapshots, order.topics.journal, order.partition, self._snapshot(), order.most_snapshots)

    def _close(self) -> None:
        for log in (self._journal, *self._sources.values(), *(each.log for each in self._comparisons.values())):
            log.close()
        for file in (*self._files.values(), self._lock, *([self._used] if self._used is not None else [])):
            file.close()


def _reached_by(kept: Checkpoint | None, began: Snapshot | None) -> Reached:
    start = kept or began
    return start.reached if start else Reached()


def _counts(handlings: list[Handling], said: list[Any], topics: Topics) -> tuple[int, int, int]:
    incidents = sum(each.topic == topics.incidents for each in said)
    return sum(len(each.decisions) for each in handlings), sum(len(each.actions) for each in handlings), incidents


def _kept(folder: Path) -> Checkpoint | None:
    path = folder / CHECKPOINT
    return msgspec.msgpack.decode(path.read_bytes(), type=Checkpoint) if path.is_file() else None


def _opened(path: Path, size: int) -> IO[bytes]:
    """Open a file to go on with after its first `size` bytes."""
    path.touch()
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _flushed(file: IO[bytes]) -> int:
    file.flush()
    return file.tell()

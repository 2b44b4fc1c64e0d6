"""One partition from the beginning of its journal to the end of the window: the shadow, its files, the comparison.

It can be stopped after any cycle: everything that it knows is then kept in the folder, and the same call goes on from there.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import orjson
from msgspec import Struct, field

from orchestrator.engine.handling import Handling
from orchestrator.errors import HistoryGone
from orchestrator.operate.replay.comparing import Cycles, Difference, Unmatched, comparisons
from orchestrator.operate.replay.logs import Log, Topics
from orchestrator.operate.replay.programs import Programs
from orchestrator.operate.replay.shadow import Shadow
from orchestrator.operate.replay.state import State
from orchestrator.operate.replay.window import Window
from orchestrator.operate.virtual_run import decision_lines
from orchestrator.wire.incidents import deadly_record
from orchestrator.wire.journal import JournalRecord, chain_of, decode_journal
from orchestrator.wire.lines import action_line

CHECKPOINT: Final = "checkpoint"
DECISIONS: Final = "decisions.jsonl"
ACTIONS: Final = "actions.jsonl"


class Order(Struct, frozen=True):
    """What to replay of one partition. `bounds` are those of each topic's log, `partitions` how many the app's topics have."""

    partition: int
    partitions: int
    topics: Topics
    bounds: Mapping[str, tuple[int, int]]
    window: Window
    folder: Path
    client: Mapping[str, Any]


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
    is_finished: bool = False


class Checkpoint(Struct):
    """All that a partition's replay knows after a cycle."""

    outcome: Outcome
    journal_next: int
    cycle: int
    chain: int
    newest: int
    positions: dict[str, int]
    documents: dict[str, bytes]
    outputs: dict[str, int]
    unmatched: dict[str, Unmatched]
    differences: dict[str, list[Difference]]
    counts: dict[str, tuple[int, int]]
    cycles: Cycles
    deadly: list[tuple[str, int, int]]
    file_sizes: dict[str, int]


class Following:
    """The replay of one partition. Blocks; one thread at a time."""

    def __init__(self, order: Order, programs: Programs) -> None:
        order.folder.mkdir(parents=True, exist_ok=True)
        self._order, self._programs = order, programs
        kept = _kept(order.folder)
        self.outcome = kept.outcome if kept else Outcome()
        if self.outcome.is_finished:
            return
        self._cycle, self._chain = (kept.cycle, kept.chain) if kept else (0, 0)
        self._positions = kept.positions if kept else {}
        self._cycles = kept.cycles if kept else Cycles()
        self._journal = self._log(order.topics.journal, kept.journal_next if kept else None)
        self._sources = {topic: self._log(topic, self._positions.get(topic)) for topic in order.topics.sources}
        outputs = {topic: self._log(topic, kept.outputs[topic] if kept else None) for topic in order.topics.outputs}
        self._comparisons = comparisons(outputs, order.topics, kept.unmatched if kept else {})
        for topic, comparison in self._comparisons.items() if kept else ():
            assert kept is not None
            comparison.differences = kept.differences[topic]
            comparison.compared, comparison.gone = kept.counts[topic]
        state = State(order.partition, order.partitions, kept.documents if kept else None)
        self.shadow = Shadow(state, self._take, kept.newest if kept else 0)
        self.shadow.deadly = set(kept.deadly) if kept else set(self._deadly())
        self._files = {name: _opened(order.folder / name, kept.file_sizes[name] if kept else 0) for name in (DECISIONS, ACTIONS)}

    def run(self, tell: Callable[[int], None], is_stopped: Callable[[], bool]) -> Outcome:
        """Follow the journal. `tell` hears how many source offsets lie behind; when `is_stopped`, all is kept for going on.

        Raises ProgramUnknown, HistoryGone, Unreachable.
        """
        if self.outcome.is_finished:
            return self.outcome
        gc.disable()  # a replay makes many objects and no cycles of references: looking for those takes a fifth of its time
        try:
            for record, at in self._records():
                self._follow(record, at)
                tell(sum(self._positions.values()))
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
        return f"{self._order.topics.journal}/{self._order.partition}, cycle {self._cycle}"

    def _deadly(self) -> Iterator[tuple[str, int, int]]:
        """Give the records of which the incidents say that they ended processes: no replay may touch these."""
        log = self._log(self._order.topics.incidents)
        while (message := log.pop()) is not None:
            if (found := deadly_record(message.headers() or [])) is not None:
                yield found
        log.close()

    def _records(self) -> Iterator[tuple[JournalRecord, int]]:
        """Give the journal's records that the window needs, each held against the one before it."""
        while (message := self._journal.pop()) is not None:
            at = message.timestamp()[1]
            if self._order.window.is_past(self._positions, at):
                return
            value = message.value() or b""
            record = decode_journal(value)
            if record.cycle != self._cycle + 1 or record.previous != self._chain:
                raise HistoryGone(
                    f"the journal goes from cycle {self._cycle} to {record.cycle}: what the state was then is not known",
                    where=self._where(),
                    next_step="replay begins with the first cycle: keep the whole journal (its cleanup.policy=delete)",
                )
            self._cycle, self._chain = record.cycle, chain_of(value)
            yield record, at

    def _follow(self, record: JournalRecord, at: int) -> None:
        program = self._programs.named(record.program, self._where())
        is_shown = self._order.window.covers(record, at)
        said, handlings = self.shadow.cycle(record, at, program)
        self._cycles.add(record, at, self._order.topics.sources, is_shown=is_shown)
        self._positions = dict(record.sources)
        outcome = self.outcome
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
            self._write(handlings)

    def _write(self, handlings: list[Handling]) -> None:
        decisions, actions = self._files[DECISIONS], self._files[ACTIONS]
        for handling in handlings:
            for line in decision_lines(handling) if handling.decisions else ():
                decisions.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            for action in handling.actions:
                actions.write(orjson.dumps(action_line(msgspec.to_builtins(action)), option=orjson.OPT_APPEND_NEWLINE))

    def _finish(self) -> None:
        outcome = self.outcome
        for comparison in self._comparisons.values():
            comparison.finish(self._cycles)
            outcome.differences += comparison.differences
            outcome.compared[comparison.what] = outcome.compared.get(comparison.what, 0) + comparison.compared
            outcome.gone += comparison.gone
        outcome.stood_in_for = sorted(self._programs.stood_in_for)
        outcome.is_finished = True
        self._keep()

    def _keep(self) -> None:
        """Write what is needed to go on from here. The file takes its name only when it is whole."""
        is_over = self.outcome.is_finished
        kept = Checkpoint(
            outcome=self.outcome,
            journal_next=self._journal.next,
            cycle=self._cycle,
            chain=self._chain,
            newest=self.shadow.newest,
            positions=self._positions,
            documents={} if is_over else self.shadow.state.documents,
            outputs={topic: each.log.next for topic, each in self._comparisons.items()},
            unmatched={} if is_over else {topic: each.unmatched for topic, each in self._comparisons.items()},
            differences={} if is_over else {topic: each.differences for topic, each in self._comparisons.items()},
            counts={topic: (each.compared, each.gone) for topic, each in self._comparisons.items()},
            cycles=Cycles() if is_over else self._cycles,
            deadly=sorted(self.shadow.deadly),
            file_sizes={name: _flushed(file) for name, file in self._files.items()},
        )
        part = self._order.folder / f".{CHECKPOINT}.part"
        part.write_bytes(msgspec.msgpack.encode(kept))
        part.replace(self._order.folder / CHECKPOINT)

    def _close(self) -> None:
        for log in (self._journal, *self._sources.values(), *(each.log for each in self._comparisons.values())):
            log.close()
        for file in self._files.values():
            file.close()


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

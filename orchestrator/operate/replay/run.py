"""A replay as a whole: what is asked, the folder that it works in, and what it came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct

from orchestrator.errors import FolderTaken, HistoryGone, UsageError
from orchestrator.operate.replay import logs
from orchestrator.operate.replay.comparing import Difference
from orchestrator.operate.replay.following import Order, Outcome
from orchestrator.operate.replay.processes import Basis, Tell, replay_all
from orchestrator.operate.replay.programs import Program
from orchestrator.operate.replay.shadow_topic import prepare
from orchestrator.operate.replay.snapshot import KEPT
from orchestrator.operate.replay.window import Window

DIFFERENCES: Final = "differences.jsonl"
_ASKED: Final = "replay.json"


class Asked(Struct, frozen=True):
    """What a replay is asked for: partitions, window, how many processes, where it writes, and whether it is for the state."""

    partitions: Sequence[int]
    window: Window
    jobs: int
    folder: Path
    is_for_state: bool = False
    snapshots: Path | None = None
    to_topic: str = ""
    most_snapshots: int = KEPT


class Result(Struct):
    """What a replay came to. Differences are in the order of partition and cycle."""

    outcomes: dict[int, Outcome]
    differences: list[Difference]

    def total(self, name: str) -> int:
        """Add up one figure of all partitions."""
        return sum(getattr(outcome, name) for outcome in self.outcomes.values())

    @property
    def compared(self) -> dict[str, int]:
        """How many records were compared, by what they are."""
        counted: Counter[str] = Counter()
        for outcome in self.outcomes.values():
            counted.update(outcome.compared)
        return dict(sorted(counted.items()))

    @property
    def kinds(self) -> dict[str, int]:
        """How many differences of each kind there are."""
        counted = Counter(each.kind for each in self.differences)
        return {kind: counted[kind] for kind in ("added", "missing", "changed")}


def partitions_of(chosen: Mapping[str, Sequence[int]], program: Program) -> list[int]:
    """Give the partitions to replay, all where none are chosen. Raises UsageError for what is not there."""
    streams = program.topology.streams
    for topic, numbers in chosen.items():
        if topic not in streams.sources:
            raise UsageError(f"the workers do not read {topic}", next_step=f"they read {', '.join(streams.sources)}")
        if absent := [str(number) for number in numbers if not 0 <= number < streams.partitions]:
            raise UsageError(
                f"{topic} has no partition {', '.join(absent)}", next_step=f"its partitions are 0 to {streams.partitions - 1}"
            )
    if not chosen or any(not numbers for numbers in chosen.values()):
        return list(range(streams.partitions))
    return sorted({number for numbers in chosen.values() for number in numbers})


def replay(conf: Mapping[str, Any], asked: Asked, basis: Basis, tell: Tell, say_total: Callable[[int], None]) -> Result:
    """Replay, and write what came of it to the folder. Blocks. `say_total` hears how many source offsets there are in all.

    The same call on the same folder goes on where an interrupted one stopped. Raises FolderTaken, HistoryGone, ProgramUnknown,
    Unreachable, TopicMismatch, and KeyboardInterrupt, after which everything is kept.
    """
    programs = basis.programs()
    program = programs.found[0]
    topics = logs.topics_of(program.topology)
    bounds = _agreed(asked, [each.name for each in programs.found], lambda: logs.bounds(conf, topics, asked.partitions))
    gone = [n for n in asked.partitions if bounds[topics.journal][n][0] > 0]
    if gone and asked.snapshots is None:
        raise HistoryGone(
            f"the journal of partition {', '.join(map(str, gone))} has lost its beginning",
            where=topics.journal,
            next_step="replay begins with the first cycle or a snapshot: keep the whole journal (its cleanup.policy=delete)",
        )
    if asked.to_topic:
        prepare(conf, program.topology, asked.to_topic)
    orders = [
        Order(
            number, program.topology.streams.partitions, topics, {t: each[number] for t, each in bounds.items()},
            asked.window, asked.folder / f"partition-{number}", conf, asked.is_for_state,
            asked.snapshots, asked.to_topic, asked.most_snapshots,
        )
        for number in asked.partitions
    ]  # fmt: skip
    say_total(sum(high - low for topic in topics.sources for low, high in bounds[topic].values()))
    outcomes = replay_all(orders, basis, asked.jobs, tell)
    found = [each for number in sorted(outcomes) for each in sorted(outcomes[number].differences, key=lambda each: each.order)]
    with (asked.folder / DIFFERENCES).open("wb") as file:
        file.writelines(orjson.dumps(msgspec.to_builtins(each), option=orjson.OPT_APPEND_NEWLINE) for each in found)
    return Result(outcomes, found)


def _agreed(asked: Asked, programs: Sequence[str], measure: Callable[[], logs.Bounds]) -> logs.Bounds:
    """Give the logs' bounds: those of an interrupted replay that asked for the same, else measured and noted in the folder.

    Raises FolderTaken where the folder has the work of another one.
    """
    mine = {"partitions": list(asked.partitions), "window": msgspec.to_builtins(asked.window), "programs": list(programs)}
    if asked.is_for_state:
        mine["is_for_state"] = True
    if asked.to_topic:
        mine["to_topic"] = asked.to_topic
    note = asked.folder / _ASKED
    if note.is_file():
        found = msgspec.json.decode(note.read_bytes())
        if found["asked"] != msgspec.json.decode(msgspec.json.encode(mine)):
            raise FolderTaken(
                "the folder has the work of a replay that asked for something else",
                where=str(asked.folder),
                next_step="name another folder with --out, or remove this one",
            )
        return msgspec.convert(found["bounds"], logs.Bounds, strict=False)
    part = asked.folder / f".{_ASKED}.part"
    if asked.folder.is_dir() and any(each != part for each in asked.folder.iterdir()):
        raise FolderTaken("the folder is not empty", where=str(asked.folder), next_step="name another folder with --out")
    bounds = measure()
    asked.folder.mkdir(parents=True, exist_ok=True)
    part.write_bytes(msgspec.json.encode({"asked": mine, "bounds": bounds}))
    part.replace(note)  # whole, or not there: a killed process leaves no folder that cannot be gone on with
    return bounds

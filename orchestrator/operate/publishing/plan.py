"""A plan: what publishing a folder would change, on which revision it was made, and all that `apply` needs to carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator import programs
from orchestrator.errors import NotPublishable, UsageError
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.operate.publishing.composing import Target, compose_target, same, target_of
from orchestrator.operate.publishing.definitions import read_board
from orchestrator.operate.publishing.differences import JourneyChange, differences, lost_versions, to_take_over
from orchestrator.operate.sight.asking import Asker
from orchestrator.operate.sight.counting import count
from orchestrator.programs import PublishedProgram
from orchestrator.structs import resolved
from orchestrator.wire.programs import ProgramBoard
from orchestrator.workspace import SHARED, Workspace

_FORMAT: Final = 1


class PlannedFile(Struct, frozen=True):
    """A file that would be published."""

    name: str
    kind: str
    text: str


@resolved
class Plan(Struct, frozen=True):
    """`base` is the revision that was live when it was made, 0 for none. `shared` are the files beside journeys that differ.

    `has_changes` tells whether applying it publishes anything, `taken_over` how many instances are not to stay as they are.
    Instances were counted by the workers `counted_by`, those of the partitions `counted_in_changelog` there.
    """

    app: str
    base: int
    journeys: tuple[JourneyChange, ...]
    shared: tuple[str, ...]
    files: tuple[PlannedFile, ...]
    entries: Mapping[str, int]
    has_changes: bool = True
    taken_over: int = 0
    counted_by: tuple[str, ...] = ()
    counted_in_changelog: tuple[int, ...] = ()
    format: int = _FORMAT


class Live(Struct, frozen=True):
    """What is live: all that was published, and the program that workers run of it, None where nothing was."""

    board: ProgramBoard
    program: PublishedProgram | None

    @property
    def number(self) -> int:
        """The live revision, 0 for none."""
        return 0 if self.program is None else self.program.revision.number


def read_live(conf: Mapping[str, Any], workspace: Workspace) -> Live:
    """Read what is live. Blocks; raises Unreachable, TopicMismatch, InvalidTopology."""
    board = read_board(conf, workspace.topology.streams)
    latest = board.latest
    return Live(board, None if latest is None else programs.load_program(board, latest, workspace.catalog))


def make_plan(
    conf: Mapping[str, Any],
    workspace: Workspace,
    asker: Asker | None,
    progress: documents.Progress = lambda done, total: None,
) -> tuple[Plan, Target]:
    """Compare a folder with what is live, and have the instances under way counted (`sight.counting`). Blocks.

    Raises Unreachable, TopicMismatch, InvalidTopology, and NotPublishable where the folder cannot be published as things stand.
    """
    live = read_live(conf, workspace)
    target = compose_target(workspace, live.board, live.program)
    streams = workspace.topology.streams
    _check_wiring(live, target, streams)
    counted = count(conf, streams, asker, progress)
    stand = counted.stand
    lost = lost_versions(target.topology, stand)
    if lost:
        listed = ", ".join(f"{journey} {version} ({count} instances)" for (journey, version), count in lost.items())
        raise NotPublishable(
            f"instances stand on versions that nobody has: {listed}",
            where=str(workspace.directory),
            next_step="put their files into earlier/, so that the instances go on as they began",
        )
    before = None if live.program is None else live.program.topology
    changes = tuple(differences(before, target.topology, stand))
    files = tuple(PlannedFile(file.name, file.kind, target.contents[file.sha256].decode()) for file in target.files)
    taken_over = to_take_over(stand, target.topology)
    shared, differ = _shared(live, target), _differ(live, target)
    told = (counted.workers, counted.read)
    return Plan(streams.app, live.number, changes, shared, files, target.entries, differ, taken_over, *told), target


def _check_wiring(live: Live, target: Target, streams: Streams) -> None:
    own = streams if live.program is None else live.program.topology.streams
    programs.check_wiring(target.topology.streams, own)


def _differ(live: Live, target: Target) -> bool:
    if live.program is None:
        return True
    revision = live.program.revision
    return (revision.files, dict(revision.entries)) != (target.files, dict(target.entries))


def _shared(live: Live, target: Target) -> tuple[str, ...]:
    """Give the files beside journeys that say something else than what is live."""
    if live.program is None:
        return ()
    before, after = live.program.topology, target.topology
    return tuple(name for name, kind in SHARED.items() if not same(getattr(before, kind), getattr(after, kind)))


def write_plan(plan: Plan, path: Path) -> None:
    """Keep a plan in a file. Raises UsageError where it cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
    except OSError as error:
        raise UsageError(f"cannot write the plan: {error.strerror}", where=str(path), next_step="name another file") from error


def read_plan(path: Path, workspace: Workspace) -> tuple[Plan, Target]:
    """Read a plan that `write_plan` wrote, and load what it would publish. Raises UsageError, InvalidTopology."""
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except OSError as error:
        raise UsageError(
            f"cannot read the plan: {error.strerror}", where=str(path), next_step="orchestrator plan --out"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError("the file is no plan", where=str(path), next_step="orchestrator plan --out plan.json") from error
    if plan.format != _FORMAT or plan.app != workspace.topology.streams.app:
        raise UsageError(f"the plan is for the app {plan.app}", where=str(path), next_step="name the folder of that app")
    return plan, target_of({file.name: (file.kind, file.text.encode()) for file in plan.files}, plan.entries, workspace)

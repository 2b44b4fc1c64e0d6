"""The programs that the journal names: for each version of a topology an engine and a gate, as a worker has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.engine import SEMANTICS, Engine
from orchestrator.errors import ProgramUnknown
from orchestrator.language.model import Topology
from orchestrator.operate.publishing.definitions import read_board
from orchestrator.programs import program_of
from orchestrator.wire.gate import Gate, GateLimits
from orchestrator.wire.programs import ProgramBoard, program_name, revision_of
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace


class Program(Struct, frozen=True):
    """A topology that is ready to run, by its name in the journal."""

    name: str
    topology: Topology
    engine: Engine
    gate: Gate
    paused: frozenset[str] = frozenset()


class Programs:
    """What is at hand: the program of a folder, those of copies of it as it was before, and what was published."""

    def __init__(
        self,
        folders: Sequence[Path],
        schemas: Path | None,
        limits: GateLimits,
        *,
        is_any_good: bool = False,
        conf: Mapping[str, Any] | None = None,
    ) -> None:
        """The first folder's program stands for all that are not at hand where `is_any_good`. Raises what Workspace.load does.

        `conf` are librdkafka's settings to find published programs with; None for folders only.
        """
        workspaces = [Workspace.load(folder, schemas) for folder in folders]
        self.found = [_program(each, limits) for each in workspaces]
        self._workspace, self._limits, self._conf = workspaces[0], limits, conf
        self._board: ProgramBoard | None = None
        self._by_name = {program.name: program for program in reversed(self.found)}
        self._is_any_good = is_any_good
        self.stood_in_for: set[str] = set()  # programs of the journal that the first one was taken for

    def named(self, name: str, where: str) -> Program:
        """Give the program that handled a cycle. Raises ProgramUnknown, and what reading a published one raises."""
        program = self._by_name.get(name) or self._published(name)
        if program is not None:
            return program
        if not self._is_any_good:
            raise ProgramUnknown(
                f"the journal says program {name}; at hand is {', '.join(self._by_name)}",
                where=where,
                next_step="name the folder as it was then with --topologies or --earlier, or ask with --any-program what"
                " the one at hand would have done",
            )
        self.stood_in_for.add(name)
        return self.found[0]

    def _published(self, name: str) -> Program | None:
        """Give a program from the topic of definitions, None where it came from a folder, or a draft is to stand for all."""
        if self._conf is None or self._is_any_good or not revision_of(name):
            return None
        if self._board is None:
            self._board = read_board(self._conf, self._workspace.topology.streams)
        found = program_of(self._board, name, self._workspace.catalog)
        if found is None or found.name != name:
            return None
        workspace = replace(self._workspace, topology=found.topology)
        self._by_name[name] = _program(workspace, self._limits, name, found.paused)
        return self._by_name[name]


def _program(workspace: Workspace, limits: GateLimits, name: str = "", paused: frozenset[str] = frozenset()) -> Program:
    topology = workspace.topology
    engine = Engine(topology, share=Fraction(1, topology.streams.partitions))
    gate = Gate(load_schemas(workspace.schemas), topology.streams, engine.hears, limits)
    return Program(name or program_name(workspace.digest, SEMANTICS), topology, engine, gate, paused)

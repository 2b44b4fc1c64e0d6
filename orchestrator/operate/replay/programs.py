"""The programs that the journal names: for each version of a topology an engine and a gate, as a worker has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.engine import EARLIER_SEMANTICS, SEMANTICS, Engine
from orchestrator.engine.vicinity import NO_FREEZES, Freezes
from orchestrator.errors import ProgramUnknown
from orchestrator.language.model import Topology
from orchestrator.operate.publishing.definitions import read_board
from orchestrator.programs import program_of
from orchestrator.stream.registry import on_demand
from orchestrator.wire.gate import Gate, GateLimits
from orchestrator.wire.programs import ProgramBoard, program_name, revision_of, semantics_of
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace


class Program(Struct, frozen=True):
    """A topology that is ready to run, by its name in the journal."""

    name: str
    topology: Topology
    engine: Engine
    gate: Gate
    unasking: Gate  # the same without a registry: what it names there is unknown
    paused: frozenset[str] = frozenset()
    freezes: Freezes = NO_FREEZES


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
        registry: Mapping[str, str] | None = None,
    ) -> None:
        """The first folder's program stands for all that are not at hand where `is_any_good`. Raises what Workspace.load does.

        `conf` are librdkafka's settings to find published programs with; None for folders only. `registry` are those of the
        schema registry's client, where there is one.
        """
        workspaces = [Workspace.load(folder, schemas) for folder in folders]
        self._registry = registry or {}
        self.found = [_program(each, limits, self._registry) for each in workspaces]
        self._workspace, self._limits, self._conf = workspaces[0], limits, conf
        self._board: ProgramBoard | None = None
        self._by_name = {program.name: program for program in reversed(self.found)}
        self._folders = {each.digest: each for each in reversed(workspaces)}
        self._is_any_good = is_any_good
        self.stood_in_for: set[str] = set()  # programs of the journal that the first one was taken for

    def named(self, name: str, where: str) -> Program:
        """Give the program that handled a cycle. Raises ProgramUnknown, and what reading a published one raises."""
        program = self._by_name.get(name) or self._of_earlier_semantics(name) or self._published(name)
        if program is not None:
            return program
        if not self._is_any_good:
            at_hand = ", ".join(self._by_name)
            raise ProgramUnknown(
                f"the journal says program {name}; at hand is {at_hand}", where=where, next_step=self._advice(name)
            )
        self.stood_in_for.add(name)
        return self.found[0]

    def _of_earlier_semantics(self, name: str) -> Program | None:
        """Give the program of a folder as an earlier release ran it."""
        workspace, semantics = self._folders.get(name.rpartition("-")[0]), semantics_of(name)
        if workspace is None or semantics not in EARLIER_SEMANTICS:
            return None
        self._by_name[name] = _program(workspace, self._limits, self._registry, semantics)
        return self._by_name[name]

    def _advice(self, name: str) -> str:
        """Say where a program can be had from: a published one comes from no folder, whatever is named."""
        otherwise = "or ask with --any-program what the one at hand would have done"
        number, topic = revision_of(name), self._workspace.topology.streams.definitions
        if not number:
            return f"name the folder as it was then with --topologies or --earlier, {otherwise}"
        revision = None if self._board is None else self._board.revisions.get(number)
        if revision is not None and name.startswith(f"{revision.digest}-"):
            return f"revision {number} was run by another version of the orchestrator: replay it with that one, {otherwise}"
        return (
            f"it was published as revision {number}, which {topic} does not have (any more): restore that topic from a backup,"
            f" {otherwise}"
        )

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
        made = _program(workspace, self._limits, self._registry, semantics_of(name))
        self._by_name[name] = replace(made, name=name, paused=found.paused, freezes=found.freezes)
        return self._by_name[name]


def _program(
    workspace: Workspace,
    limits: GateLimits,
    registry: Mapping[str, str],
    semantics: int = SEMANTICS,
) -> Program:
    topology, schemas = workspace.topology, load_schemas(workspace.schemas)
    engine = Engine(topology, share=Fraction(1, topology.streams.partitions), semantics=semantics)
    gate_with = partial(Gate, schemas, topology.streams, engine.hears, limits, reads=engine.reads)
    unasking = gate_with()
    gate = gate_with(registry=on_demand(registry, schemas)) if registry else unasking
    return Program(program_name(workspace.digest, semantics), topology, engine, gate, unasking)

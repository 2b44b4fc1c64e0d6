"""The programs that the journal names: for each version of a topology an engine and a gate, as a worker has them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from msgspec import Struct

from orchestrator.engine.engine import SEMANTICS, Engine
from orchestrator.errors import ProgramUnknown
from orchestrator.language.model import Topology
from orchestrator.wire.gate import Gate, GateLimits
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace


class Program(Struct, frozen=True):
    """A topology that is ready to run, by its name in the journal."""

    name: str
    topology: Topology
    engine: Engine
    gate: Gate


class Programs:
    """What is at hand: the program of a folder, and those of copies of it as it was before."""

    def __init__(self, folders: Sequence[Path], schemas: Path | None, limits: GateLimits, *, is_any_good: bool = False) -> None:
        """The first folder's program stands for all that are not at hand where `is_any_good`. Raises what Workspace.load does."""
        self.found = [_load(folder, schemas, limits) for folder in folders]
        self._by_name = {program.name: program for program in reversed(self.found)}
        self._is_any_good = is_any_good
        self.stood_in_for: set[str] = set()  # programs of the journal that the first one was taken for

    def named(self, name: str, where: str) -> Program:
        """Give the program that handled a cycle. Raises ProgramUnknown."""
        program = self._by_name.get(name)
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


def _load(folder: Path, schemas: Path | None, limits: GateLimits) -> Program:
    workspace = Workspace.load(folder, schemas)
    topology = workspace.topology
    engine = Engine(topology, share=Fraction(1, topology.streams.partitions))
    gate = Gate(load_schemas(workspace.schemas), topology.streams, engine.hears, limits)
    return Program(f"{workspace.digest}-{SEMANTICS}", topology, engine, gate)

"""The programs that the journal names: for each version of the topology an engine and a gate, as a worker would have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from msgspec.structs import replace

from orchestrator.engine.engine import SEMANTICS, Engine
from orchestrator.engine.vicinity import NO_FREEZES, Freezes
from orchestrator.language.model import Topology
from orchestrator.operate.publishing.definitions import read_board
from orchestrator.programs import load_program
from orchestrator.wire.gate import DEFAULT_LIMITS, Gate, GateLimits
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace


class Program(Struct, frozen=True):
    """One version of a topology, ready to replay; `topics` maps a channel to its topic, `paused` are the paused journeys."""

    topology: Topology
    engine: Engine
    gate: Gate
    topics: dict[str, str]
    paused: frozenset[str] = frozenset()
    freezes: Freezes = NO_FREEZES


class Programs(Struct, frozen=True):
    """All versions by their name in the journal; `topology` is the one that holds at the end."""

    topology: Topology
    by_name: dict[str, Program]


def load_programs(
    folder: Path, earlier: Sequence[Path] = (), schemas: Path | None = None, limits: GateLimits = DEFAULT_LIMITS
) -> Programs:
    """Read a topologies folder, and copies of what it was before. Raises what `Workspace.load` does."""
    found = [Workspace.load(each, schemas) for each in (folder, *earlier)]
    by_name = {f"{each.digest}-{SEMANTICS}": _program(each, limits) for each in reversed(found)}
    return Programs(found[0].topology, by_name)


def published_programs(
    client: Mapping[str, Any], folder: Path, schemas: Path | None = None, limits: GateLimits = DEFAULT_LIMITS
) -> dict[str, Program]:
    """Read all that was ever published for the folder's app, by its name in the journal. Blocks; raises as `read_board` does."""
    workspace = Workspace.load(folder, schemas)
    board = read_board(client, workspace.topology.streams)
    found = {}
    for revision in board.revisions.values():
        each = load_program(board, revision, workspace.catalog)
        made = _program(replace(workspace, topology=each.topology), limits)
        found[each.name] = structs.replace(made, paused=each.paused, freezes=each.freezes)
    return found


def _program(workspace: Workspace, limits: GateLimits) -> Program:
    topology = workspace.topology
    engine = Engine(topology, share=Fraction(1, topology.streams.partitions))
    gate = Gate(load_schemas(workspace.schemas), topology.streams, engine.hears, limits, reads=engine.reads)
    topics = {name: channel.topic for name, channel in topology.policy.channels.items()}
    return Program(topology, engine, gate, topics)

"""What commands need of a topology that concerns Kafka only: streams.yaml and policy.yaml, without compiling the journeys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from orchestrator.errors import InvalidTopology, UsageError
from orchestrator.language.composer import compose
from orchestrator.language.model import Policy, Streams
from orchestrator.language.policy import read_policy
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node
from orchestrator.language.streams import read_streams

T = TypeVar("T")


class Wiring(Struct, frozen=True):
    """The topics of a topology."""

    streams: Streams
    policy: Policy


def load_wiring(topologies: Path) -> Wiring:
    """Read the two files of a folder. Raises UsageError where streams.yaml is missing, InvalidTopology with every problem."""
    if not (topologies / "streams.yaml").is_file():
        raise UsageError(
            "no streams.yaml there",
            where=str(topologies),
            next_step="name the folder that has it with --topologies, or run the command where topologies/ is",
        )
    problems = Problems()
    streams = _read(topologies / "streams.yaml", read_streams, Streams(), problems)
    policy = _read(topologies / "policy.yaml", read_policy, Policy(), problems)
    if problems.has_errors:
        listed = "\n  ".join(str(problem) for problem in problems)
        raise InvalidTopology(f"the topology cannot be used:\n  {listed}", next_step=f"orchestrator validate {topologies}")
    return Wiring(streams, policy)


def _read(path: Path, read: Callable[[Node, Problems], T], absent: T, problems: Problems) -> T:
    if not path.is_file():
        return absent
    node = compose(str(path), path.read_bytes(), problems)
    return absent if node is None else read(node, problems)

"""Loading one journey with what it depends on, for the commands that tell something about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.language.model import Journey, Topology


def load_journey(path: Path) -> tuple[Journey, Topology]:
    """Give the journey of a file, and its topology. Raises UsageError for no such file, InvalidTopology with every problem."""
    from orchestrator.errors import InvalidTopology, UsageError
    from orchestrator.wire.schemas import load_catalog
    from orchestrator.workspace import bundles, schemas_beside

    if not path.is_file():
        raise UsageError("no such journey file", where=str(path), next_step="give one journey, such as journeys/onboarding.yaml")
    loaded = bundles([path])[0].load(load_catalog(schemas_beside(path)))
    journeys = (*loaded.journeys, *loaded.earlier)
    if loaded.topology is None or not journeys:
        errors = [str(problem) for problem in loaded.problems if problem.severity == "error"] or ["it is no journey"]
        raise InvalidTopology("\n  ".join([f"{path} cannot be used:", *errors]), next_step=f"orchestrator validate {path}")
    return journeys[0], loaded.topology

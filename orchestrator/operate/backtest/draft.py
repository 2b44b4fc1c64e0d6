"""The two topologies of a backtest: the live folder, and the same with a draft in the place of one journey, or beside all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import InvalidTopology, UsageError
from orchestrator.language.model import Journey, Topology
from orchestrator.wire.schemas import load_catalog
from orchestrator.workspace import Workspace, bundles, content_of

_ID: Final = re.compile(r"^journey:\s*['\"]?([A-Za-z0-9_-]+)", re.MULTILINE)


class Pair(Struct, frozen=True):
    """Both topologies, and the journey that is tried. `replaced` is its live version, None where the draft is a new journey."""

    live: Topology
    draft: Topology
    tried: Journey
    replaced: Journey | None


def load_pair(path: Path, topologies: Path, schemas: Path | None) -> Pair:
    """Read both. Raises UsageError for a file that is not there or no journey, InvalidTopology with every problem."""
    if not path.is_file():
        raise UsageError("no such file", where=str(path), next_step="give the draft, one journey as YAML")
    found = _ID.search(content_of(path).decode("utf-8", "replace"))
    if found is None:
        raise UsageError("this file says no `journey:`", where=str(path), next_step="give the draft, one journey as YAML")
    workspace = Workspace.load(topologies, schemas, is_open=True)
    live = workspace.topology
    replaced = next((journey for journey in live.journeys if journey.id == found[1]), None)
    bundle = bundles([topologies])[0]
    kept = [(each, kind) for each, kind in bundle.files if replaced is None or str(each) != replaced.place.path]
    catalog = replace(load_catalog(workspace.schemas), is_open=True)
    loaded = replace(bundle, files=((path, "journey"), *kept)).load(catalog)
    if loaded.topology is None:
        problems = "\n  ".join(str(problem) for problem in loaded.problems if problem.severity == "error")
        raise InvalidTopology(f"the draft cannot be used:\n  {problems}", next_step=f"orchestrator validate {path}")
    tried = next(journey for journey in loaded.topology.journeys if journey.id == found[1])
    return Pair(live, loaded.topology, tried, replaced)

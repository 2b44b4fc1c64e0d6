"""What a scenario runs on: its topology, compiled, and the schemas of its events. Kept, because many scenarios share one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson
from msgspec import Struct

from orchestrator.engine.engine import Engine
from orchestrator.engine.verbs import TABLE
from orchestrator.errors import OrchestratorError
from orchestrator.language import codes
from orchestrator.language.catalog import Catalog
from orchestrator.language.loading import Loaded, Source, SourceKind, load
from orchestrator.language.model import Topology
from orchestrator.language.problems import Problem, Problems
from orchestrator.names import RESERVED_EVENT_TYPES
from orchestrator.operate.scenarios.scenario import Scenario
from orchestrator.operate.scenarios.values import plain
from orchestrator.wire.schemas import SchemaSet, load_schemas
from orchestrator.workspace import SHARED, bundles, content_of, schemas_beside

KEPT: Final = 64


class Stage(Struct, frozen=True):
    """A topology ready to run, and the `sources` it was made of.

    Without a folder only reserved event types are checked (ruling A25).
    """

    engine: Engine
    topology: Topology
    schemas: SchemaSet
    has_folder: bool
    sources: tuple[Source, ...] = ()

    @property
    def catalog(self) -> Catalog | None:
        """The schemas as the language checks against them; None where nothing is checked."""
        return self.schemas.catalog() if self.has_folder else None

    def checks(self, event_type: str) -> bool:
        """Tell whether events of this type must fit a schema."""
        return self.has_folder or event_type in RESERVED_EVENT_TYPES


class Stages:
    """Makes stages; one with the same folder and inline parts is made once."""

    def __init__(self) -> None:
        self._made: dict[bytes, Stage | tuple[Problem, ...]] = {}
        self._schemas: dict[Path | None, SchemaSet] = {}

    def stage(self, scenario: Scenario, problems: Problems) -> Stage | None:
        """Give what the scenario runs on; None, with every problem, where it cannot."""
        folder = Path(scenario.path).parent / scenario.topologies if scenario.topologies else None
        inline = [[plain(node) for node in scenario.journeys], scenario.policy and plain(scenario.policy)]
        key = orjson.dumps([None if folder is None else str(folder.resolve()), inline])
        made = self._made.get(key)
        if made is None:
            made = self._make(scenario, folder)
            if not isinstance(made, tuple) or not scenario.journeys:
                # The problems of inline parts name places in this very file, so only what is sound, or a folder's, is kept.
                self._keep(key, made)
        if isinstance(made, Stage):
            return made
        for problem in made:
            problems.add(problem)
        return None

    def _keep(self, key: bytes, made: Stage | tuple[Problem, ...]) -> None:
        if len(self._made) >= KEPT:
            self._made.pop(next(iter(self._made)))
        self._made[key] = made

    def _make(self, scenario: Scenario, folder: Path | None) -> Stage | tuple[Problem, ...]:
        try:
            sources = _sources(scenario, folder)
            schemas = self._schema_set(folder)
        except OrchestratorError as error:
            found = Problems()
            place = scenario.topologies_place or scenario.place
            found.error(place, codes.CONFLICT, f"these topologies cannot be used: {' '.join(str(error).split())}")
            return tuple(found)
        catalog: Catalog | None = None if folder is None else schemas.catalog()
        loaded: Loaded = load(sources, catalog, TABLE)
        if loaded.topology is None:
            return tuple(problem for problem in loaded.problems if problem.severity == "error")
        return Stage(Engine(loaded.topology), loaded.topology, schemas, folder is not None, tuple(sources))

    def _schema_set(self, folder: Path | None) -> SchemaSet:
        beside = None if folder is None else schemas_beside(folder)
        if beside not in self._schemas:
            self._schemas[beside] = load_schemas(beside)
        return self._schemas[beside]


def _sources(scenario: Scenario, folder: Path | None) -> list[Source]:
    """Give the folder's files, with inline journeys and policy in the place of its own (rulings A25-A27)."""
    files = [] if folder is None else _files(folder, with_journeys=not scenario.journeys)
    found = [Source(str(path), content_of(path), kind) for path, kind in files if not (kind == "policy" and scenario.policy)]
    found += [Source(scenario.path, b"", "journey", node) for node in scenario.journeys]
    if scenario.policy is not None:
        found.append(Source(scenario.path, b"", "policy", scenario.policy))
    return found


def _files(folder: Path, *, with_journeys: bool) -> list[tuple[Path, SourceKind]]:
    if with_journeys:
        return list(bundles([folder])[0].files)
    return [(folder / name, kind) for name, kind in SHARED.items() if (folder / name).is_file()]

"""Journeys that a scenario publishes: new entries take the new version, running instances keep theirs (rule V1)."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from orchestrator.engine.engine import Engine
from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.composer import compose
from orchestrator.language.loading import Source, load
from orchestrator.language.model import Journey, Topology
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node
from orchestrator.operate.scenarios.scenario import GivenPublish, Scenario
from orchestrator.operate.scenarios.stage import Stage
from orchestrator.workspace import content_of


def stages_of(scenario: Scenario, first: Stage, problems: Problems) -> list[Stage]:
    """Give the stage that the scenario begins on, then one for each of its `publish` entries, in written order.

    What is wrong with a published file is a problem with its place in that file, and no stage is given.
    """
    stages = [first]
    for given in scenario.given:
        if isinstance(given, GivenPublish):
            following = _published(Path(scenario.path).parent / given.file, given, stages[-1], problems)
            if following is None:
                return []
            stages.append(following)
    return stages


def _published(path: Path, given: GivenPublish, stage: Stage, problems: Problems) -> Stage | None:
    if not path.is_file():
        message = f"there is no file {given.file!r}: `publish` names a journey file, relative to the scenario's folder"
        problems.error(given.file_place, codes.CONFLICT, message)
        return None
    node = compose(str(path), content_of(path), problems)
    if node is None:
        return None
    name = _journey_of(node)
    journeys = [source for source in stage.sources if source.kind == "journey"]
    running = dict(zip((journey.id for journey in stage.topology.journeys), journeys, strict=True))
    before = running.get(name)
    kept = (replace(source, kind="earlier") if source is before else source for source in stage.sources)
    sources = (*kept, Source(str(path), b"", "journey", node))
    loaded = load(sources, stage.catalog, TABLE)
    errors = [each for each in loaded.problems if each.severity == "error" and each.code != codes.NOT_EARLIER]
    for problem in errors:
        problems.add(problem)
    if errors or not _is_newer(loaded.journeys[-1], stage.topology, given, problems) or loaded.topology is None:
        return None
    return Stage(Engine(loaded.topology), loaded.topology, stage.schemas, stage.has_folder, sources)


def _journey_of(node: Node) -> str:
    named = node.value.get("journey") if isinstance(node.value, dict) else None
    return "" if named is None else named.text


def _is_newer(published: Journey, running: Topology, given: GivenPublish, problems: Problems) -> bool:
    versions = (*running.journeys, *running.earlier)
    before = max((journey.version for journey in versions if journey.id == published.id), default=0)
    if published.version > before:
        return True
    known = f"version {published.version} of {published.id!r}, which runs in version {before}"
    message = f"{given.file} is {known}: raise its `version`"
    problems.error(given.file_place, codes.CONFLICT, message)
    return False

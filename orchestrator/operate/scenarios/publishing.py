"""Journeys that a scenario publishes: new entries take the new version, running instances keep theirs (rule V1)."""

from __future__ import annotations

from pathlib import Path

from orchestrator.engine.engine import Engine
from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.composer import compose
from orchestrator.language.loading import Source, load
from orchestrator.language.model import Journey
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
    kept = [source for source in stage.sources if source is not running.get(name)]
    loaded = load([*kept, Source(str(path), b"", "journey", node)], stage.catalog, TABLE)
    if loaded.topology is None:
        for problem in loaded.problems:
            if problem.severity == "error":
                problems.add(problem)
        return None
    before = next((journey for journey in stage.topology.journeys if journey.id == name), None)
    if before is not None and not _is_newer(loaded.topology.journeys, before, given, problems):
        return None
    earlier = (*stage.earlier, *(() if before is None else (before,)))
    engine = Engine(loaded.topology, earlier)
    source = Source(str(path), b"", "journey", node)
    return Stage(engine, loaded.topology, stage.schemas, stage.has_folder, (*kept, source), earlier)


def _journey_of(node: Node) -> str:
    named = node.value.get("journey") if isinstance(node.value, dict) else None
    return "" if named is None else named.text


def _is_newer(journeys: tuple[Journey, ...], before: Journey, given: GivenPublish, problems: Problems) -> bool:
    version = next(journey.version for journey in journeys if journey.id == before.id)
    if version > before.version:
        return True
    message = f"{given.file} is version {version} of {before.id!r}, which runs in version {before.version}: raise its `version`"
    problems.error(given.file_place, codes.CONFLICT, message)
    return False

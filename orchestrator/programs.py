"""From a published revision to what workers run: its files loaded and checked, entries pointed to the versions that take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.engine import EARLIER_SEMANTICS, SEMANTICS
from orchestrator.engine.verbs import TABLE
from orchestrator.engine.vicinity import NO_FREEZES, Freezes
from orchestrator.errors import InvalidTopology, NotPublishable
from orchestrator.language.catalog import Catalog
from orchestrator.language.loading import Source, SourceKind, load
from orchestrator.language.model import Journey, Streams, Topology
from orchestrator.wire.programs import ProgramBoard, Revision, freezes_of, program_name, revision_of, semantics_of

ROLLED_BACK: Final = "is in no file of this revision"


class PublishedProgram(Struct, frozen=True):
    """What a revision makes workers run. `name` is the journal's, `paused` the journeys whose actions are held.

    `freezes` are the pauses in which timers stand still, as the engine's vicinity has them.
    """

    name: str
    revision: Revision
    topology: Topology
    paused: frozenset[str]
    freezes: Freezes = NO_FREEZES


def load_program(
    board: ProgramBoard, revision: Revision, catalog: Catalog | None, semantics: int = SEMANTICS
) -> PublishedProgram:
    """Load a revision, by this release's semantics, or for a replay by an earlier one's.

    Raises InvalidTopology where it does not fit `catalog`, the event schemas at hand, or lacks a file.
    """
    sources = []
    for file in revision.files:
        content = board.contents.get(file.sha256)
        if content is None:
            raise InvalidTopology(f"the content of {file.name} is missing", where=_place(revision), next_step="apply it again")
        sources.append(Source(file.name, content, cast("SourceKind", file.kind)))
    topology = with_entries(load_sources(sources, catalog, _place(revision)), revision.entries)
    name = program_name(revision.digest, semantics, revision.number)
    return PublishedProgram(name, revision, topology, frozenset(revision.paused), freezes_of(revision))


def load_sources(sources: Sequence[Source], catalog: Catalog | None, where: str) -> Topology:
    """Load the files of a whole topology. Raises InvalidTopology with every problem."""
    loaded = load(sources, catalog, TABLE)
    if loaded.topology is None:
        errors = [str(problem) for problem in loaded.problems if problem.severity == "error"]
        raise InvalidTopology(
            "\n  ".join([f"{len(errors)} errors:", *errors]),
            where=where,
            next_step="where an event type or field is unknown, give this process the event schemas of the publisher",
        )
    return loaded.topology


def program_of(board: ProgramBoard, name: str, catalog: Catalog | None) -> PublishedProgram | None:
    """Give the program that a journal record names; None where that one came from a worker's own folder.

    Raises InvalidTopology as `load_program` does.
    """
    revision = board.revisions.get(revision_of(name))
    if revision is None:
        return None
    semantics = semantics_of(name)
    return load_program(board, revision, catalog, semantics if semantics in EARLIER_SEMANTICS else SEMANTICS)


def with_entries(topology: Topology, entries: Mapping[str, int]) -> Topology:
    """Let other versions of journeys take the entries (rule V5); the one that took them goes on for its instances."""
    live, earlier = list(topology.journeys), list(topology.earlier)
    for journey, version in entries.items():
        before, after = _find(live, journey), _find(earlier, journey, version)
        if before is None or after is None:
            raise InvalidTopology(f"version {version} of {journey!r} {ROLLED_BACK}", next_step="orchestrator journeys list")
        live[live.index(before)], earlier[earlier.index(after)] = after, before
    return replace(topology, journeys=tuple(live), earlier=tuple(earlier))


def check_wiring(published: Streams, own: Streams) -> None:
    """Raise NotPublishable where a program is wired to other topics than a running worker can be moved to."""
    ways = [(name, getattr(published, name), getattr(own, name)) for name in _FIXED]
    apart = [f"{name} is {theirs}, not {ours}" for name, theirs, ours in ways if theirs != ours]
    if apart:
        raise NotPublishable(
            f"streams.yaml differs in what running workers cannot change: {'; '.join(apart)}",
            next_step="change streams.yaml back; other topics or another app need workers started anew on them",
        )


_FIXED: Final = ("app", "partitions", "sources", "outcomes", "transitions", "incidents", "definitions", "operations")


def _find(journeys: Sequence[Journey], journey: str, version: int | None = None) -> Journey | None:
    return next((each for each in journeys if each.id == journey and version in (None, each.version)), None)


def _place(revision: Revision) -> Any:
    return f"revision {revision.number} of {revision.app}"

"""What a folder would be once it is published: its files, and every version that is live now, for the instances on them.

Nothing that was live leaves: a journey that is gone from the folder takes no entries any more, and a version that the folder has
put back takes them again (rule V5).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.errors import NotPublishable
from orchestrator.language.loading import Source, SourceKind
from orchestrator.language.model import Expr, Journey, Place, Topology
from orchestrator.programs import PublishedProgram, load_sources, with_entries
from orchestrator.wire.programs import ProgramBoard, RevisionFile, sha256_of
from orchestrator.workspace import EARLIER, JOURNEYS, SHARED, Workspace, content_of

_Version = tuple[str, int]


class Target(Struct, frozen=True):
    """What is to be published: the files, their contents by hash, and the topology that they give."""

    files: tuple[RevisionFile, ...]
    contents: Mapping[str, bytes]
    entries: Mapping[str, int]
    topology: Topology


def compose_target(workspace: Workspace, board: ProgramBoard, live: PublishedProgram | None) -> Target:
    """Put a folder and what is live together.

    Raises NotPublishable where a file changed and its version did not, InvalidTopology where the two do not fit each other.
    """
    versions = _kept(board, live)
    for journey in (*workspace.topology.journeys, *workspace.topology.earlier):
        known = versions.get((journey.id, journey.version))
        if known is None:
            versions[journey.id, journey.version] = (journey, content_of(Path(journey.place.path)))
        elif not same(known[0], journey):
            raise NotPublishable(
                f"version {journey.version} of {journey.id!r} is live, and this file says something else",
                where=str(journey.place),
                next_step="raise its `version`: instances keep the one that they started on",
            )
    entered = {journey.id: journey.version for journey in workspace.topology.journeys}
    highest: dict[str, int] = {}
    for name, version in versions:
        highest[name] = max(version, highest.get(name, 0))
    found = [
        (_file_name(*version, is_entered), "journey" if is_entered else "earlier", content)
        for version, (_, content) in versions.items()
        for is_entered in [version[0] in entered and version[1] == highest[version[0]]]
    ]
    found += [(name, kind, _shared(name, kind, workspace, board, live)) for name, kind in SHARED.items() if _has(workspace, name)]
    entries = {name: version for name, version in sorted(entered.items()) if version != highest[name]}
    return target_of({name: (kind, content) for name, kind, content in found}, entries, workspace)


def _has(workspace: Workspace, name: str) -> bool:
    return (workspace.directory / name).is_file()


def _shared(name: str, kind: str, workspace: Workspace, board: ProgramBoard, live: PublishedProgram | None) -> bytes:
    """Give a file beside journeys: as it was published, where it says the same."""
    known = None if live is None else next((each for each in live.revision.files if each.name == name), None)
    if live is None or known is None or not same(getattr(live.topology, kind), getattr(workspace.topology, kind)):
        return content_of(workspace.directory / name)
    return board.contents[known.sha256]


def target_of(files: Mapping[str, tuple[str, bytes]], entries: Mapping[str, int], workspace: Workspace) -> Target:
    """Load kinds and contents by name as one topology. Raises InvalidTopology with every problem."""
    ordered = sorted(files.items())
    sources = [Source(name, content, cast("SourceKind", kind)) for name, (kind, content) in ordered]
    topology = with_entries(load_sources(sources, workspace.catalog, str(workspace.directory)), entries)
    listed = tuple(RevisionFile(name, kind, sha256_of(content)) for name, (kind, content) in ordered)
    return Target(listed, {sha256_of(content): content for _, (_, content) in ordered}, entries, topology)


def _kept(board: ProgramBoard, live: PublishedProgram | None) -> dict[_Version, tuple[Journey, bytes]]:
    if live is None:
        return {}
    contents = {file.name: board.contents[file.sha256] for file in live.revision.files}
    journeys = (*live.topology.journeys, *live.topology.earlier)
    return {(each.id, each.version): (each, contents[each.place.path]) for each in journeys}


def _file_name(journey: str, version: int, is_entered: bool) -> str:
    return f"{JOURNEYS}/{journey}.yaml" if is_entered else f"{EARLIER}/{journey}-{version}.yaml"


def same(one: Any, other: Any) -> bool:
    """Tell whether two parts of topologies say the same, wherever they stand in their files."""
    return bool(_said(one) == _said(other))


def _said(value: Any) -> Any:
    if isinstance(value, Place):
        return None
    if isinstance(value, Expr):
        return value.source, value.timestamps
    if isinstance(value, Struct):
        return type(value).__name__, {name: _said(part) for name, part in asdict(value).items()}
    if isinstance(value, Mapping):
        return [(key, _said(item)) for key, item in value.items()]
    if isinstance(value, tuple | list):
        return [_said(item) for item in value]
    return value

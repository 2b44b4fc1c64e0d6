"""A topologies folder on disk: the only place that reads one. Everything after it works on bytes and values.

A folder holds `journeys/*.yaml`, `policy.yaml`, `streams.yaml` and `experiments.yaml`; scenarios may lie among them. Under
`earlier/` are versions of journeys that take no entries any more, for the instances that stand on them (rule V1).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.verbs import TABLE
from orchestrator.errors import InvalidTopology, UsageError
from orchestrator.language.catalog import Catalog
from orchestrator.language.composer import FILE_BYTES
from orchestrator.language.loading import Loaded, Source, SourceKind, load
from orchestrator.language.model import Topology
from orchestrator.language.problems import Problem
from orchestrator.wire.schemas import load_catalog

JOURNEYS: Final = "journeys"
EARLIER: Final = "earlier"
SHARED: Final[dict[str, SourceKind]] = {"policy.yaml": "policy", "streams.yaml": "streams", "experiments.yaml": "experiments"}
LEVELS_UP: Final = 3  # how far above a journey, or a topologies folder, what belongs to it is looked for

_SUFFIXES: Final = (".yaml", ".yml")
_SCENARIO: Final = ".scenario"


class Bundle(Struct, frozen=True):
    """Files that belong together. `is_complete`: a whole folder, not single files of one."""

    directory: Path
    files: tuple[tuple[Path, SourceKind], ...]
    is_complete: bool

    def load(self, catalog: Catalog | None) -> Loaded:
        """Read and check the files."""
        sources = [Source(str(path), content_of(path), kind) for path, kind in self.files]
        return load(sources, catalog, TABLE, is_complete=self.is_complete)

    def tested(self, journeys: Iterable[str]) -> frozenset[str]:
        """Give those of the journeys that a scenario names, in this folder or beside the single files."""
        folders = {self.directory} if self.is_complete else {path.parent for path, _ in self.files}
        pattern = f"*{_SCENARIO}.y*ml"
        found = [path for folder in folders for path in (folder.rglob(pattern) if self.is_complete else folder.glob(pattern))]
        texts = [content_of(path).decode("utf-8", "replace") for path in found if path.is_file()]
        return frozenset(
            each for each in journeys if any(re.search(rf"(?<![\w-]){re.escape(each)}(?![\w-])", text) for text in texts)
        )

    def digest(self) -> str:
        """Give 16 hex digits that stand for the names and contents of the files."""
        whole = hashlib.sha256()
        for path, kind in self.files:
            whole.update(f"{kind} {path.name} {path.stat().st_size}\n".encode() + content_of(path))
        return whole.hexdigest()[:16]


class Workspace(Struct, frozen=True):
    """A valid topology and where it came from. `digest` is the same for the same files, wherever they lie."""

    directory: Path
    topology: Topology
    catalog: Catalog
    schemas: Path | None
    digest: str
    warnings: tuple[Problem, ...] = ()

    @classmethod
    def load(cls, topologies: Path, schemas: Path | None = None, *, is_open: bool = False) -> Workspace:
        """Read a topologies folder; `schemas` None: those beside it, else the shipped ones.

        `is_open`: journeys may name event types that no schema declares; their fields go unchecked.

        Raises UsageError where there is no such folder, InvalidTopology with every problem in its text.
        """
        bundle = _folder(topologies)
        schemas = schemas or schemas_beside(topologies)
        catalog = replace(load_catalog(schemas), is_open=is_open)
        loaded = bundle.load(catalog)
        if loaded.topology is None:
            errors = [problem.quoted.replace("\n", "\n  ") for problem in loaded.problems if problem.severity == "error"]
            what = "\n  ".join([f"{len(errors)} errors in {topologies}:", *errors])
            raise InvalidTopology(what, next_step=f"orchestrator validate {topologies}")
        return cls(topologies, loaded.topology, catalog, schemas, bundle.digest(), tuple(loaded.problems))


def bundles(paths: Iterable[Path]) -> list[Bundle]:
    """Sort paths, folders or single files, into what belongs together. Raises UsageError for one that is not there."""
    found: list[Bundle] = []
    single: dict[Path, list[Path]] = {}
    for path in paths:
        if path.is_dir():
            found.append(_folder(path))
        elif path.is_file():
            single.setdefault(_home(path), []).append(path)
        else:
            raise UsageError("no such file or folder", where=str(path), next_step="give a topologies folder or journey files")
    return found + [_of_files(home, files) for home, files in single.items()]


def schemas_beside(path: Path) -> Path | None:
    """Give the `schemas/avro` folder beside or above a topologies folder or file, None where there is none."""
    for parent in _upwards(path):
        folder = parent / "schemas" / "avro"
        if (folder / "events").is_dir():
            return folder
    return None


def _folder(path: Path) -> Bundle:
    if not path.is_dir():
        raise UsageError("no such topologies folder", where=str(path), next_step="give a folder with journeys/ and policy.yaml")
    if not (path / JOURNEYS).is_dir() and _is_topology(path.parent):
        return _of_files(path.parent, sorted(_journeys(path)))
    below = sorted(each.name for each in path.iterdir() if _is_topology(each) and (each / JOURNEYS).is_dir())
    if below and not (path / JOURNEYS).is_dir() and not _is_topology(path):
        raise UsageError("this is no topologies folder, but has one in it", where=str(path), next_step=f"give {path / below[0]}")
    inside = path / JOURNEYS
    journeys = sorted({*_journeys(inside if inside.is_dir() else path), *_journeys(path / EARLIER)})
    if not journeys:
        next_step = f"put journeys, one a file, into {inside}"
        raise UsageError("this folder has no journeys", where=str(path), next_step=next_step)
    shared = [path / name for name in SHARED if (path / name).is_file()]
    return Bundle(path, tuple((each, _kind(each, path)) for each in (*journeys, *shared)), is_complete=True)


def _journeys(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix in _SUFFIXES and not path.stem.endswith(_SCENARIO) and path.name not in SHARED and path.is_file():
            yield path


def _of_files(home: Path, files: list[Path]) -> Bundle:
    given = {path.name for path in files}
    shared = [home / name for name in SHARED if name not in given and (home / name).is_file()]
    return Bundle(home, tuple((each, _kind(each, home)) for each in (*files, *shared)), is_complete=False)


def _kind(path: Path, home: Path) -> SourceKind:
    is_earlier = (home / EARLIER).absolute() in path.absolute().parents
    return SHARED.get(path.name, "earlier" if is_earlier else "journey")


def _home(path: Path) -> Path:
    """Give the topologies folder that a single file belongs to, its own folder where none is near."""
    return next((parent for parent in _upwards(path) if _is_topology(parent)), path.parent)


def _is_topology(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SHARED)


def _upwards(path: Path) -> list[Path]:
    """Give the folders above a path as the caller would name them, nearest first."""
    named = list(path.parents)
    absolute = list(path.absolute().parents)
    return (named + absolute[len(named) :])[:LEVELS_UP]


def content_of(path: Path) -> bytes:
    """Read a file, at most one byte more than any file may have: enough to tell that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the file: {error.strerror}", where=str(path), next_step="check its permissions") from error

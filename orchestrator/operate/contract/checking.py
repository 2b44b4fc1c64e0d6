"""Everything that `schemas check` can say without a registry: files, style, journeys, versions in git. All of it at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import fastavro
from msgspec import Struct

from orchestrator import defaults
from orchestrator.language.model import Place
from orchestrator.language.problems import Problem, Problems
from orchestrator.operate.contract import codes
from orchestrator.operate.contract.compatibility import against_commits, fingerprint_of, gone, not_kept, place_of, readable
from orchestrator.operate.contract.history import NoGit, history
from orchestrator.operate.contract.positions import Positions
from orchestrator.operate.contract.style import SchemaFile, review
from orchestrator.wire.schemas import SchemaSet, Unfit, events_folder, read_schemas
from orchestrator.workspace import bundles, schemas_beside

OUTPUTS = "journeys"  # the folder beside `events/` that has what the orchestrator writes


class Compared(Struct, frozen=True):
    """What was held against git: how many committed versions, `without` says why none.

    `is_shallow`: the clone does not reach back to the beginning. `unreadable`: committed files that are no schema.
    """

    versions: int = 0
    without: str = ""
    is_shallow: bool = False
    unreadable: int = 0


class Part(Struct, frozen=True):
    """A folder of schemas that are held against their past alike."""

    folder: Path
    is_output: bool


class Checked(Struct, frozen=True):
    """What came of it. `schemas` is None where a file cannot be used; the journeys were then not held against them."""

    problems: Problems
    files: int
    compared: Compared
    schemas: SchemaSet | None


def check(topologies: Path, schemas: Path | None, *, since: str = "", use_git: bool = True) -> Checked:
    """Check a schema folder, see `schemas_of`, and the journeys that read it.

    Raises UsageError where a folder is not there.
    """
    directory = schemas_of(topologies, schemas)
    problems = Problems()
    known, unfit = read_schemas(directory)
    for each in unfit:
        problems.add(unusable(each))
    broken = {each.path for each in unfit}
    files = {part: files_of(part.folder, broken, problems) for part in parts(directory)}
    _add(problems, review([file for of_part in files.values() for file in of_part]))
    if not unfit:
        for problem in bundles([topologies])[0].load(known.catalog()).problems:
            if problem.severity == "error":
                problems.add(problem)
    compared = _compare(files, problems, since) if use_git else Compared(without="--no-git was given")
    return Checked(problems, sum(map(len, files.values())), compared, None if unfit else known)


def schemas_of(topologies: Path, schemas: Path | None) -> Path:
    """Give the schema folder that was named, else the one beside the topologies, else the shipped one."""
    return schemas or schemas_beside(topologies) or defaults.SCHEMAS


def parts(directory: Path) -> tuple[Part, ...]:
    """Give the folders of a schema directory: what comes in, and where it is there, what goes out."""
    events = events_folder(directory)
    outputs = events.parent / OUTPUTS
    has_outputs = events.name == "events" and outputs.is_dir()
    return (Part(events, False), Part(outputs, True)) if has_outputs else (Part(events, False),)


def files_of(folder: Path, broken: set[Path], problems: Problems) -> list[SchemaFile]:
    """Read the files of a folder that are schemas; what is wrong with an output is told here, an input was looked at before."""
    found = []
    for path in sorted(folder.glob("*.avsc")):
        if path in broken:
            continue
        try:
            found.append(read(path))
        except Exception as error:  # fastavro raises what it likes for what is no schema
            problems.add(unusable(Unfit(path, f"not an Avro schema: {type(error).__name__}: {error}")))
    return found


def read(path: Path) -> SchemaFile:
    """Read one file. Raises whatever json and fastavro do for what is no schema."""
    text = path.read_text(encoding="utf-8")
    return SchemaFile(str(path), text, json.loads(text), fastavro.parse_schema(json.loads(text)))


def _compare(files: Mapping[Part, list[SchemaFile]], problems: Problems, since: str) -> Compared:
    try:
        past = {part: history(part.folder, since) for part in files}
    except NoGit as why:
        return Compared(without=str(why))
    number = unreadable = 0
    for part, here in files.items():
        committed, lost = readable(past[part].versions)
        number, unreadable = number + len(committed), unreadable + lost
        for file in here:
            _add(problems, against_commits(file, committed, is_output=part.is_output))
        if not part.is_output:
            kept = frozenset(fingerprint_of(file.parsed) for file in (*here, *kept_versions(part.folder)))
            _add(problems, not_kept(here, committed, kept))
        _add(problems, gone(str(part.folder), here, committed))
    return Compared(number, is_shallow=any(each.is_shallow for each in past.values()), unreadable=unreadable)


def kept_versions(folder: Path) -> Iterator[SchemaFile]:
    """Read the older versions that files keep; those that cannot be used were told before."""
    for path in sorted((folder / "history").glob("*.avsc")):
        try:
            yield read(path)
        except Exception:  # noqa: S112 - see above
            continue


def _add(problems: Problems, found: Iterable[Problem]) -> None:
    for each in found:
        problems.add(each)


def unusable(each: Unfit) -> Problem:
    """Put what is wrong where it is, as near as the sentence says: its first words may name a field."""
    place = Place(str(each.path), each.line, each.column)
    if (each.line, each.column) == (1, 1):
        try:
            text = each.path.read_text(encoding="utf-8")
            words = each.message.removeprefix("the field ")
            place = Place(str(each.path), *Positions(text).at(place_of(words, json.loads(text))))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            pass  # the beginning of the file, then
    return Problem(place, codes.UNUSABLE, each.message)

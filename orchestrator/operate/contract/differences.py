"""What differs between the schemas of a revision, or a registry, and the files here, and whether readers can still read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import fastavro
from msgspec import Struct

from orchestrator.errors import InvalidTopology
from orchestrator.language.problems import Problem, Problems
from orchestrator.operate.contract.checking import Part, files_of, kept_versions, parts, schemas_of, unusable
from orchestrator.operate.contract.compatibility import (
    Committed,
    against_commits,
    fingerprint_of,
    gone,
    not_kept,
    readable,
    what_it_is,
)
from orchestrator.operate.contract.fields import Field, attributes, fields_of
from orchestrator.operate.contract.history import files_at
from orchestrator.operate.contract.style import SchemaFile
from orchestrator.operate.contract.subjects import Contract, Planned, Subjects
from orchestrator.wire.evolution import incompatibilities
from orchestrator.wire.schemas import read_schemas

State = Literal["added", "removed", "changed"]
Readable = Literal["yes", "no", "with a registry"]

_VERSION = "event_version"


class Change(Struct, frozen=True):
    """One thing that differs. `field` "" for the record itself; `what` is added, removed, or what of it is another."""

    field: str
    what: str
    before: str = ""
    after: str = ""


class Difference(Struct, frozen=True):
    """A type, or a subject, that differs. `readable`: can what was written before be read, and where others read it, by them?

    "with a registry": an earlier version is in no file any more, so that its fingerprint tells nothing to a worker without one.
    `findings` name places in files, `why` is what there is to say without one.
    """

    type: str
    state: State
    readable: Readable
    before: str
    after: str
    changes: tuple[Change, ...] = ()
    findings: tuple[Problem, ...] = ()
    why: tuple[str, ...] = ()


class Differences(Struct, frozen=True):
    """What came of it; `unreadable` files of the other side are no schemas and were left out."""

    differences: tuple[Difference, ...]
    unreadable: int = 0

    @property
    def breaks(self) -> bool:
        """Tell whether something could not be read any more."""
        return any(each.readable == "no" for each in self.differences)


def since_revision(topologies: Path, schemas: Path | None, revision: str) -> Differences:
    """Hold the schema files against those of a revision.

    Raises NoGit where there is none or it knows no such revision, InvalidTopology where a file here is no schema.
    """
    directory = schemas_of(topologies, schemas)
    found: list[Difference] = []
    unreadable = 0
    for part, here in files_here(directory).items():
        committed, lost = readable(files_at(part.folder, revision))
        unreadable += lost
        found += _of_part(part, here, committed)
    return Differences(tuple(found), unreadable)


def since_registered(subjects: Subjects, wanted: Sequence[Contract]) -> Differences:
    """Hold the contracts of a topology against the latest version of each subject; the registry judges by all of them.

    Raises Unreachable where the registry does not help.
    """
    found: list[Difference] = []
    unreadable = 0
    for planned in subjects.plan(list(wanted)):
        latest = subjects.latest(planned.contract)
        after: Any = fastavro.parse_schema(json.loads(planned.contract.schema))
        try:
            before: Any = None if latest is None else fastavro.parse_schema(json.loads(latest))
            found += _of_subject(planned, before, after)
        except Exception:  # fastavro raises what it likes for what is no schema; one may refer to others, too
            unreadable += 1
            if planned.state == "BREAKS":
                found.append(Difference(planned.contract.subject, "changed", "no", "", _version(after), why=(planned.why,)))
    return Differences(tuple(found), unreadable)


def changes(before: Any, after: Any) -> Iterator[Change]:
    """Give what differs between two versions of a record, both from `fastavro.parse_schema`, as they are written there."""
    for name, old, new in (
        ("name", before["name"], after["name"]),
        ("version", str(before.get(_VERSION, "")), str(after.get(_VERSION, ""))),
        ("doc", str(before.get("doc") or ""), str(after.get("doc") or "")),
        *_attributes(attributes(before), attributes(after)),
    ):
        if old != new:
            yield Change("", name, old, new)
    old_fields, new_fields = ({field.path: field for field in fields_of(schema)} for schema in (before, after))
    for path, field in old_fields.items():
        if path not in new_fields:
            yield Change(path, "removed", before=_told(field))
    for path, field in new_fields.items():
        if path not in old_fields:
            yield Change(path, "added", after=_told(field))
        else:
            yield from _of_field(old_fields[path], field)
    was, now = [path for path in old_fields if path in new_fields], [path for path in new_fields if path in old_fields]
    if was != now:
        yield Change("", "order", ", ".join(was), ", ".join(now))


def files_here(directory: Path) -> Mapping[Part, list[SchemaFile]]:
    """Read the schema files of a directory, without history/. Raises InvalidTopology where one is no schema."""
    problems = Problems()
    here = parts(directory)
    # What is wrong in history/ may be what is asked about: a version that the current one can no longer read.
    unfit = [each for each in read_schemas(directory)[1] if each.path.parent in {part.folder for part in here}]
    for each in unfit:
        problems.add(unusable(each))
    found = {part: files_of(part.folder, {each.path for each in unfit}, problems) for part in here}
    if problems.has_errors:
        listed = "\n  ".join(["these schemas cannot be used:", *(each.quoted for each in problems)])
        raise InvalidTopology(listed, next_step="orchestrator schemas check")
    return found


def _of_part(part: Part, here: Sequence[SchemaFile], committed: Sequence[Committed]) -> Iterator[Difference]:
    kept = [*kept_versions(part.folder)] if not part.is_output else []
    then = {each.what: each for each in committed if "/" not in each.version.path}
    now = {what_it_is(file.parsed): file for file in here}
    for what in sorted(then.keys() | now.keys()):
        earlier = [each for each in committed if each.what == what]
        if what not in now:
            findings = tuple(gone(str(part.folder), here, [then[what]]))
            yield Difference(what, "removed", "no", _version(then[what].schema), "", findings=findings)
            continue
        file, after = now[what], _version(now[what].parsed)
        older = [each for each in kept if what_it_is(each.parsed) == what]
        breaks = tuple(against_commits(file, earlier, is_output=part.is_output))
        if what not in then:
            yield Difference(what, "added", "no" if breaks else "yes", "", after, findings=breaks)
            continue
        texts = {fingerprint_of(each.parsed): _version(each.parsed) for each in (file, *older)}
        lost = [] if part.is_output else [each for each in earlier if each.fingerprint not in texts]
        doubts = () if part.is_output else tuple(not_kept([file], earlier, frozenset(texts)))
        found = (*changes(then[what].schema, file.parsed), *_kept_changes(then[what], earlier, older, part))
        if found:
            answer: Readable = "no" if breaks else "with a registry" if lost else "yes"
            yield Difference(what, "changed", answer, _version(then[what].schema), after, found, (*breaks, *doubts))


def _kept_changes(then: Committed, earlier: Sequence[Committed], older: Sequence[SchemaFile], part: Part) -> Iterator[Change]:
    """Give which earlier versions are kept in files of `history/` that were not, and the other way round."""
    if part.is_output:
        return
    before = {each.fingerprint: _version(each.schema) for each in earlier if each is not then}
    after = {fingerprint_of(each.parsed): _version(each.parsed) for each in older}
    yield from (Change("", "kept version", before=version) for key, version in before.items() if key not in after)
    yield from (Change("", "kept version", after=version) for key, version in after.items() if key not in before)


def _of_subject(planned: Planned, before: Any, after: Any) -> Iterator[Difference]:
    subject = planned.contract.subject
    if before is None:
        yield Difference(subject, "added", "yes", "", _version(after))
        return
    found = tuple(changes(before, after))
    is_output = planned.contract.compatibility.startswith("FULL")
    sentences = [*incompatibilities(before, after), *(incompatibilities(after, before) if is_output else ())]
    # A subject that nobody registered by `register` may have no compatibility level, and its registry takes anything.
    broken = planned.state == "BREAKS" or bool(sentences)
    if found or broken:
        why = tuple(each for each in dict.fromkeys((planned.why, *sentences)) if each)
        yield Difference(subject, "changed", "no" if broken else "yes", _version(before), _version(after), found, why=why)


def _of_field(before: Field, after: Field) -> Iterator[Change]:
    for name, old, new in (
        ("type", before.type, after.type),
        ("default", before.default, after.default),
        ("doc", before.doc, after.doc),
        *_attributes(before.more, after.more),
    ):
        if old != new:
            yield Change(after.path, name, old, new)


def _attributes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted(before.keys() | after.keys()):
        if name not in ("event_type", _VERSION):
            yield name, before.get(name, ""), after.get(name, "")


def _told(field: Field) -> str:
    return f"{field.type}, default {field.default}" if field.default else field.type


def _version(schema: Any) -> str:
    return str(schema.get(_VERSION, ""))

"""A Markdown page for each type: its fields and who uses them, which topic has it, which journeys hear it, its versions.

The same files give the same text. What git says is the exception that cannot be helped: a version has no commit before it is
committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from orchestrator import defaults
from orchestrator.language.model import Policy, Streams
from orchestrator.operate.contract.checking import kept_versions
from orchestrator.operate.contract.compatibility import fingerprint_of, readable, what_it_is
from orchestrator.operate.contract.differences import files_here
from orchestrator.operate.contract.fields import fields_of
from orchestrator.operate.contract.history import NoGit, Version, history
from orchestrator.operate.contract.style import SchemaFile
from orchestrator.operate.contract.subjects import contracts
from orchestrator.operate.lineage.uses import Use, uses
from orchestrator.wire.routing import carried_types
from orchestrator.wire.schemas import EventType, SchemaSet, load_schemas
from orchestrator.workspace import Workspace

_VERSION: Final = "event_version"
_INSIDE: Final = re.compile(r"\[\]|\{\}")


class Page(Struct, frozen=True):
    """The page of an event type, or of a record that the orchestrator writes, by its full name."""

    type: str
    text: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.type}.md"


class _Version(Struct, frozen=True):
    """A version by its number and fingerprint: the commit that brought it, and whether a file here has it."""

    number: str
    fingerprint: str
    commit: str = ""
    is_here: bool = False


def pages(topologies: Path, schemas: Path | None, *, use_git: bool = True) -> tuple[list[Page], list[str]]:
    """Give the pages, and what there is to say of git: why it told nothing, or not all.

    Raises InvalidTopology where schemas or journeys are not valid.
    """
    workspace = Workspace.load(topologies, schemas)
    directory = workspace.schemas or defaults.SCHEMAS
    known = load_schemas(directory)
    streams, policy = workspace.topology.streams, workspace.topology.policy
    topics = _topics(streams, policy, known)
    used = uses(workspace.topology, workspace.catalog)
    found: list[Page] = []
    notes: list[str] = []
    has_commits = use_git
    for part, files in files_here(directory).items():
        kept = [*files, *kept_versions(part.folder)]
        committed: Sequence[tuple[str, _Version]] = ()
        if has_commits:
            try:
                past = history(part.folder)
                committed = _committed(past.versions)
                if past.is_shallow:
                    notes.append("this clone is shallow, so older versions are not told: git fetch --unshallow")
            except NoGit as why:
                has_commits = False
                notes.append(f"versions in git are not told: {why}")
        for file in sorted(files, key=lambda each: what_it_is(each.parsed)):
            what = what_it_is(file.parsed)
            versions = _versions(what, kept, committed)
            of_type = [each for each in used if each.type == what]
            blocks = (
                *_head(file),
                *_fields(file, None if part.is_output else known.get(what), of_type),
                *_sent(topics.get(what, []), is_output=part.is_output),
                *(() if part.is_output else _heard(of_type)),
                *_told(versions, has_commits=has_commits),
            )
            found.append(Page(what, "\n".join(blocks).rstrip() + "\n"))
    return found, list(dict.fromkeys(notes))


def _topics(streams: Streams, policy: Policy, known: SchemaSet) -> Mapping[str, list[str]]:
    """Give the topics by what they carry: event types, and full names of what the orchestrator writes."""
    found: dict[str, list[str]] = {}
    for topic, types in carried_types(streams, known.types).items():
        for event_type in types:
            found.setdefault(event_type, []).append(topic)
    for each in contracts(streams, policy, known):
        schema = json.loads(each.schema)
        if "event_type" not in schema:
            name = f"{schema.get('namespace', '')}.{schema['name']}".lstrip(".")
            found.setdefault(name, []).append(each.subject.removesuffix("-value"))
    return {what: sorted(names) for what, names in found.items()}


def _committed(versions: Sequence[Version]) -> list[tuple[str, _Version]]:
    """Give each version that was ever committed, newest first, with what it is and the commit that brought it first."""
    found: dict[tuple[str, str, str], str] = {}
    for each in readable(versions)[0]:
        found[each.what, str(each.schema.get(_VERSION, "")), each.fingerprint] = each.version.told
    return [(what, _Version(number, fingerprint, commit)) for (what, number, fingerprint), commit in found.items()]


def _versions(what: str, kept: Sequence[SchemaFile], committed: Sequence[tuple[str, _Version]]) -> list[_Version]:
    here = {
        (str(each.parsed.get(_VERSION, "")), fingerprint_of(each.parsed)): "" for each in kept if what_it_is(each.parsed) == what
    }
    past = {(each.number, each.fingerprint): each.commit for name, each in committed if name == what}
    both = {**here, **past}
    return [_Version(*key, commit, key in here) for key, commit in both.items()]


def _head(file: SchemaFile) -> Iterator[str]:
    schema = file.parsed
    yield f"# {what_it_is(schema)}"
    yield ""
    if schema.get("doc"):
        yield _escaped(schema["doc"])
        yield ""
    number = f", version {schema[_VERSION]}" if _VERSION in schema else ""
    yield f"Record `{schema['name']}`{number}; the file is `{Path(file.path).name}`."
    yield ""


def _fields(file: SchemaFile, event: EventType | None, of_type: Sequence[Use]) -> Iterator[str]:
    """Give the table of the fields, then of the names that a field of free names has, declared or used."""
    fields = list(fields_of(file.parsed))
    last = () if event is None else ("Used by",)
    yield "## Fields"
    yield ""
    yield from _row("Field", "Type", "Default", "What it is", *last)
    yield from _row(*["---"] * (4 + len(last)))
    for field in fields:
        users = () if event is None else (_users(_INSIDE.sub("", field.path), of_type),)
        yield from _row(_code(field.path), _code(field.type), _code(field.default), _escaped(field.doc), *users)
    yield ""
    if event is None:
        return
    paths = {_INSIDE.sub("", field.path) for field in fields}
    names = sorted(({*event.fields} | {each.field for each in of_type if each.field}) - paths)
    if names:
        yield "## Names in it"
        yield ""
        yield "Declared for a field whose entries may have any name, or read by journeys."
        yield ""
        yield from _row("Name", "Type", "Used by")
        yield from _row("---", "---", "---")
        for name in names:
            yield from _row(_code(name), _code(str(event.fields.get(name, ""))) or "not declared", _users(name, of_type))
        yield ""


def _users(field: str, of_type: Sequence[Use]) -> str:
    found: dict[str, dict[str, None]] = {}
    for each in of_type:
        if each.field == field:
            found.setdefault(_who(each), {})[each.kind] = None
    return "; ".join(f"{who} ({', '.join(kinds)})" for who, kinds in found.items())


def _sent(topics: Sequence[str], *, is_output: bool) -> Iterator[str]:
    yield "## Who sends it"
    yield ""
    if is_output:
        where = f", to {_listed(topics)}" if topics else ""
        yield f"The orchestrator{where}."
    elif topics:
        yield f"Whoever may write to {_listed(topics)}, as streams.yaml says."
    else:
        yield "Nobody: no topic of streams.yaml carries it."
    yield ""


def _heard(of_type: Sequence[Use]) -> Iterator[str]:
    yield "## Who hears it"
    yield ""
    found: dict[str, dict[str, None]] = {}
    for each in of_type:
        if not each.field:
            name = each.kind if each.step in ("", each.kind) else f"{each.kind} at {_code(each.step)}"
            found.setdefault(_who(each), {})[name] = None
    for who, places in found.items():
        yield f"- {who}: {', '.join(places)}"
    if not found:
        yield "No journey."
    yield ""


def _told(versions: Sequence[_Version], *, has_commits: bool) -> Iterator[str]:
    yield "## Versions"
    yield ""
    last = ("Committed first", "In a file") if has_commits else ()
    yield from _row("Version", "Fingerprint", *last)
    yield from _row(*["---"] * (2 + len(last)))
    for each in versions:
        cells = (each.commit or "not yet", "yes" if each.is_here else "no") if has_commits else ()
        yield from _row(each.number or "none", _code(each.fingerprint), *cells)


def _who(use: Use) -> str:
    return f"`{use.journey}` v{use.version}" if use.journey else "policy.yaml"


def _listed(topics: Sequence[str]) -> str:
    return ", ".join(map(_code, topics))


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Give a text as code in a table; one with backticks in it needs more of them around."""
    ticks = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{ticks}{space}{_cell(text)}{space}{ticks}" if text else ""


def _escaped(text: Any) -> str:
    return _cell(str(text).replace("&", "&amp;").replace("<", "&lt;"))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

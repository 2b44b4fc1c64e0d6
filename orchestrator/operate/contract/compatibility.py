"""Schemas against the versions that were committed before: what comes in must stay readable, what goes out both ways.

Inputs BACKWARD_TRANSITIVE: old partitions are replayed, so this version reads the records of every earlier one. Outputs
FULL_TRANSITIVE: others keep old readers, too. The rules are Avro's, by the same code that holds `events/history/` against the
current files; `register` has a registry judge by its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from msgspec import Struct

from orchestrator.language.model import Place
from orchestrator.language.problems import Problem
from orchestrator.operate.contract import codes
from orchestrator.operate.contract.history import Version
from orchestrator.operate.contract.positions import Path, Positions
from orchestrator.operate.contract.style import SchemaFile
from orchestrator.wire.evolution import incompatibilities

_HISTORY: Final = "history"
_ADVICE: Final = {  # by words of what the comparison says
    "has no default symbol": "keep the symbols, or give the enum a default",
    "has no default": "give it a default",
    "can no longer be": 'keep `["null", ...]`',
    "changed its meaning": "keep the logical type, or add a field of another name",
    " was ": "keep the type, or add a field of another name",
}


class Committed(Struct, frozen=True):
    """A committed version that could be read: what it is (event type or full name), the parsed schema, its fingerprint."""

    version: Version
    what: str
    schema: Any
    fingerprint: str

    @property
    def told(self) -> str:
        """The version as messages name it."""
        number = self.schema.get("event_version")
        return f"{f'{number}, ' if number else ''}commit {self.version.told}"


def readable(versions: Sequence[Version]) -> tuple[list[Committed], int]:
    """Give those that are schemas, and how many are none: a broken file may have been committed."""
    found = [each for version in versions if (each := _committed(version)) is not None]
    return found, len(versions) - len(found)


def what_it_is(schema: Mapping[str, Any]) -> str:
    """Give what stays the same over all versions of a schema: the event type, for what is no event the full name."""
    return str(schema.get("event_type") or schema["name"])


def fingerprint_of(schema: Any) -> str:
    """Give what records name a schema by without a registry."""
    return str(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def against_commits(file: SchemaFile, committed: Sequence[Committed], *, is_output: bool) -> Iterator[Problem]:
    """Hold one file against every committed version of the same thing."""
    schema = file.parsed
    earlier = [each for each in committed if each.what == what_it_is(schema)]
    found: dict[tuple[str, str], list[Committed]] = {}
    for each in earlier:
        if each.schema["name"] != schema["name"]:
            found.setdefault((codes.RENAMED, f"the record was {each.schema['name']} and is {schema['name']}"), []).append(each)
        for reason in incompatibilities(each.schema, schema):
            found.setdefault((codes.NOT_BACKWARD, reason), []).append(each)
        for reason in incompatibilities(schema, each.schema) if is_output else ():
            found.setdefault((codes.NOT_FORWARD, reason), []).append(each)
    positions = Positions(file.text)
    for (code, reason), broken in found.items():
        place = Place(file.path, *positions.at(place_of(reason, file.schema)))
        yield Problem(place, code, f"{_sentence(code, reason)}: {_whom(broken)}; {_advice(code, reason)}")


def not_kept(files: Sequence[SchemaFile], committed: Sequence[Committed], kept: frozenset[str]) -> Iterator[Problem]:
    """Warn of versions that were committed as current ones and whose fingerprint no file has any more (`kept` are those)."""
    paths = {what_it_is(file.parsed): file.path for file in files}
    told: set[str] = set()
    for each in committed:
        is_current = _HISTORY not in each.version.path.split("/")
        if each.what in paths and is_current and each.fingerprint not in kept and each.fingerprint not in told:
            told.add(each.fingerprint)
            message = f"version {each.told} is in no file of history/, so without a registry its records are `unknown_schema`"
            folder = paths[each.what].rpartition("/")[0] or "."
            advice = f"git -C {folder} show {each.version.commit[:10]}:./{each.version.path} into a file there"
            yield Problem(Place(paths[each.what], 1, 1), codes.NOT_KEPT, f"{message}: {advice}", "warning")


def gone(folder: str, files: Sequence[SchemaFile], committed: Sequence[Committed]) -> Iterator[Problem]:
    """Warn of schemas that commits had and no file has: records of the type may still be in a topic."""
    here = {what_it_is(file.parsed) for file in files}
    last: dict[str, Committed] = {}
    for each in committed:
        last.setdefault(each.what, each)
    for what, each in last.items():
        if what not in here:
            message = f"{what} is there no more, last in commit {each.version.told}: its records become incidents"
            advice = "keep the file until no topic has any"
            yield Problem(Place(f"{folder}/{each.version.path}", 1, 1), codes.GONE, f"{message}; {advice}", "warning")


def place_of(reason: str, schema: Any) -> Path:
    """Give the path of the field that a sentence begins with (`device.os was string ...`), of the record where it names none."""
    return (*_field_path(reason.split(" ", 1)[0].split("."), schema, ()), "name")


def _field_path(names: Sequence[str], schema: Any, at: Path) -> Path:
    for n, field in enumerate(schema["fields"]):
        if field["name"] == names[0]:
            here = (*at, "fields", n)
            record, inside = _record_in(field["type"], (*here, "type"))
            return _field_path(names[1:], record, inside) if names[1:] and record else here
    return at


def _record_in(schema: Any, at: Path) -> tuple[Any, Path]:
    """Give the record that a field's type is or has as a branch, with its path."""
    if isinstance(schema, list):
        return next((found for n, each in enumerate(schema) if (found := _record_in(each, (*at, n)))[0]), (None, at))
    return (schema, at) if isinstance(schema, dict) and schema.get("type") == "record" else (None, at)


def _committed(version: Version) -> Committed | None:
    try:
        schema: Any = fastavro.parse_schema(json.loads(version.text))
        if not isinstance(schema, dict) or schema["type"] != "record":
            return None
        return Committed(version, what_it_is(schema), schema, fingerprint_of(schema))
    except Exception:  # fastavro raises what it likes for what is no schema
        return None


def _sentence(code: str, reason: str) -> str:
    if code != codes.NOT_FORWARD:
        return reason
    return f"for earlier readers {reason.replace(' is new and has no default', ' is gone and had no default')}"


def _whom(broken: Sequence[Committed]) -> str:
    first, others = broken[0], len(broken) - 1
    more = f" and {others} more" if others else ""
    return f"version {first.told}{more}"


def _advice(code: str, reason: str) -> str:
    if code == codes.RENAMED:
        return "keep the full name: by another one its records are not known"
    if code == codes.NOT_FORWARD and reason.endswith("has no default"):
        return "keep the field: who reads by that version needs it"
    return next((advice for words, advice in _ADVICE.items() if words in reason), "bring it back as it was")

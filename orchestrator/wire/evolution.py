"""Whether an older version of a schema can be read as the current one: Avro's resolution rules, checked when the files are read.

Without this check a version that does not resolve would show only when its first record fails.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.wire.shape import Schema, branches, names_in
from orchestrator.wire.values import Names, resolve, type_of

# What a reader's type may have been written as (Avro specification, "Schema Resolution").
_PROMOTIONS: Final = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_MEANING: Final = ("logicalType", "scale", "size")


def incompatibilities(writer: Schema, reader: Schema) -> list[str]:
    """Give what keeps records of `writer` from being read as `reader`, as sentences. Both come from `fastavro.parse_schema`."""
    return _compare(writer, reader, "", names_in(writer), names_in(reader))


def _compare(writer: Schema, reader: Schema, path: str, written: Names, read: Names) -> list[str]:
    writer, reader = resolve(writer, written), resolve(reader, read)
    if isinstance(writer, list) or isinstance(reader, list):
        return _compare_unions(writer, reader, path, written, read)
    kinds = type_of(writer), type_of(reader)
    if kinds[0] != kinds[1]:
        return [] if kinds[0] in _PROMOTIONS.get(kinds[1], ()) else [f"{path} was {kinds[0]} and is {kinds[1]}"]
    if kinds[0] == "record":
        return _compare_records(writer, reader, path, written, read)
    if kinds[0] in ("array", "map"):
        inner = "items" if kinds[0] == "array" else "values"
        return _compare(writer[inner], reader[inner], path, written, read)
    if kinds[0] == "enum" and "default" not in reader:
        lost = sorted(set(writer["symbols"]) - set(reader["symbols"]))
        return [f"{path} lost {', '.join(lost)} and has no default symbol"] if lost else []
    return _compare_meaning(writer, reader, path)


def _compare_records(writer: Any, reader: Any, path: str, written: Names, read: Names) -> list[str]:
    found: list[str] = []
    old = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        name = f"{path}.{field['name']}" if path else field["name"]
        known_as = next((word for word in (field["name"], *field.get("aliases", ())) if word in old), None)
        if known_as is not None:
            found += _compare(old[known_as]["type"], field["type"], name, written, read)
        elif "default" not in field:
            found.append(f"{name} is new and has no default")
    return found


def _compare_unions(writer: Schema, reader: Schema, path: str, written: Names, read: Names) -> list[str]:
    if "null" in (writer if isinstance(writer, list) else ()) and "null" not in (reader if isinstance(reader, list) else ()):
        return [f"{path} could be null and can no longer be"]
    for branch in branches(writer):
        if not any(not _compare(branch, choice, path, written, read) for choice in branches(reader)):
            return [f"{path} was {type_of(resolve(branch, written))}, which is no longer among its types"]
    return []


def _compare_meaning(writer: Schema, reader: Schema, path: str) -> list[str]:
    old, new = ([schema.get(key) if isinstance(schema, dict) else None for key in _MEANING] for schema in (writer, reader))
    return [] if old == new else [f"{path} changed its meaning: logical type, scale or size differ"]

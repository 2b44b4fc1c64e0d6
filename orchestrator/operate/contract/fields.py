"""What stands in a schema, field by field, in words for people: for what differs between two versions, and for pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

_NOTED: Final = frozenset({"name", "type", "default", "doc", "fields", "namespace"})


class Field(Struct, frozen=True):
    """A field by its path: dots into records, `[]` for the items of an array, `{}` for the values of a map.

    `default` is JSON, "" for none. `more` are other attributes as JSON by their names.
    """

    path: str
    type: str
    default: str
    doc: str
    more: dict[str, str]


def fields_of(schema: Any, prefix: str = "") -> Iterator[Field]:
    """Give the fields of a record from `fastavro.parse_schema`, each before those in it."""
    for field in schema["fields"]:
        path = prefix + field["name"]
        default = shown(field["default"]) if "default" in field else ""
        yield Field(path, type_text(field["type"]), default, str(field.get("doc") or ""), attributes(field))
        for inside, record in _records(field["type"], path):
            yield from fields_of(record, f"{inside}.")


def attributes(schema: Any) -> dict[str, str]:
    """Give what a record or field has beside name, type, default and doc, without what the parser adds."""
    return {name: shown(value) for name, value in schema.items() if name not in _NOTED and not name.startswith("__")}


def type_text(schema: Any) -> str:
    """Give a type in words, on one line; of a record its name only."""
    if isinstance(schema, list):
        return " or ".join(map(type_text, schema))
    if not isinstance(schema, dict):
        return str(schema)
    kind = schema["type"]
    if "logicalType" in schema:
        return _logical(schema)
    if kind == "array":
        return f"array of {_in_brackets(schema['items'])}"
    if kind == "map":
        return f"map of {_in_brackets(schema['values'])}"
    if kind == "enum":
        default = f", default {schema['default']}" if "default" in schema else ""
        return f"enum {schema['name']} ({', '.join(schema['symbols'])}{default})"
    if kind == "fixed":
        return f"fixed {schema['name']} ({schema['size']} bytes)"
    return f"record {schema['name']}" if kind == "record" else type_text(kind)


def shown(value: Any) -> str:
    """Give a value as JSON, as it would stand in the file."""
    return json.dumps(value, ensure_ascii=False)


def _logical(schema: Any) -> str:
    figures = [str(schema[name]) for name in ("precision", "scale") if name in schema]
    base = type_text({name: value for name, value in schema.items() if name != "logicalType"})
    given = f"({', '.join(figures)})" if figures else ""
    return f"{schema['logicalType']}{given} as {base}"


def _in_brackets(schema: Any) -> str:
    text = type_text(schema)
    return f"({text})" if isinstance(schema, list) else text


def _records(schema: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give the records in a type with the path to each; one that was spelt out before is a name here and is left out."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _records(branch, path)
    elif isinstance(schema, dict):
        if schema["type"] == "record":
            yield path, schema
        elif schema["type"] == "array":
            yield from _records(schema["items"], f"{path}[]")
        elif schema["type"] == "map":
            yield from _records(schema["values"], f"{path}{{}}")
        elif isinstance(schema["type"], dict | list):
            yield from _records(schema["type"], path)

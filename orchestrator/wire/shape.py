"""What an Avro schema may look like before its bytes are decoded: small, flat, and with nothing that costs more than its bytes.

fastavro has no limits of its own. A recursive schema lets 5,000 bytes of nesting end the process with a segmentation fault,
and an array of items without bytes lets 5 bytes fill the memory, so both are refused when the schema is first seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

MAX_DEPTH: Final = 32
MAX_FIELDS: Final = 1_000
MAX_DIGITS: Final = 1_000  # of a decimal: its bounds are powers of ten, and one of a million digits takes minutes

Schema = Any  # parsed JSON: a name, a union as list, or a mapping


def faults(schema: Schema) -> list[str]:
    """Give what is hostile or too big in a schema, as sentences; an empty list means that decoding by it is safe.

    `schema` comes from `fastavro.parse_schema`, so it is valid Avro and all its names are full names.
    """
    inspection = _Inspection()
    inspection.visit(schema, "", 1)
    if inspection.fields > MAX_FIELDS:
        inspection.found.append(f"has {inspection.fields} fields; at most {MAX_FIELDS} are allowed")
    return inspection.found


class _Inspection:
    def __init__(self) -> None:
        self.found: list[str] = []
        self.fields = 0
        self._named: dict[str, Schema] = {}
        self._open: list[str] = []

    def visit(self, schema: Schema, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.found.append(f"{path or 'the record'} is nested more than {MAX_DEPTH} deep")
        elif isinstance(schema, list):
            for branch in schema:
                self.visit(branch, path, depth + 1)
        elif isinstance(schema, str):
            self._visit_name(schema, path, depth)
        elif schema["type"] == "record":
            self._visit_record(schema, path, depth)
        elif schema["type"] in ("array", "map"):
            self._visit_collection(schema, path, depth)
        else:
            self._visit_simple(schema, path)

    def _visit_simple(self, schema: Schema, path: str) -> None:
        if schema["type"] in ("enum", "fixed"):
            self._named[schema["name"]] = schema
        if schema.get("logicalType") == "decimal" and not all(_is_digits(schema.get(key, 0)) for key in ("precision", "scale")):
            self.found.append(f"{path} is a decimal whose precision or scale is no number up to {MAX_DIGITS}")

    def _visit_name(self, name: str, path: str, depth: int) -> None:
        if name in self._open:
            self.found.append(f"{path} contains the record {name} that it stands in: recursive schemas are refused")
        elif name in self._named:
            self.visit(self._named[name], path, depth)

    def _visit_record(self, schema: Schema, path: str, depth: int) -> None:
        self._named[schema["name"]] = schema
        self._open.append(schema["name"])
        seen: set[str] = set()
        for field in schema["fields"]:
            self.fields += 1
            inner = f"{path}.{field['name']}" if path else field["name"]
            if field["name"] in seen:
                self.found.append(f"{inner} is there twice")
            seen.add(field["name"])
            if self.fields <= MAX_FIELDS:
                self.visit(field["type"], inner, depth + 1)
        self._open.pop()

    def _visit_collection(self, schema: Schema, path: str, depth: int) -> None:
        items = schema["items"] if schema["type"] == "array" else schema["values"]
        self.visit(items, path, depth + 1)
        if schema["type"] == "array" and self._is_weightless(items):
            self.found.append(f"{path} is an array whose items take no bytes: a few bytes could ask for any number of them")

    def _is_weightless(self, schema: Schema, guard: int = 0) -> bool:
        if isinstance(schema, list) or guard > MAX_DEPTH:
            return False
        if isinstance(schema, str):
            return schema == "null" or (schema in self._named and self._is_weightless(self._named[schema], guard + 1))
        if schema["type"] == "record":
            return all(self._is_weightless(field["type"], guard + 1) for field in schema["fields"])
        return bool(schema["type"] == "null" or schema.get("size") == 0)


def _is_digits(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= MAX_DIGITS


def names_in(schema: Schema) -> dict[str, Schema]:
    """Give the named types that a parsed schema defines, by their full names."""
    if isinstance(schema, list):
        return {name: each for branch in schema for name, each in names_in(branch).items()}
    if not isinstance(schema, dict):
        return {}
    found = {schema["name"]: schema} if schema["type"] in ("record", "enum", "fixed") else {}
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[key] for key in ("items", "values") if key in schema]
    return found | {name: each for part in inner for name, each in names_in(part).items()}


def without_logical_types(schema: Schema) -> Schema:
    """Give a copy that decodes to plain ints and bytes; the parsing canonical form, and so the bytes, are the same."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    # fastavro's own marks (`__...`) go too: they would make it take the copy for parsed, with the named types of the original.
    plain = {key: value for key, value in schema.items() if key != "logicalType" and not key.startswith("__")}
    for key in plain.keys() & {"type", "items", "values"}:
        plain[key] = without_logical_types(plain[key])
    if "fields" in plain:
        plain["fields"] = [{**field, "type": without_logical_types(field["type"])} for field in plain["fields"]]
    return plain


def branches(schema: Schema) -> Iterator[Schema]:
    """Give the branches of a union other than null, or the schema itself where it is no union."""
    yield from (b for b in schema if b != "null") if isinstance(schema, list) else (schema,)

"""What an Avro schema may look like before its bytes are decoded: small, flat, and with nothing that costs more than its bytes.

fastavro has no limits of its own. A recursive schema lets 5,000 bytes of nesting end the process with a segmentation fault,
and an array of items without bytes lets 5 bytes fill the memory, so both are refused when the schema is first seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

MAX_DEPTH: Final = 32
MAX_FIELDS: Final = 1_000

Schema = Any  # parsed JSON: a name, a union as list, or a mapping


def faults(schema: Schema) -> list[str]:
    """Give what is hostile or too big in a schema, as sentences; an empty list means that decoding by it is safe.

    `schema` is as written (names are resolved here) and known to be valid Avro.
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

    def visit(self, schema: Schema, path: str, depth: int, namespace: str = "") -> None:
        if depth > MAX_DEPTH:
            self.found.append(f"{path or 'the record'} is nested more than {MAX_DEPTH} deep")
            return
        if isinstance(schema, list):
            for branch in schema:
                self.visit(branch, path, depth + 1, namespace)
        elif isinstance(schema, str):
            self._visit_name(full_name(schema, namespace), path, depth)
        elif schema["type"] in ("record", "error"):
            self._visit_record(schema, path, depth, namespace)
        elif schema["type"] in ("array", "map"):
            self._visit_collection(schema, path, depth, namespace)
        elif schema["type"] in ("enum", "fixed"):
            self._named[_own_name(schema, namespace)] = schema
        else:
            self.visit(schema["type"], path, depth, namespace)

    def _visit_name(self, name: str, path: str, depth: int) -> None:
        if name in self._open:
            self.found.append(f"{path} contains the record {name} that it stands in: recursive schemas are refused")
        elif name in self._named:
            self.visit(self._named[name], path, depth, name.rpartition(".")[0])

    def _visit_record(self, schema: Schema, path: str, depth: int, namespace: str) -> None:
        name = _own_name(schema, namespace)
        self._named[name] = schema
        self._open.append(name)
        for field in schema["fields"]:
            self.fields += 1
            if self.fields <= MAX_FIELDS:
                self.visit(field["type"], _join(path, field["name"]), depth + 1, name.rpartition(".")[0])
        self._open.pop()

    def _visit_collection(self, schema: Schema, path: str, depth: int, namespace: str) -> None:
        items = schema["items"] if schema["type"] == "array" else schema["values"]
        self.visit(items, path, depth + 1, namespace)
        if schema["type"] == "array" and self._is_weightless(items, namespace):
            self.found.append(f"{path} is an array whose items take no bytes: a few bytes could ask for any number of them")

    def _is_weightless(self, schema: Schema, namespace: str, guard: int = 0) -> bool:
        if isinstance(schema, list) or guard > MAX_DEPTH:
            return False
        if isinstance(schema, str):
            named = self._named.get(full_name(schema, namespace))
            return schema == "null" or (named is not None and self._is_weightless(named, namespace, guard + 1))
        if schema["type"] in ("record", "error"):
            return all(self._is_weightless(field["type"], namespace, guard + 1) for field in schema["fields"])
        if schema["type"] == "fixed":
            return bool(schema["size"] == 0)
        return bool(schema["type"] == "null")


def full_name(name: str, namespace: str) -> str:
    """Give a name with its namespace; the primitive types have none."""
    return name if "." in name or not namespace or name in PRIMITIVES else f"{namespace}.{name}"


PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def without_logical_types(schema: Schema) -> Schema:
    """Give a copy that decodes to plain ints and bytes; the parsing canonical form, and so the bytes, are the same."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: value for key, value in schema.items() if key != "logicalType"}
    for key in plain.keys() & {"type", "items", "values"}:
        plain[key] = without_logical_types(plain[key])
    if "fields" in plain:
        plain["fields"] = [{**field, "type": without_logical_types(field["type"])} for field in plain["fields"]]
    return plain


def branches(schema: Schema) -> Iterator[Schema]:
    """Give the branches of a union other than null, or the schema itself where it is no union."""
    yield from (b for b in schema if b != "null") if isinstance(schema, list) else (schema,)


def _own_name(schema: Schema, namespace: str) -> str:
    return full_name(schema["name"], schema.get("namespace", namespace))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

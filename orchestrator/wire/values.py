"""From what Avro decodes (ints and bytes) to what the engine reads, and how expressions see each type.

The schemas that bytes are decoded by have no logical types, because fastavro's own conversions cost more than the rest of the
record: 9 us instead of 3 for a purchase. What must be converted is listed once for each schema and done here: decimals to
float, timestamps and dates to integer ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.language.catalog import FieldType
from orchestrator.wire.shape import Schema, branches

Convert = Callable[[Any], Any]
Names = dict[str, Schema]

_DAY_MS: Final = 86_400_000
_FIELD_TYPES: Final[Mapping[str, FieldType]] = {
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "double",
    "double": "double",
    "bytes": "bytes",
    "fixed": "bytes",
    "string": "string",
    "enum": "string",
    "array": "list",
    "map": "map",
    "record": "map",
}
_LOGICAL_FIELD_TYPES: Final[Mapping[str, FieldType]] = {
    "decimal": "double",
    "timestamp-millis": "timestamp",
    "timestamp-micros": "timestamp",
    "date": "timestamp",
    "uuid": "string",
}


class Unsupported(ValueError):
    """A schema is valid Avro, but its values cannot be told apart after decoding."""


def resolve(schema: Schema, names: Names) -> Schema:
    """Replace the name of a named type by its definition."""
    return names.get(schema, schema) if isinstance(schema, str) else schema


def type_of(schema: Schema) -> str:
    """Give the Avro type's word: a primitive, record, enum, array, map, fixed."""
    return schema if isinstance(schema, str) else str(schema["type"])


def field_type(schema: Schema, names: Names) -> FieldType:
    """Give what an expression sees; a union of several types is dynamic."""
    choices = [resolve(branch, names) for branch in branches(schema)]
    if len(choices) != 1:
        return "dyn"
    only = choices[0]
    if isinstance(only, dict) and only.get("logicalType") in _LOGICAL_FIELD_TYPES:
        return _LOGICAL_FIELD_TYPES[only["logicalType"]]
    return _FIELD_TYPES.get(type_of(only), "dyn")


def conversion(schema: Schema, names: Names) -> Convert | None:
    """Give what turns a decoded value into a plain one, None where it is plain already. Raises Unsupported."""
    schema = resolve(schema, names)
    if isinstance(schema, list):
        return _union(schema, names)
    if not isinstance(schema, dict):
        return None
    kind = schema["type"]
    if kind == "record":
        return _record(schema, names)
    if kind == "array":
        item = conversion(schema["items"], names)
        return None if item is None else lambda values: [item(value) for value in values]
    if kind == "map":
        entry = conversion(schema["values"], names)
        return None if entry is None else lambda values: {key: entry(value) for key, value in values.items()}
    return _logical(schema)


def _union(schema: list[Schema], names: Names) -> Convert | None:
    choices = [(branch, conversion(branch, names)) for branch in branches(schema)]
    if len(choices) == 1:
        convert = choices[0][1]
        return None if convert is None else lambda value: None if value is None else convert(value)
    if any(convert is not None for _, convert in choices):
        raise Unsupported("a decimal, timestamp or date in a union may stand beside null only")
    return None


def _record(schema: dict[str, Any], names: Names) -> Convert | None:
    converts = [(field["name"], conversion(field["type"], names)) for field in schema["fields"]]
    needed = [(name, convert) for name, convert in converts if convert is not None]
    if not needed:
        return None

    def convert_record(values: dict[str, Any]) -> dict[str, Any]:
        for name, convert in needed:
            values[name] = convert(values[name])
        return values

    return convert_record


def _logical(schema: dict[str, Any]) -> Convert | None:
    logical = schema.get("logicalType")
    if logical == "decimal" and type_of(schema) in ("bytes", "fixed"):
        return _decimal(10 ** schema.get("scale", 0))
    if logical == "timestamp-micros":
        return lambda micros: micros // 1000
    if logical == "date":
        return lambda days: days * _DAY_MS
    return None


def _decimal(divisor: int) -> Convert:
    from_bytes = int.from_bytes
    # The quotient of two integers is correctly rounded, so it equals what the decimal text would parse to.
    return lambda raw: from_bytes(raw, "big", signed=True) / divisor

"""JSON values to Avro values: what people write in event files, made to fit a schema or refused with the reason.

`produce` and `simulate` both come through here, so that an event means the same through Kafka and in virtual time. A message
names the field, the type expected and the type found, never the value: these lines end up in terminals and logs.

Money: a JSON number becomes a decimal through its shortest text, so 11.77 is exactly 11.77; text is taken as well. Timestamps
are ISO 8601 text with a zone, or integer milliseconds. Bytes are base64 text.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from orchestrator.language.problems import nearest
from orchestrator.wire.shape import Schema, branches, without_logical_types
from orchestrator.wire.values import Names, resolve, type_of

Fault = str
Normalise = Callable[[Any, str, list[Fault]], Any]  # (value, path of the field, faults found so far) -> Avro value

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_ABSENT: Final = object()
_TYPE_WORDS: Final = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def normaliser(schema: Schema, names: Names) -> Normalise:
    """Compile what turns JSON values into values of `schema`, without logical types (ints and bytes)."""
    schema = resolve(schema, names)
    if isinstance(schema, list):
        return _union(schema, names)
    if isinstance(schema, str):
        return _PRIMITIVES[schema]
    kind = schema["type"]
    if kind == "record":
        return record_normaliser(schema["fields"], names)
    if kind in ("array", "map"):
        return _COLLECTIONS[kind](normaliser(schema["items" if kind == "array" else "values"], names))
    if kind == "enum":
        return _enum(schema["symbols"])
    return _logical(schema)


def record_normaliser(fields: list[dict[str, Any]], names: Names) -> Normalise:
    """Compile the fields of a record: unknown names and missing required ones are faults, defaults are filled in."""
    table: dict[str, tuple[Normalise, Any]] = {}
    for field in fields:
        each = normaliser(field["type"], names)
        table[field["name"]] = (each, _default(field, names))

    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if not isinstance(value, Mapping):
            return _wrong(value, path, "a mapping", faults)
        for name in value.keys() - table.keys():
            near = nearest(name, table)
            faults.append(f"{_join(path, name)}: no such field" + (f"; did you mean {near!r}?" if near else ""))
        found = {}
        for name, (each, default) in table.items():
            given = value.get(name, _ABSENT)
            if given is not _ABSENT:
                found[name] = each(given, _join(path, name), faults)
            elif default is not _ABSENT:
                found[name] = default
            else:
                faults.append(f"{_join(path, name)}: missing, and it has no default")
        return found

    return normalise


def epoch_ms(value: Any) -> int | None:
    """Read an instant: ISO 8601 text with a zone, or integer ms UTC. None where it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(1 << 63) <= value < 1 << 63 else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _default(field: dict[str, Any], names: Names) -> Any:
    """Give a field's default as Avro writes it into schemas: without logical types, and bytes as text of as many letters."""
    if "default" not in field:
        return _ABSENT
    value, plain_names = field["default"], {name: without_logical_types(each) for name, each in names.items()}
    first = without_logical_types(field["type"][0] if isinstance(field["type"], list) else field["type"])
    if isinstance(value, str) and type_of(resolve(first, plain_names)) in ("bytes", "fixed"):
        return value.encode("latin-1")
    faults: list[Fault] = []
    found = normaliser(first, plain_names)(value, field["name"], faults)
    if faults:
        raise ValueError(f"the default of {faults[0]}")
    return found


def _wrong(value: Any, path: str, expected: str, faults: list[Fault]) -> None:
    faults.append(f"{path}: expected {expected}, got {_type_word(value)}")


def _type_word(value: Any) -> str:
    return _TYPE_WORDS.get(type(value), type(value).__name__)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _integer(bits: int, word: str) -> Normalise:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if type(value) is not int:
            return _wrong(value, path, word, faults)
        if not low <= value <= high:
            faults.append(f"{path}: expected {word}, got one that does not fit {bits} bits")
        return value

    return normalise


def _exact(python: type, word: str) -> Normalise:
    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        return value if type(value) is python else _wrong(value, path, word, faults)

    return normalise


def _double(value: Any, path: str, faults: list[Fault]) -> Any:
    return float(value) if type(value) in (int, float, Decimal) else _wrong(value, path, "a number", faults)


def _float(value: Any, path: str, faults: list[Fault]) -> Any:
    number = _double(value, path, faults)
    try:
        return None if number is None else struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        faults.append(f"{path}: expected a 32-bit number, got one that does not fit")
        return None


def _bytes(value: Any, path: str, faults: list[Fault]) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return _wrong(value, path, "base64 text", faults)
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        faults.append(f"{path}: expected base64 text, got other text")
        return None


_PRIMITIVES: Final[Mapping[str, Normalise]] = {
    "null": _exact(type(None), "null"),
    "boolean": _exact(bool, "true or false"),
    "int": _integer(32, "an integer"),
    "long": _integer(64, "an integer"),
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _exact(str, "text"),
}


def _array(each: Normalise) -> Normalise:
    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if not isinstance(value, list):
            return _wrong(value, path, "a list", faults)
        return [each(item, f"{path}[{index}]", faults) for index, item in enumerate(value)]

    return normalise


def _map(each: Normalise) -> Normalise:
    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if not isinstance(value, Mapping):
            return _wrong(value, path, "a mapping", faults)
        return {str(name): each(item, _join(path, str(name)), faults) for name, item in value.items()}

    return normalise


_COLLECTIONS: Final[Mapping[str, Callable[[Normalise], Normalise]]] = {"array": _array, "map": _map}


def _enum(symbols: list[str]) -> Normalise:
    allowed = frozenset(symbols)
    word = "one of " + ", ".join(symbols)

    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if isinstance(value, str) and value not in allowed:
            faults.append(f"{path}: expected {word}, got another word")
            return None
        return value if isinstance(value, str) else _wrong(value, path, word, faults)

    return normalise


def _union(schema: list[Schema], names: Names) -> Normalise:
    choices = [normaliser(branch, names) for branch in branches(schema)]
    nullable = "null" in schema
    only = choices[0] if len(choices) == 1 else None
    expected = "one of " + ", ".join(type_of(resolve(branch, names)) for branch in schema)

    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if value is None and nullable:
            return None
        if only is not None:
            return only(value, path, faults)
        for choice in choices:
            tried: list[Fault] = []
            found = choice(value, path, tried)
            if not tried:
                return found
        return _wrong(value, path, expected, faults)

    return normalise


def _logical(schema: dict[str, Any]) -> Normalise:
    logical, kind = schema.get("logicalType"), type_of(schema)
    if logical == "decimal" and kind in ("bytes", "fixed"):
        return _decimal(schema["precision"], schema.get("scale", 0), schema.get("size"))
    if logical in ("timestamp-millis", "timestamp-micros") and kind == "long":
        return _timestamp(1000 if logical == "timestamp-micros" else 1)
    if logical == "date" and kind == "int":
        return _date
    if kind == "fixed":
        return _fixed(schema["size"])
    return _PRIMITIVES[kind]


def _timestamp(units_per_ms: int) -> Normalise:
    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        moment = epoch_ms(value)
        if moment is None:
            return _wrong(value, path, "ISO 8601 text with a zone or integer milliseconds", faults)
        return moment * units_per_ms

    return normalise


def _date(value: Any, path: str, faults: list[Fault]) -> Any:
    try:
        return date.fromisoformat(value).toordinal() - _EPOCH_ORDINAL
    except (TypeError, ValueError):
        return _wrong(value, path, "a date as YYYY-MM-DD", faults)


def _fixed(size: int) -> Normalise:
    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        raw = _bytes(value, path, faults)
        if raw is not None and len(raw) != size:
            faults.append(f"{path}: expected {size} bytes, got {len(raw)}")
        return raw

    return normalise


def _decimal(precision: int, scale: int, size: int | None) -> Normalise:
    word = f"a decimal with at most {scale} places"
    limit = 10**precision

    def normalise(value: Any, path: str, faults: list[Fault]) -> Any:
        if type(value) not in (int, float, str, Decimal):
            return _wrong(value, path, word, faults)
        try:
            units = Decimal(repr(value) if isinstance(value, float) else value).scaleb(scale)
            exact = int(units) if units.is_finite() and units == units.to_integral_value() else None
        except (InvalidOperation, ValueError):
            return _wrong(value, path, word, faults)
        if exact is None:
            faults.append(f"{path}: expected {word}, got one with more")
            return None
        if abs(exact) >= limit:
            faults.append(f"{path}: expected at most {precision} digits, got more")
            return None
        return exact.to_bytes(size or exact.bit_length() // 8 + 1, "big", signed=True)

    return normalise

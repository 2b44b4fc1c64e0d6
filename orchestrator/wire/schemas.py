"""The event schemas: read from .avsc files, checked once, ready to decode and to encode with.

A directory holds one file a type, `<type>.avsc`, the version that readers see. Older versions stand in `history/` under any
name; what was written with them is resolved into the current one by Avro's rules. Users add a type by adding a file, no code.

Two attributes beyond Avro on a field of type map: `"spread": true` makes its entries the payload itself, as in profile.updated
where any name may be set; `"known": {name: type}` declares the names that expressions may read as `event.<name>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Protocol, get_args

import fastavro
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form
from msgspec import Struct

from orchestrator import defaults
from orchestrator.errors import InvalidTopology, UsageError
from orchestrator.language.catalog import Catalog, EventSchema, FieldType
from orchestrator.names import CUSTOMER_ID, EVENT_ID, OCCURRED_AT, RESERVED_EVENT_TYPES, RESERVED_FIELDS
from orchestrator.wire import framing, shape
from orchestrator.wire.evolution import incompatibilities
from orchestrator.wire.normalise import epoch_ms, record_normaliser
from orchestrator.wire.skimming import Skim, skimmer
from orchestrator.wire.values import Convert, Names, conversion, field_type, resolve

_RESERVED_TYPES: Final[Mapping[str, FieldType]] = {EVENT_ID: "string", CUSTOMER_ID: "string", OCCURRED_AT: "timestamp"}


class BadEvent(ValueError):
    """The values given for an event do not fit its schema; `faults` says each, without the values."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class EventType:
    """One version of one event type. `fingerprint` is CRC-64-AVRO, 8 bytes little-endian; `schema_id` the same as hex."""

    __slots__ = (
        "_convert", "_normalise", "_spread", "fields", "fingerprint", "frame", "name", "reader", "schema", "schema_id", "type",
        "version", "writer",
    )  # fmt: skip

    def __init__(self, schema: dict[str, Any]) -> None:
        """`schema` comes from `fastavro.parse_schema` and has no `faults`; raises ValueError for what only shows here."""
        names = shape.names_in(schema)
        self.schema = schema
        self.type: str = schema["event_type"]
        self.version: str = schema["event_version"]
        self.name: str = schema["name"]
        self.fingerprint = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
        self.schema_id = self.fingerprint.hex()
        self.frame = framing.single_object(self.fingerprint)
        self.writer: Any = fastavro.parse_schema(shape.without_logical_types(schema))
        self.reader: Any = None  # where this is an older version, the current one
        payload = [field for field in schema["fields"] if field["name"] not in RESERVED_FIELDS]
        self.fields = {**_RESERVED_TYPES, **_declared(payload, names)}
        converts = [(field["name"], conversion(field["type"], names)) for field in payload]
        self._convert: tuple[tuple[str, Convert], ...] = tuple((name, each) for name, each in converts if each is not None)
        self._spread: str = next((field["name"] for field in payload if field.get("spread")), "")
        self._normalise = record_normaliser(payload, names)

    def read_as(self, current: EventType) -> None:
        """Make this older version decode into the current one."""
        self.reader = current.writer
        self._convert, self._spread = current._convert, current._spread

    def decode(self, body: BytesIO) -> tuple[str, str, int, dict[str, Any]]:
        """Read one body: (event_id, customer_id, occurred_at in ms, plain payload). Raises what fastavro raises for bad bytes."""
        values: Any = fastavro.schemaless_reader(body, self.writer, self.reader)
        head = values.pop(EVENT_ID), values.pop(CUSTOMER_ID), values.pop(OCCURRED_AT)
        return *head, self._plain(values)

    def skim(self, wanted: frozenset[str]) -> Skim | None:
        """Give a decoder that reads these fields of the payload and no others, None where the whole is to be read."""
        payload = {field["name"] for field in self.writer["fields"]}.difference(RESERVED_FIELDS)
        if self.reader is not None or self._spread or payload <= wanted:
            return None
        try:
            skim = skimmer(self.writer["fields"], shape.names_in(self.writer), wanted)
        except SyntaxError:  # nested deeper than Python's blocks may be
            return None
        converts = tuple((name, convert) for name, convert in self._convert if name in wanted)
        if not converts:
            return skim

        def converted(value: bytes, body: int) -> tuple[str, str, int, dict[str, Any], int]:
            event_id, customer_id, occurred_at, values, end = skim(value, body)
            for name, convert in converts:
                values[name] = convert(values[name])
            return event_id, customer_id, occurred_at, values, end

        return converted

    def _plain(self, values: dict[str, Any]) -> dict[str, Any]:
        for name, convert in self._convert:
            values[name] = convert(values[name])
        if self._spread:
            values.update(values.pop(self._spread))
        return values

    def encode(self, customer: str, event_id: str, occurred_at: int, payload: Mapping[str, Any]) -> bytes:
        """Write one event as Avro single object from JSON values. Raises BadEvent."""
        values = self._values(payload)
        values[EVENT_ID], values[CUSTOMER_ID], values[OCCURRED_AT] = event_id, customer, occurred_at
        out = BytesIO()
        out.write(self.frame)
        fastavro.schemaless_writer(out, self.writer, values)
        return out.getvalue()

    def plain(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Give what the engine would see of these JSON values after a trip through Kafka. Raises BadEvent."""
        return self._plain(self._values(payload))

    def _values(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        faults: list[str] = []
        if self._spread and self._spread not in payload:
            payload = {self._spread: payload}
        values: dict[str, Any] = self._normalise(payload, "", faults)
        if faults:
            raise BadEvent(faults)
        return values


def instant(value: Any) -> int:
    """Read the time of an event: ISO 8601 text with a zone, or integer ms. Raises BadEvent."""
    moment = epoch_ms(value)
    if moment is None:
        raise BadEvent(["at: expected ISO 8601 text with a zone or integer milliseconds"])
    return moment


class Unfit(Struct, frozen=True):
    """What is wrong with a schema file, and where if the parser tells."""

    path: Path
    message: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SchemaSource(Protocol):
    """Where the gate looks up what a record names. A registry is one; it raises Unreachable where it is down."""

    def resolve(self, ref: framing.SchemaRef) -> EventType | None:
        """Give the schema, None where nobody knows it."""


class SchemaSet:
    """The schemas of one directory; as a SchemaSource it knows fingerprints only."""

    def __init__(self, versions: list[EventType], current: Mapping[str, EventType]) -> None:
        """`versions` are all, `current` those that readers see, by event type."""
        self._current = dict(current)
        self._by_fingerprint = {each.fingerprint: each for each in versions}

    @property
    def types(self) -> frozenset[str]:
        """The event types that have a schema."""
        return frozenset(self._current)

    def get(self, event_type: str) -> EventType | None:
        """Give the current version of a type."""
        return self._current.get(event_type)

    def resolve(self, ref: framing.SchemaRef) -> EventType | None:
        """Give the version with this fingerprint; ids and GUIDs are a registry's business."""
        return self._by_fingerprint.get(ref.name) if ref.kind == "fingerprint" else None

    def versions(self) -> list[EventType]:
        """Give every version of every type."""
        return list(self._by_fingerprint.values())

    def catalog(self) -> Catalog:
        """Give what expressions need to know."""
        return Catalog({name: EventSchema(name, each.version, each.fields) for name, each in self._current.items()})


def load_schemas(directory: Path | None = None) -> SchemaSet:
    """Read every event schema of a directory (its `events/` where it has one), None for the shipped ones.

    Reserved types that the directory lacks are taken from the shipped schemas. Raises UsageError where there is no such
    directory, InvalidTopology with every problem at once where a file is wrong.
    """
    schemas, unfit = read_schemas(directory)
    if unfit:
        raise InvalidTopology("\n  ".join(["these schemas cannot be used:", *map(str, unfit)]))
    return schemas


def read_schemas(directory: Path | None = None) -> tuple[SchemaSet, list[Unfit]]:
    """Read as `load_schemas` does, and give what is wrong beside what could be read. Raises UsageError for no such directory."""
    shipped = defaults.SCHEMAS / "events"
    folder = shipped if directory is None else events_folder(directory)
    reader = _Reader()
    reader.read_folder(folder)
    if folder != shipped:
        for name in sorted(RESERVED_EVENT_TYPES - reader.current.keys()):
            reader.read_file(shipped / f"{name}.avsc", is_current=True)
    return reader.finish()


def load_catalog(directory: Path | None = None) -> Catalog:
    """Read what expressions need to know of the event schemas of a directory; raises as `load_schemas`."""
    return load_schemas(directory).catalog()


def events_folder(directory: Path) -> Path:
    """Give the folder that has the events of a schema directory: its `events/`, else itself. Raises UsageError for none."""
    folder = directory / "events" if (directory / "events").is_dir() else directory
    if not folder.is_dir():
        raise UsageError("no such schema directory", where=str(directory), next_step="give --schemas one with .avsc files")
    return folder


class _Reader:
    """Reads files one after the other and keeps what is wrong with each."""

    def __init__(self) -> None:
        self.current: dict[str, EventType] = {}
        self._older: list[tuple[Path, EventType]] = []
        self._problems: list[Unfit] = []

    def read_folder(self, folder: Path) -> None:
        for path in sorted(folder.glob("*.avsc")):
            self.read_file(path, is_current=True)
        for path in sorted((folder / "history").glob("*.avsc")):
            self.read_file(path, is_current=False)

    def read_file(self, path: Path, *, is_current: bool) -> None:
        try:
            schema: Any = fastavro.parse_schema(json.loads(path.read_text(encoding="utf-8")))
            found = faults(schema) or self._place(path, EventType(schema), is_current)
        except json.JSONDecodeError as error:
            message = f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
            self._problems.append(Unfit(path, message, error.lineno, error.colno))
            return
        except UnicodeDecodeError:
            found = ["not UTF-8 text"]
        except (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, AttributeError) as error:
            found = [f"not an Avro schema: {type(error).__name__}: {error}"]
        self._problems += [Unfit(path, each) for each in found]

    def _place(self, path: Path, event: EventType, is_current: bool) -> list[str]:
        if not is_current:
            self._older.append((path, event))
            return []
        self.current[event.type] = event
        return [] if path.stem == event.type else [f"the file of event type {event.type!r} must be named {event.type}.avsc"]

    def finish(self) -> tuple[SchemaSet, list[Unfit]]:
        versions = list(self.current.values())
        seen = {each.fingerprint: each.version for each in versions}
        for path, older in self._older:
            self._problems += [Unfit(path, each) for each in self._link(older, seen)]
            seen[older.fingerprint] = older.version
            versions.append(older)
        return SchemaSet(versions, self.current), self._problems

    def _link(self, older: EventType, seen: Mapping[bytes, str]) -> list[str]:
        current = self.current.get(older.type)
        if current is None:
            return [f"event type {older.type!r} has no current version beside the history folder"]
        if older.fingerprint in seen:
            return [f"has the same fingerprint as version {seen[older.fingerprint]}: nobody could tell the two apart"]
        older.read_as(current)
        return incompatibilities(older.schema, current.schema)


def faults(schema: Any) -> list[str]:
    """Give what keeps a parsed Avro schema from being an event of ours, as sentences."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return ["an event is a record"]
    found = shape.faults(schema)
    names = shape.names_in(schema)
    for attribute in ("event_type", "event_version"):
        if not isinstance(schema.get(attribute), str) or not schema[attribute]:
            found.append(f'the record lacks the attribute "{attribute}" (text)')
    declared = {field["name"]: field for field in schema["fields"]}
    for name, expected in _RESERVED_TYPES.items():
        if name not in declared:
            found.append(f"the field {name} is missing")
        elif field_type(declared[name]["type"], names) != expected or isinstance(declared[name]["type"], list):
            found.append(f"the field {name} must be {'a timestamp-millis' if expected == 'timestamp' else 'a string'}")
    return found + [fault for field in schema["fields"] for fault in _spread_faults(field)]


def _spread_faults(field: dict[str, Any]) -> list[str]:
    if field.get("spread") and not (isinstance(field["type"], dict) and field["type"]["type"] == "map"):
        return [f"the field {field['name']} is marked spread and is no map"]
    words = get_args(FieldType)
    unknown = [word for word in field.get("known", {}).values() if word not in words]
    return [f"the field {field['name']} names the unknown type {word!r}; types are {', '.join(words)}" for word in unknown]


def _declared(fields: list[dict[str, Any]], names: Names, prefix: str = "") -> dict[str, FieldType]:
    """Give the fields as expressions name them, those of nested records under their dotted names as well."""
    found: dict[str, FieldType] = {}
    for field in fields:
        if field.get("spread"):
            found |= field.get("known", {})
            continue
        name = prefix + field["name"]
        found[name] = field_type(field["type"], names)
        choices = [resolve(branch, names) for branch in shape.branches(field["type"])]
        if len(choices) == 1 and isinstance(choices[0], dict) and choices[0]["type"] == "record":
            found |= _declared(choices[0]["fields"], names, f"{name}.")
    return found

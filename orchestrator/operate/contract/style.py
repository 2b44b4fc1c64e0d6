"""How a schema should be written so that the next version can follow: names, docs, optional fields, logical types.

Each of them is allowed by Avro and regretted later. The files say it themselves what they mean, so where only people can know
(is `total` money?) the name is gone by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from orchestrator.language.model import Place
from orchestrator.language.problems import Problem
from orchestrator.names import RESERVED_FIELDS
from orchestrator.operate.contract import codes
from orchestrator.operate.contract.positions import Path, Positions

_PASCAL: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_NAMESPACE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_SNAKE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
_CAMEL: Final = re.compile(r"[a-z][a-z0-9]*([A-Z][a-z0-9]*)+")
_PLAIN: Final = re.compile(r"[a-z][a-z0-9]*")
_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")

_MONEY: Final = frozenset({"amount", "price", "cost", "fee", "balance", "total", "discount", "revenue", "payment"})
_SPANS: Final = frozenset({"duration", "timeout", "delay", "ttl", "interval", "elapsed", "latency"})
_UNITS: Final = frozenset(
    {"ns", "us", "ms", "s", "sec", "secs", "seconds", "millis", "micros", "min", "mins", "minutes", "h", "hours", "days", "weeks"}
)
_NUMBERS: Final = frozenset({"int", "long", "float", "double"})


class SchemaFile(Struct, frozen=True):
    """A file as it was read: the path that messages name, its text, the same as Python values, and as fastavro resolves them."""

    path: str
    text: str
    schema: Any
    parsed: Any


class _Field(Struct, frozen=True):
    """A field's name and where it stands."""

    name: str
    place: Place


def review(files: Sequence[SchemaFile]) -> Iterator[Problem]:
    """Give every doubt about the files, which belong together: one spelling for the fields of all."""
    named: list[_Field] = []
    for file in files:
        yield from _Review(file, named).of_record(file.schema, ())
    yield from _mixed(named)


def _mixed(named: Sequence[_Field]) -> Iterator[Problem]:
    spelt = {pattern: [field for field in named if pattern.fullmatch(field.name)] for pattern in (_SNAKE, _CAMEL)}
    if not all(spelt.values()):
        return
    rare, usual = (_SNAKE, "camelCase") if len(spelt[_SNAKE]) < len(spelt[_CAMEL]) else (_CAMEL, "snake_case")
    for field in spelt[rare]:
        yield _doubt(field.place, codes.FIELD_NAME, f"the field {field.name} is not in {usual}, as most others here: pick one")


class _Review:
    """The doubts about one file; the names of its fields go to `named`."""

    def __init__(self, file: SchemaFile, named: list[_Field]) -> None:
        self._path = file.path
        self._positions = Positions(file.text)
        self._named = named

    def of_record(self, record: Any, at: Path) -> Iterator[Problem]:
        yield from self._name(record, at)
        yield from self._doc(record, at, f"record {record['name']}")
        for n, field in enumerate(record["fields"]):
            yield from self._field(field, (*at, "fields", n))

    def _field(self, field: Any, at: Path) -> Iterator[Problem]:
        name, place = field["name"], self._place((*at, "name"))
        if name not in RESERVED_FIELDS:
            self._named.append(_Field(name, place))
        if not any(pattern.fullmatch(name) for pattern in (_SNAKE, _CAMEL, _PLAIN)):
            yield _doubt(place, codes.FIELD_NAME, f"the field {name} is not in snake_case: write {_snake(name)}")
        yield from self._doc(field, at, f"field {name}")
        yield from self._optional(field, at)
        if name not in RESERVED_FIELDS:
            yield from self._meaning(field, at)
        yield from self._type(field["type"], (*at, "type"))

    def _type(self, schema: Any, at: Path) -> Iterator[Problem]:
        if isinstance(schema, list):
            for n, branch in enumerate(schema):
                yield from self._type(branch, (*at, n))
        elif isinstance(schema, dict):
            yield from self._complex(schema, at)

    def _complex(self, schema: dict[str, Any], at: Path) -> Iterator[Problem]:
        kind = schema["type"]
        if kind == "record":
            yield from self.of_record(schema, at)
        elif kind in ("enum", "fixed"):
            yield from self._name(schema, at)
            if kind == "enum":
                yield from self._enum(schema, at)
        for key in ("items", "values", "type"):
            if key in schema:
                yield from self._type(schema[key], (*at, key))

    def _enum(self, schema: dict[str, Any], at: Path) -> Iterator[Problem]:
        yield from self._doc(schema, at, f"enum {schema['name']}")
        if "default" not in schema:
            message = f"the enum {schema['name']} has no default: add one, such as `unknown`, for symbols that come later"
            yield _doubt(self._place((*at, "symbols")), codes.NO_DEFAULT_SYMBOL, message)

    def _name(self, schema: dict[str, Any], at: Path) -> Iterator[Problem]:
        *before, name = str(schema["name"]).split(".")
        if not _PASCAL.fullmatch(name):
            advice = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))
            message = f"the {schema['type']} {name} is not in PascalCase: write {advice}"
            yield _doubt(self._place((*at, "name")), codes.TYPE_NAME, message)
        namespace = schema.get("namespace") or ".".join(before)
        if at == () and not namespace:
            message = (
                "the record has no namespace: add one in lower case, from the general to the special, such as com.example.shop"
            )
            yield _doubt(self._place((*at, "name")), codes.TYPE_NAME, message)
        elif namespace and not _NAMESPACE.fullmatch(namespace):
            message = f"the namespace {namespace} is not in lower case: write {namespace.lower()}"
            yield _doubt(self._place((*at, "namespace")), codes.TYPE_NAME, message)

    def _doc(self, schema: dict[str, Any], at: Path, what: str) -> Iterator[Problem]:
        if not str(schema.get("doc") or "").strip():
            message = f"the {what} has no `doc`: say what it is, for those who have only the schema"
            yield _doubt(self._place((*at, "name")), codes.NO_DOC, message)

    def _optional(self, field: dict[str, Any], at: Path) -> Iterator[Problem]:
        kind = field["type"]
        if not isinstance(kind, list) or "null" not in kind:
            return
        if kind[0] != "null":
            message = (
                f'the field {field["name"]} may be null and null is not its first type: write `["null", ...]`, `"default": null`'
            )
            yield _doubt(self._place((*at, "type")), codes.OPTIONAL, message)
        elif "default" not in field:
            message = (
                f'the field {field["name"]} may be null and has no default, so producers must write it: add `"default": null`'
            )
            yield _doubt(self._place((*at, "type")), codes.OPTIONAL, message)

    def _meaning(self, field: dict[str, Any], at: Path) -> Iterator[Problem]:
        name, place = field["name"], self._place((*at, "type"))
        words = [word.lower() for word in _WORDS.findall(name)]
        plain = _plain_types(field["type"])
        if _MONEY.intersection(words) and plain & {"float", "double"}:
            message = f"the field {name} looks like money in binary fractions: write a `decimal` with precision and scale"
            yield _doubt(place, codes.MONEY, message)
        if words and words[-1] in {"at", "date", "timestamp"} and plain & {"int", "long", "string"}:
            logical = "date" if words[-1] == "date" else "timestamp-millis"
            message = f'the field {name} looks like a time and has no logical type: add `"logicalType": "{logical}"`'
            yield _doubt(place, codes.TIME, message)
        if _SPANS.intersection(words) and plain & _NUMBERS:
            if words[-1] not in _UNITS:
                message = f"the field {name} does not say its unit: name it {name}_ms or the like"
                yield _doubt(self._place((*at, "name")), codes.SPAN, message)
            elif plain & {"float", "double"}:
                yield _doubt(
                    place, codes.SPAN, f"the field {name} is a length of time in binary fractions: write a long, in a unit"
                )

    def _place(self, at: Path) -> Place:
        return Place(self._path, *self._positions.at(at))


def _plain_types(schema: Any) -> set[str]:
    """Give the primitive types without a logical type that a field may have."""
    if isinstance(schema, list):
        return set().union(*(_plain_types(branch) for branch in schema))
    if isinstance(schema, dict):
        return set() if "logicalType" in schema else _plain_types(schema["type"])
    return {schema}


def _snake(name: str) -> str:
    return "_".join(word.lower() for word in _WORDS.findall(name)) or "a name of letters"


def _doubt(place: Place, code: str, message: str) -> Problem:
    return Problem(place, code, message, "warning")

"""A decoder that reads some fields of a record and steps over the others, compiled for one schema.

A record's fields have no index: to find one, all before it must be stepped over. fastavro makes a Python value of each field on
its way, and asks its stream for every byte: 4.1 us for the benchmark's five fields. Reading id, key and time and stepping over
the other two takes 1.4; no journey of the benchmark reads the time either.

What this accepts, fastavro accepts too, with the same values; but for one thing: text that is stepped over is not held against
UTF-8. Whatever looks odd raises, and the caller lets fastavro decide: numbers in more bytes than they need, blocks with a
size, bytes that end too early. The generated source holds numbers and `repr` of names, nothing else of a schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any, Final

from orchestrator.names import CUSTOMER_ID, EVENT_ID, OCCURRED_AT
from orchestrator.wire.shape import Schema
from orchestrator.wire.values import Names, resolve, type_of

# (value, where the body begins) -> event_id, customer_id, occurred_at, payload, where the body ends: after the value's own end
# where bytes are missing.
Skim = Callable[[bytes, int], tuple[str, str, int, dict[str, Any], int]]

_HEAD: Final = (EVENT_ID, CUSTOMER_ID, OCCURRED_AT)
_LONGEST: Final = 10  # bytes of an Avro long
_SIZES: Final = tuple(byte >> 1 if byte < 0x80 and not byte & 1 else -1 for byte in range(256))  # what a number of one byte says
_WIDTHS: Final = {"float": 4, "double": 8, "boolean": 1, "null": 0}


class Odd(ValueError):
    """The bytes are not what an encoder usually writes."""


def skimmer(fields: Iterable[dict[str, Any]], names: Names, wanted: Iterable[str]) -> Skim:
    """Compile a decoder of a record's `fields` that gives the wanted ones, id and customer; `occurred_at` is 0 unless wanted."""
    code = _Code(names)
    wanted = {*wanted, EVENT_ID, CUSTOMER_ID}
    variables = {OCCURRED_AT: "0"}
    for field in fields:
        if field["name"] in wanted:
            variables[field["name"]] = code.read(field["type"])
        else:
            code.skip(field["type"])
    payload = ", ".join(f"{name!r}: {variable}" for name, variable in variables.items() if name not in _HEAD)
    code.line(f"return {', '.join(variables[name] for name in _HEAD)}, {{{payload}}}, i")
    return code.compiled()


def _size(v: bytes, i: int) -> tuple[int, int]:
    """Give a length, or a position in a list, that `_SIZES` does not tell, and where it ends. Its first byte is before `i`."""
    low = v[i - 1]
    number, i = (low, i) if low < 0x80 else _long(v, i, low)
    if number & 1:
        raise Odd
    return number >> 1, i


def _long(v: bytes, i: int, low: int) -> tuple[int, int]:
    """Give a number of more than one byte, `low` being the first, still in zigzag, and where it ends."""
    number, shift, end = low & 0x7F, 7, i + _LONGEST - 1
    while i < end:
        byte = v[i]
        i += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >> 64:
                raise Odd
            return number, i
        shift += 7
    raise Odd


class _Code:
    """The source of a function of `v`, the bytes, and `i`, the position."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._lines = ["def skim(v, i):", " end = len(v)"]
        self._indent = 1
        self._variables = 0

    def line(self, text: str) -> None:
        self._lines.append(" " * self._indent + text)

    def compiled(self) -> Skim:
        scope: dict[str, Any] = {
            "sizes": _SIZES, "size": _size, "long": _long, "Odd": Odd,
            "double": Struct("<d").unpack_from, "float4": Struct("<f").unpack_from,
        }  # fmt: skip
        exec("\n".join(self._lines), scope)  # noqa: S102 - see the head of this file
        found: Skim = scope["skim"]
        return found

    def _variable(self) -> str:
        self._variables += 1
        return f"x{self._variables}"

    def _block(self, head: str) -> None:
        self.line(head)
        self._indent += 1

    def _end(self) -> None:
        self._indent -= 1

    def _zigzag(self, variable: str) -> None:
        """Read a number as it stands there: odd means negative."""
        self.line(f"{variable} = v[i]; i += 1")
        self.line(f"if {variable} > 127: {variable}, i = long(v, i, {variable})")

    def _natural(self, variable: str, most: int | None = None) -> None:
        """Read a number that is not negative, and below `most`: a length, or a position in a list."""
        self.line(f"{variable} = sizes[v[i]]; i += 1")
        self.line(f"if {variable} < 0: {variable}, i = size(v, i)")
        if most is not None:
            self.line(f"if {variable} >= {most}: raise Odd")

    def _items(self, body: Callable[[], None]) -> None:
        """Do something for each item of an array or a map. Every item takes a byte or more (`wire.shape`)."""
        count = self._variable()
        self._block("while True:")
        self._natural(count)
        self.line(f"if not {count}: break")
        self._block(f"for _ in range({count}):")
        body()
        self.line("if i > end: raise Odd")
        self._end()
        self._end()

    def _branches(self, schema: list[Schema], body: Callable[[Schema], None]) -> None:
        branch = self._variable()
        self._natural(branch, len(schema))
        for position, each in enumerate(schema):
            self._block(f"{'if' if position == 0 else 'elif'} {branch} == {position}:")
            body(each)
            self.line("pass")
            self._end()

    def skip(self, schema: Schema) -> None:
        """Step over a value."""
        schema = resolve(schema, self._names)
        if isinstance(schema, list):
            self._branches(schema, self.skip)
            return
        kind = type_of(schema)
        if kind in ("string", "bytes"):
            size = self._variable()
            self._natural(size)
            self.line(f"i += {size}")
        elif kind in ("int", "long"):
            self.line("while v[i] > 127: i += 1")
            self.line("i += 1")
        elif kind in _WIDTHS or kind == "fixed":
            self.line(f"i += {int(schema['size']) if kind == 'fixed' else _WIDTHS[kind]}")
        elif kind == "enum":
            self._natural("_", len(schema["symbols"]))
        elif kind == "record":
            for field in schema["fields"]:
                self.skip(field["type"])
        elif kind == "array":
            self._items(lambda: self.skip(schema["items"]))
        else:
            self._items(lambda: self._skip_entry(schema["values"]))

    def _skip_entry(self, values: Schema) -> None:
        self.skip("string")
        self.skip(values)

    def read(self, schema: Schema) -> str:
        """Read a value; give the variable that has it."""
        found = self._variable()
        self._read(schema, found)
        return found

    def _read(self, schema: Schema, found: str) -> None:
        schema = resolve(schema, self._names)
        if isinstance(schema, list):
            self._branches(schema, lambda branch: self._read(branch, found))
            return
        kind = type_of(schema)
        if kind in ("record", "array", "map"):
            self._read_many(schema, kind, found)
        else:
            self._read_one(schema, kind, found)

    def _read_one(self, schema: Schema, kind: str, found: str) -> None:
        if kind in ("string", "bytes"):
            self._natural(found)
            self.line(f"j = i; i += {found}; {found} = v[j:i]{'.decode()' if kind == 'string' else ''}")
        elif kind in ("int", "long"):
            self._zigzag(found)
            self.line(f"{found} = ({found} >> 1) ^ -({found} & 1)")
        elif kind in ("float", "double"):
            self.line(f"({found},) = {'double' if kind == 'double' else 'float4'}(v, i); i += {_WIDTHS[kind]}")
        elif kind == "boolean":
            self.line(f"{found} = v[i]; i += 1")
            self.line(f"if {found} > 1: raise Odd")
            self.line(f"{found} = {found} == 1")
        elif kind == "null":
            self.line(f"{found} = None")
        elif kind == "enum":
            self._natural(found, len(schema["symbols"]))
            self.line(f"{found} = {tuple(schema['symbols'])!r}[{found}]")
        else:
            self.line(f"j = i; i += {int(schema['size'])}; {found} = v[j:i]")

    def _read_many(self, schema: Schema, kind: str, found: str) -> None:
        if kind == "record":
            values = [(field["name"], self.read(field["type"])) for field in schema["fields"]]
            self.line(f"{found} = {{{', '.join(f'{name!r}: {value}' for name, value in values)}}}")
        elif kind == "array":
            self.line(f"{found} = []")
            self._items(lambda: self.line(f"{found}.append({self.read(schema['items'])})"))
        else:
            self.line(f"{found} = {{}}")
            self._items(lambda: self._read_entry(schema["values"], found))

    def _read_entry(self, values: Schema, found: str) -> None:
        key, value = self.read("string"), self.read(values)
        self.line(f"{found}[{key}] = {value}")

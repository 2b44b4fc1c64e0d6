"""What an expression may see, and how its values are laid out for CEL.

CEL takes numbers, text, lists and maps as dynamic values, but a moment or a span only as a variable declared as such, and none
inside a map. So a moment that a text names, at whatever depth, is lifted out into a variable of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from msgspec import Struct

from orchestrator.language.references import References, Root

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
NUL: Final = "\0"


class Scope(Struct):
    """What an expression may see. Absent and None values are not passed to CEL (ruling A84).

    `functions` are called with plain values; durations reach them as integer milliseconds. A function that gives None or
    UNKNOWN, raises, or is not there makes its call unknown.
    """

    event: Mapping[str, Any] | None  # payload and reserved fields of the record being handled; None after a timer
    profile: Mapping[str, Any]
    journey: Mapping[str, Any]
    now_ms: int
    functions: Mapping[str, Callable[..., Any]] = {}  # consented, sent_within, count_within, in_segment, score


class Lift(Struct, frozen=True, order=True):
    """A moment or span that needs a variable of its own, by the path that leads to it."""

    root: str
    parts: tuple[str, ...]
    kind: Literal["moment", "span"]


class Input(Struct, frozen=True):
    """One top-level field: its variable, the paths below it that the text names, and which of them are integer milliseconds."""

    variable: str
    root: Root
    name: str
    paths: tuple[tuple[str, ...], ...]
    timestamps: frozenset[tuple[str, ...]]

    def give(self, scope: Scope, given: dict[str, Any], lifted: dict[Lift, Any]) -> None:
        """Add this field's value to `given`, and the moments in it that the text names to `lifted`."""
        source = getattr(scope, self.root)
        value = source.get(self.name) if source else None
        if value is None:
            return
        for path in self.paths:
            self._lift(value, path, lifted)
        given[self.variable] = laid_out(value)

    def _lift(self, value: Any, path: tuple[str, ...], lifted: dict[Lift, Any]) -> None:
        for depth in range(len(path) + 1):
            if path[:depth] in self.timestamps and isinstance(value, int):
                value = moment(value)
            if isinstance(value, datetime):
                lifted[Lift(self.root, (self.name, *path[:depth]), "moment")] = value
                return
            if isinstance(value, timedelta):
                lifted[Lift(self.root, (self.name, *path[:depth]), "span")] = value
                return
            if depth == len(path) or not isinstance(value, Mapping):
                return
            value = value.get(path[depth])


def inputs(found: References, wholes: Iterable[str], timestamps: frozenset[str]) -> tuple[Input, ...]:
    """Give the top-level fields that a text reads, those of roots used as a whole left out."""
    below: dict[tuple[Root, str], set[tuple[str, ...]]] = {}
    for path in found.paths:
        if path.parts and path.root not in wholes:
            below.setdefault((path.root, path.parts[0]), set()).add(path.parts[1:])
    times = [tuple(name.split(".")) for name in timestamps]
    return tuple(
        Input(
            variable(root, name),
            root,
            name,
            tuple(sorted(paths)),
            frozenset(time[1:] for time in times if root == "event" and time[0] == name),
        )
        for (root, name), paths in sorted(below.items())
    )


def variable(root: str, name: str) -> str:
    """Name the variable of a top-level field."""
    return f"__{root}_{name}"


def is_present(value: Any, parts: tuple[str, ...]) -> bool:
    """Tell whether a path leads to something: what `has()` means, without an error half-way (ruling A84)."""
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value is not None


def moment(ms: int) -> datetime:
    """Give milliseconds UTC as a moment. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=ms)


def milliseconds(value: datetime | timedelta) -> int:
    """Give a moment (UTC) or a span as integer milliseconds."""
    return (value - _EPOCH if isinstance(value, datetime) else value) // _MILLISECOND


def laid_out(value: Any) -> Any:
    """Copy a value for CEL: nulls in mappings are dropped (absent), moments and spans become milliseconds.

    Raises ValueError for text with a NUL character: cel-expr-python 0.1.3 cuts it off there, and what is left could equal
    something that the value does not. Bytes it cuts off too, but not a bytearray.
    """
    if isinstance(value, str):
        if NUL in value:
            raise ValueError("text with a NUL character")
        return value
    if isinstance(value, Mapping):
        return {laid_out(key): laid_out(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [laid_out(item) for item in value]
    if isinstance(value, datetime | timedelta):
        return milliseconds(value)
    return bytearray(value) if isinstance(value, bytes) else value


def settled(value: Any) -> Any:
    """Copy what CEL gave: moments and spans inside lists and mappings become milliseconds, bytearrays bytes."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [settled(item) for item in value]
    if isinstance(value, datetime | timedelta):
        return milliseconds(value)
    return bytes(value) if isinstance(value, bytearray) else value

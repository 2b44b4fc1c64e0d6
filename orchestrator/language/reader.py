"""Reading YAML nodes field by field: wrong or missing fields become problems with their place, never exceptions.

`Fields` is what every parser of this project takes: a mapping whose keys are asked for by name and type. Asking notes the
key as known; `close()` reports each key nobody asked for, with the nearest known one. A getter that finds something wrong
notes the problem and gives its default, so that one pass reports everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from orchestrator.language.model import Expr, Milliseconds, Place
from orchestrator.language.problems import Problems

T = TypeVar("T")


class Node:
    """A YAML value: `value` is None, bool, int, float, str, list[Node] or dict[str, Node]; `place` is where it starts."""

    __slots__ = ("key_places", "place", "value")

    def __init__(self, value: Any, place: Place, key_places: dict[str, Place] | None = None) -> None:
        self.value = value
        self.place = place
        self.key_places = key_places or {}


class Fields:
    """A mapping being read."""

    def __init__(self, node: Node, problems: Problems, what: str) -> None:
        """`what` names the thing in messages: "step", "entry", "channel 'email'"."""
        raise NotImplementedError

    place: Place
    problems: Problems

    def has(self, key: str) -> bool: raise NotImplementedError
    def at(self, key: str) -> Place:
        """Give the place of the key's value, or of the mapping where the key is absent."""
        raise NotImplementedError
    def node(self, key: str, *, required: bool = False) -> Node | None: raise NotImplementedError
    def text(self, key: str, default: str = "", *, required: bool = False) -> str: raise NotImplementedError
    def name(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Give an identifier ([a-z][a-z0-9_-]*, 64 at most; ruling A110)."""
        raise NotImplementedError
    def event_type(self, key: str, *, required: bool = False) -> str: raise NotImplementedError
    def event_types(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Give one event type or a list of them as a tuple."""
        raise NotImplementedError
    def names(self, key: str, *, required: bool = False) -> tuple[str, ...]: raise NotImplementedError
    def flag(self, key: str, default: bool = False) -> bool: raise NotImplementedError
    def integer(self, key: str, default: int = 0, *, low: int | None = None, high: int | None = None, required: bool = False) -> int: raise NotImplementedError
    def number(self, key: str, default: float | None = None) -> float | None: raise NotImplementedError
    def choice(self, key: str, allowed: Sequence[str], default: str = "", *, required: bool = False) -> str: raise NotImplementedError
    def duration(self, key: str, default: Milliseconds | None = None, *, required: bool = False, zero: bool = False) -> Milliseconds | None: raise NotImplementedError
    def expression(self, key: str, *, required: bool = False) -> Expr | None: raise NotImplementedError
    def expressions(self, key: str) -> dict[str, Expr]:
        """Give a mapping of name to expression (`data`, `context`)."""
        raise NotImplementedError
    def fields(self, key: str, what: str, *, required: bool = False) -> "Fields | None":
        """Give a nested mapping to read; the caller closes it."""
        raise NotImplementedError
    def items(self, key: str, *, required: bool = False) -> list[Node]:
        """Give the items of a list."""
        raise NotImplementedError
    def keys(self) -> Iterator[str]: raise NotImplementedError
    def close(self) -> None:
        """Report every key that nobody asked for."""
        raise NotImplementedError


def read_duration(node: Node, problems: Problems, *, zero: bool = False) -> Milliseconds | None:
    """Read one duration written as text or with a unit (ruling A108)."""
    raise NotImplementedError


def read_expression(node: Node, problems: Problems) -> Expr | None:
    """Read one CEL expression; a bare bool or number is its own text."""
    raise NotImplementedError

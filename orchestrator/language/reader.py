"""Reading YAML nodes field by field: wrong or missing fields become problems with their place, never exceptions.

`Fields` is what every parser of this project takes: a mapping whose keys are asked for by name and type. Asking notes the
key as known; `close()` reports each key nobody asked for, with the nearest known one. A getter that finds something wrong
notes the problem and gives its default, so that one pass reports everything. A missing key is reported by `close()`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, Final, cast

from orchestrator.language import codes
from orchestrator.language.durations import parse_duration
from orchestrator.language.model import Expr, Milliseconds, Place
from orchestrator.language.problems import Problems, nearest

NAME_LENGTH: Final = 64
EVENT_TYPE_LENGTH: Final = 128
EXPRESSION_LENGTH: Final = 4_000  # CEL's parser recurses; nothing an author reviews comes near

_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", re.ASCII)


class Node:
    """A YAML value: `value` is None, bool, int, float, str, list[Node] or dict[str, Node]; `place` is where it starts.

    `text` is a scalar as it was written. `column` is where its first character stands, from 1, when every character of it
    stands in the file one by one on one line; otherwise 0.
    """

    __slots__ = ("column", "key_places", "place", "text", "value")

    def __init__(
        self, value: Any, place: Place, key_places: dict[str, Place] | None = None, text: str = "", column: int = 0
    ) -> None:
        self.value = value
        self.place = place
        self.key_places = key_places or {}
        self.text = text
        self.column = column


class Fields:
    """A mapping being read. Every getter gives its default, and reports, where the value is absent but required or is wrong."""

    def __init__(self, node: Node, problems: Problems, what: str) -> None:
        """`what` names the thing in messages: "the step", "the entry", "channel 'email'"."""
        self.place = node.place
        self.problems = problems
        self.what = what
        self._known: dict[str, None] = {}
        self._missing: dict[str, None] = {}
        # A value of another shape is reported once, here; nothing is then reported as missing.
        self._broken = not isinstance(node.value, dict)
        self._values: dict[str, Node] = {} if self._broken else node.value
        self._key_places = node.key_places
        if self._broken:
            problems.error(node.place, codes.WRONG_TYPE, f"{what} must be a mapping of settings, not {described(node)}")

    def has(self, key: str) -> bool:
        """Tell whether the key is written, without asking for it."""
        return key in self._values

    def at(self, key: str) -> Place:
        """Give the place of the key's value, or of the mapping where the key is absent."""
        return self._values[key].place if key in self._values else self.place

    def key_at(self, key: str) -> Place:
        """Give the place of the key itself, or of the mapping where the key is absent."""
        return self._key_places.get(key, self.place)

    def allow(self, *keys: str) -> None:
        """Note keys as known without reading them, so that they are suggested and not reported."""
        self._known.update(dict.fromkeys(keys))

    def node(self, key: str, *, required: bool = False) -> Node | None:
        """Give the value as it stands; None, too, for a key with nothing after it, which is reported."""
        self.allow(key)
        found = self._values.get(key)
        if found is None:
            if required and not self._broken:
                self._missing[key] = None
            return None
        if found.value is None:
            self.problems.error(self.key_at(key), codes.WRONG_TYPE, f"`{key}` has no value: write one or drop the key")
            return None
        return found

    def as_written(self, key: str) -> Node:
        """Give the value of a key that is there, null too: for where nothing is a value."""
        self.allow(key)
        return self._values[key]

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Give text that is not empty."""
        node = self.node(key, required=required)
        if node is None:
            return default
        if not isinstance(node.value, str):
            hint = "; put it in quotes" if isinstance(node.value, int | float) else ""
            self._wrong(node, key, "text", hint)
            return default
        if not node.value.strip():
            self.problems.error(node.place, codes.WRONG_TYPE, f"`{key}` is empty: write a value or drop the key")
            return default
        return node.value

    def name(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Give an identifier ([a-z][a-z0-9_-]*, 64 at most; ruling A110)."""
        node = self.node(key, required=required)
        return default if node is None else read_name(node, self.problems, f"`{key}`") or default

    def names(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Give one identifier or a list of them as a tuple, each once."""
        read = [read_name(node, self.problems, f"`{key}`") for node in self._one_or_more(key, required)]
        return tuple(name for name in read if name)

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Give one text or a list of texts as a tuple: for words of other systems, such as failure codes."""
        nodes = self._one_or_more(key, required)
        for node in nodes:
            if not isinstance(node.value, str):
                self._wrong(node, key, "text or a list of texts", "")
        return tuple(node.value for node in nodes if isinstance(node.value, str) and node.value)

    def event_type(self, key: str, *, required: bool = False) -> str:
        """Give one event type, "" where there is none."""
        node = self.node(key, required=required)
        if node is not None and isinstance(node.value, list):
            self._wrong(node, key, "one event type", "")
            return ""
        return "" if node is None else read_event_type(node, self.problems, f"`{key}`")

    def event_types(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Give one event type or a list of them as a tuple."""
        return tuple(self.event_places(key, required=required))

    def event_places(self, key: str, *, required: bool = False) -> dict[str, Place]:
        """Give one event type or a list of them, each with its place."""
        places: dict[str, Place] = {}
        for node in self._one_or_more(key, required):
            name = read_event_type(node, self.problems, f"`{key}`")
            if name:
                places.setdefault(name, node.place)
        return places

    def flag(self, key: str, default: bool = False) -> bool:
        """Give true or false."""
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self._wrong(node, key, "true or false", "")
            return default
        return node.value

    def integer(
        self, key: str, default: int = 0, *, low: int | None = None, high: int | None = None, required: bool = False
    ) -> int:
        """Give a whole number within [low, high]."""
        node = self.node(key, required=required)
        if node is None:
            return default
        if isinstance(node.value, bool) or not isinstance(node.value, int):
            self._wrong(node, key, "a whole number", "")
            return default
        if (low is not None and node.value < low) or (high is not None and node.value > high):
            self.problems.error(node.place, codes.OUT_OF_RANGE, f"`{key}` must be {_between(low, high)}, not {node.text}")
            return default
        return node.value

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        required: bool = False,
    ) -> float | None:
        """Give a finite number within [low, high]."""
        node = self.node(key, required=required)
        if node is None:
            return default
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(node, key, "a number", "")
            return default
        outside = (low is not None and value < low) or (high is not None and value > high)
        if outside or not isfinite(value):
            self.problems.error(node.place, codes.OUT_OF_RANGE, f"`{key}` must be {_between(low, high)}, not {node.text}")
            return default
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str = "", *, required: bool = False) -> str:
        """Give one of the allowed words."""
        node = self.node(key, required=required)
        if node is None:
            return default
        if node.value not in allowed or not isinstance(node.value, str):
            written = repr(node.text) if node.text else described(node)
            message = f"`{key}` must be {_one_of(allowed)}, not {written}"
            self.problems.error(node.place, codes.BAD_CHOICE, message, word=node.text, known=allowed)
            return default
        return node.value

    def duration(
        self, key: str, default: Milliseconds | None = None, *, required: bool = False, zero: bool = False
    ) -> Milliseconds | None:
        """Give a duration in milliseconds; `zero` tells whether `0s` is allowed."""
        node = self.node(key, required=required)
        if node is None:
            return default
        read = read_duration(node, self.problems, zero=zero)
        return default if read is None else read

    def expression(self, key: str, *, required: bool = False) -> Expr | None:
        """Give a CEL expression, unchecked."""
        node = self.node(key, required=required)
        return None if node is None else read_expression(node, self.problems)

    def expressions(self, key: str) -> dict[str, Expr]:
        """Give a mapping of name to expression (`data`, `context`)."""
        node = self.node(key)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self._wrong(node, key, "a mapping of name to expression", "")
            return {}
        read: dict[str, Expr] = {}
        for name, value in node.value.items():
            if not _VALUE_NAME.fullmatch(name) or len(name) > EVENT_TYPE_LENGTH:
                message = (
                    f"a name in `{key}` must be letters, digits, `_`, `-` and `.`, beginning with a letter, not {name[:80]!r}"
                )
                self.problems.error(node.key_places[name], codes.BAD_NAME, message)
                continue
            expr = read_expression(value, self.problems)
            if expr is not None:
                read[name] = expr
        return read

    def fields(self, key: str, what: str, *, required: bool = False) -> Fields | None:
        """Give a nested mapping to read; the caller closes it."""
        node = self.node(key, required=required)
        return None if node is None else Fields(node, self.problems, what)

    def items(self, key: str, *, required: bool = False) -> list[Node]:
        """Give the items of a list that is not empty."""
        node = self.node(key, required=required)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self._wrong(node, key, "a list", "")
            return []
        if not node.value:
            self.problems.error(node.place, codes.WRONG_TYPE, f"`{key}` is an empty list: write an item or drop the key")
        return cast("list[Node]", node.value)

    def keys(self) -> Iterator[str]:
        """Give the keys as written, in order, without noting them as known."""
        return iter(self._values)

    __iter__ = keys

    def close(self) -> None:
        """Report every key that nobody asked for, and every required one that is missing; a misspelt one counts as there."""
        for key in self._values:
            if key not in self._known:
                message = f"{self.what} has no setting `{key}`"
                self.problems.error(self._key_places[key], codes.UNKNOWN_KEY, message, word=key, known=self._known)
                self._missing.pop(nearest(key, self._known), None)
        for key in self._missing:
            self.problems.error(self.place, codes.MISSING_KEY, f"{self.what} needs `{key}`")

    def _one_or_more(self, key: str, required: bool) -> list[Node]:
        node = self.node(key, required=required)
        if node is None:
            return []
        if isinstance(node.value, list):
            return self.items(key)
        return [node]

    def _wrong(self, node: Node, key: str, wanted: str, hint: str) -> None:
        self.problems.error(node.place, codes.WRONG_TYPE, f"`{key}` must be {wanted}, not {described(node)}{hint}")


def described(node: Node) -> str:
    """Name the shape of a value for a message."""
    value = node.value
    if isinstance(value, bool | int | float):
        return node.text
    shapes: dict[type, str] = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}
    return shapes[type(value)]


def read_name(node: Node, problems: Problems, what: str) -> str:
    """Read one identifier (ruling A110); "" and a problem where it is none."""
    if not isinstance(node.value, str):
        problems.error(node.place, codes.WRONG_TYPE, f"{what} must be a name, not {described(node)}")
        return ""
    return node.value if check_word(node.value, node.place, problems, what) else ""


def check_word(word: str, place: Place, problems: Problems, what: str) -> bool:
    """Tell whether a word is an identifier (ruling A110), with a problem where it is none."""
    if _NAME.fullmatch(word) and len(word) <= NAME_LENGTH:
        return True
    shown = word if len(word) <= NAME_LENGTH else word[:NAME_LENGTH] + "..."
    message = f"{what} must be lower-case letters, digits, - and _, beginning with a letter, {NAME_LENGTH} at most, not {shown!r}"
    problems.error(place, codes.BAD_NAME, message)
    return False


def read_event_type(node: Node, problems: Problems, what: str) -> str:
    """Read one event type; "" and a problem where it is none (ruling A11 for the shapes of `on`)."""
    if isinstance(node.value, dict):
        message = f"{what} takes an event type here, such as payment.failed, or a list of them"
        problems.error(node.place, codes.WRONG_TYPE, f"{message}; a list of {{event, go}} belongs directly under a state")
        return ""
    if not isinstance(node.value, str):
        problems.error(node.place, codes.WRONG_TYPE, f"{what} must be an event type, not {described(node)}")
        return ""
    if not _EVENT_TYPE.fullmatch(node.value) or len(node.value) > EVENT_TYPE_LENGTH:
        message = f"{what} must be an event type such as payment.failed, not {node.value[:80]!r}"
        problems.error(node.place, codes.BAD_NAME, message)
        return ""
    return node.value


def read_duration(node: Node, problems: Problems, *, zero: bool = False) -> Milliseconds | None:
    """Read one duration written as text or with a unit (ruling A108)."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        problems.error(node.place, codes.WRONG_TYPE, f"a duration such as 3d belongs here, not {described(node)}")
        return None
    try:
        ms = parse_duration(node.text)
    except ValueError as error:
        problems.error(node.place, codes.BAD_DURATION, str(error))
        return None
    if ms == 0 and not zero:
        problems.error(node.place, codes.BAD_DURATION, "this duration must be longer than zero")
        return None
    return ms


def read_expression(node: Node, problems: Problems) -> Expr | None:
    """Read one CEL expression; a bare bool or number is its own text."""
    value = node.value
    if not isinstance(value, bool | int | float | str):
        problems.error(node.place, codes.WRONG_TYPE, f"an expression belongs here, not {described(node)}")
        return None
    source = ("true" if value else "false") if isinstance(value, bool) else node.text
    if not source.strip():
        problems.error(node.place, codes.EXPRESSION_SYNTAX, "an empty expression")
        return None
    if len(source) > EXPRESSION_LENGTH:
        problems.error(node.place, codes.EXPRESSION_SYNTAX, f"an expression longer than {EXPRESSION_LENGTH:,} characters")
        return None
    return Expr(source, node.place, node.column)


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {low} to {high}"
    if low is not None:
        return f"{low} or more"
    return f"{high} or less" if high is not None else "a finite number"


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

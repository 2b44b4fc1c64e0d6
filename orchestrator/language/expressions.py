"""CEL, wrapped: the only module that imports `cel_expr_python`.

Two uses. `check` type-checks the author's text against the schemas at validate. `compile_expression` gives the engine
something to evaluate, where anything that goes wrong is UNKNOWN: cel-expr-python returns an evaluation error as a truthy
value, so the result's type is looked at first, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.language.catalog import FieldType


class Unknown:
    """The value of an expression that met an absent field or failed. Not true, not false; its bool() raises."""

    def __bool__(self) -> bool:
        raise TypeError("unknown is neither true nor false: compare with `is`")


UNKNOWN: Final = Unknown()


class Scope(Struct):
    """What an expression may see. Absent and None values are not passed to CEL (ruling A84)."""

    event: Mapping[str, Any] | None  # payload and reserved fields of the record being handled; None after a timer
    profile: Mapping[str, Any]
    journey: Mapping[str, Any]
    now_ms: int
    functions: Mapping[str, Callable[..., Any]] = {}  # consented, sent_within, count_within, in_segment, score


class Expression:
    """A compiled expression."""

    source: str
    event_fields: frozenset[str]  # top-level fields of `event` that it reads

    def evaluate(self, scope: Scope) -> Any:
        """Give the value as plain Python (bool, int, float, str, bytes, datetime, timedelta, list, dict, None), or UNKNOWN. Never raises."""
        raise NotImplementedError


def compile_expression(source: str) -> Expression:
    """Compile once; the same text gives the same object. Raises ValueError for text that `check` refuses to parse."""
    raise NotImplementedError


class Finding(Struct, frozen=True):
    """What is wrong with an expression; column from 1 within its text."""

    message: str
    column: int
    word: str = ""  # the unknown name, for a suggestion
    known: tuple[str, ...] = ()


def check(source: str, event: Mapping[str, FieldType] | None, journey: frozenset[str], *, want_bool: bool) -> list[Finding]:
    """Type-check an expression.

    `event` are the fields that `event.` may name, None where the types are not known (any field goes).
    `journey` are the names that `journey.` may name. `profile.` is free.
    """
    raise NotImplementedError

"""CEL, wrapped: the only module that imports `cel_expr_python`.

Two uses. `check` type-checks the author's text against the schemas at validate. `compile_expression` gives the engine
something to evaluate, where anything that goes wrong is UNKNOWN: cel-expr-python returns an evaluation error as a truthy
value, so the result's type is looked at first, here and nowhere else.

Fields are handed to CEL one by one, `event.plan` as a variable of its own: 3 us for one field, against 13 us for a map of
thirty. That leaves `has(event.plan)` without an operand, so presence becomes a variable too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from orchestrator.language import codes
from orchestrator.language.activation import (
    NUL,
    Lift,
    Scope,
    inputs,
    is_present,
    laid_out,
    milliseconds,
    moment,
    settled,
    variable,
)
from orchestrator.language.catalog import FieldType
from orchestrator.language.durations import parse_duration
from orchestrator.language.findings import FUNCTIONS, CelError, Finding, cel_errors, explain, literal_findings, name_findings
from orchestrator.language.references import ROOTS, Path, References, references, tokens
from orchestrator.language.shortcuts import NO_SHORTCUT, Shortcut, shortcut
from orchestrator.language.unknown import UNKNOWN, Unknown

__all__ = ["FUNCTIONS", "UNKNOWN", "Expression", "Finding", "Scope", "Unknown", "check", "compile_expression"]

_TYPES: Final[Mapping[FieldType, Any]] = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "timestamp": cel.Type.TIMESTAMP,
    "bytes": cel.Type.BYTES,
    "list": cel.Type.List(cel.Type.DYN),
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "dyn": cel.Type.DYN,
}


_scope: ContextVar[Scope] = ContextVar("scope of the expression being evaluated")


def _bridge(name: str) -> Callable[..., Any]:
    """Give what CEL calls for one of our functions: functions belong to an environment, their meaning to a scope."""

    def call(*arguments: Any) -> Any:
        plain = [milliseconds(value) if isinstance(value, timedelta) else value for value in arguments]
        if name in {"sent_within", "count_within"} and isinstance(plain[1], str):
            plain[1] = parse_duration(plain[1])
        answer = _scope.get().functions[name](*plain)
        if answer is None or answer is UNKNOWN:
            raise LookupError(f"{name} is unknown here")
        return answer

    return call


def _declarations() -> list[Any]:
    text, duration = cel.Type.STRING, cel.Type.DURATION
    signatures = {
        "consented": (cel.Type.BOOL, [[text, text]]),
        "sent_within": (cel.Type.BOOL, [[text, text], [text, duration]]),
        "count_within": (cel.Type.INT, [[text, text], [text, duration]]),
        "in_segment": (cel.Type.BOOL, [[text]]),
        "score": (cel.Type.DYN, [[text]]),
    }
    return [
        cel.FunctionDecl(
            name,
            [
                cel.Overload(f"{name}_{n}", return_type=gives, parameters=takes, impl=_bridge(name))
                for n, takes in enumerate(overloads)
            ],
        )
        for name, (gives, overloads) in signatures.items()
    ]


_DECLARATIONS: Final = _declarations()


class Expression:
    """A compiled expression. Immutable to its callers; may be shared between partitions and threads."""

    __slots__ = (
        "_calls", "_found", "_inputs", "_presences", "_program", "_programs", "_scalars", "_shortcut", "_wholes", "event_fields",
        "source",
    )  # fmt: skip

    source: str
    event_fields: frozenset[str]  # top-level fields of `event` that it reads

    def __init__(self, source: str, timestamps: frozenset[str]) -> None:
        found = references(source)
        self.source = source
        asked = [*found.paths, *(presence.path for presence in found.presences)]
        self.event_fields = frozenset(path.parts[0] for path in asked if path.root == "event" and path.parts)
        self._found = found
        self._wholes = tuple(root for root in ROOTS if any(path.root == root and not path.parts for path in found.paths))
        self._inputs = inputs(found, self._wholes, timestamps)
        self._presences = tuple((f"__has{n}", presence.path) for n, presence in enumerate(found.presences))
        self._calls = any(call.name in FUNCTIONS for call in found.calls)
        self._program = self._compile(())
        # Which fields hold moments is known for sure only from the values, so there is a program for each combination met.
        self._programs: dict[tuple[Lift, ...], Any] = {(): self._program}
        has_times = any(entry.timestamps for entry in self._inputs)
        self._shortcut: Shortcut | None = None if has_times else shortcut(source)
        is_simple = not (has_times or self._calls or self._presences or self._wholes or found.now)
        self._scalars = tuple((entry.variable, entry.root, entry.name) for entry in self._inputs) if is_simple else None

    def evaluate(self, scope: Scope) -> Any:
        """Give the value as plain Python, or UNKNOWN. Never raises.

        Plain: bool, int, float, str, bytes, datetime (UTC), timedelta, list, dict; inside lists and dicts moments and spans are
        integer milliseconds. Null, alone, is UNKNOWN (ruling A84).
        """
        if self._shortcut is not None:
            value = self._shortcut(scope)
            if value is not NO_SHORTCUT:
                return value
        try:
            if self._scalars is not None:
                return self._run_scalars(self._scalars, scope)
            if not self._calls:
                return self._run(scope)
            token = _scope.set(scope)
            try:
                return self._run(scope)
            finally:
                _scope.reset(token)
        except Exception:  # data must never raise out of an expression, whatever CEL makes of it
            return UNKNOWN

    def _run_scalars(self, scalars: tuple[tuple[str, str, str], ...], scope: Scope) -> Any:
        """Do what `_run` does for fields that hold numbers, text and bools, at half its cost; hand over for any other value."""
        given: dict[str, Any] = {}
        for name, root, field in scalars:
            source = getattr(scope, root)
            value = source.get(field) if source else None
            if value is not None:
                kind = type(value)
                if not (kind is int or kind is float or kind is bool or (kind is str and NUL not in value)):
                    return self._run(scope)
                given[name] = value
        return _plain(self._program.eval(None, given))

    def _run(self, scope: Scope) -> Any:
        given: dict[str, Any] = {}
        lifted: dict[Lift, Any] = {}
        for entry in self._inputs:
            entry.give(scope, given, lifted)
        for name, path in self._presences:
            given[name] = is_present(getattr(scope, path.root), path.parts)
        for root in self._wholes:
            given[root] = laid_out(getattr(scope, root) or {})
        if self._found.now:
            given["now"] = moment(scope.now_ms)
        lifts = tuple(sorted(lifted)) if lifted else ()
        for n, lift in enumerate(lifts):
            given[f"__lift{n}"] = lifted[lift]
        program = self._programs.get(lifts)
        if program is None:
            program = self._programs[lifts] = self._compile(lifts)
        return _plain(program.eval(None, given))

    def _compile(self, lifts: tuple[Lift, ...]) -> Any:
        variables = {entry.variable: cel.Type.DYN for entry in self._inputs}
        variables |= dict.fromkeys((*self._wholes, *(name for name, _ in self._presences)), cel.Type.DYN)
        variables |= {f"__lift{n}": _LIFTED[lift.kind] for n, lift in enumerate(lifts)}
        environment = cel.NewEnv(variables=variables | {"now": cel.Type.TIMESTAMP}, functions=_DECLARATIONS)
        try:
            # `check` has looked at the types. Without them CEL resolves operators by the values, as `event.amount > 0` needs.
            return environment.compile(self._with_variables(lifts), disable_check=True)
        except RuntimeError as error:
            raise ValueError(cel_errors(str(error), self.source)[0].message) from error

    def _with_variables(self, lifts: tuple[Lift, ...]) -> str:
        """Put a variable for each `event.plan`, lifted moment and `has(...)`; from the end, so that offsets before stay right."""
        spans = [(presence.start, presence.end, f"__has{n}") for n, presence in enumerate(self._found.presences)]
        for path in self._found.paths:
            if path.parts and path.root not in self._wholes:
                depth, name = _stand_in(path, lifts)
                spans.append((path.start, path.offsets[depth - 1] + len(path.parts[depth - 1]), name))
        source = self.source
        for start, end, name in sorted(spans, reverse=True):
            source = f"{source[:start]}{name}{source[end:]}"
        return source


_LIFTED: Final = {"moment": cel.Type.TIMESTAMP, "span": cel.Type.DURATION}


@lru_cache(maxsize=8192)
def compile_expression(source: str, timestamps: frozenset[str] = frozenset()) -> Expression:
    """Compile once; the same text gives the same object. Raises ValueError for text that `check` refuses to parse.

    `timestamps` are the fields of `event`, dotted where nested, whose integer milliseconds CEL shall see as timestamps.
    """
    return Expression(source, timestamps)


def _stand_in(path: Path, lifts: tuple[Lift, ...]) -> tuple[int, str]:
    """Give how many parts of a path a variable stands for, and its name."""
    for n, lift in enumerate(lifts):
        if lift.root == path.root and path.parts[: len(lift.parts)] == lift.parts:
            return len(lift.parts), f"__lift{n}"
    return 1, variable(path.root, path.parts[0])


def _plain(result: Any) -> Any:
    value = result.value()
    kind = type(value)
    if kind is bool or kind is int or kind is float:  # an error's value is text, never one of these
        return value
    if result.type().name() in {"ERROR", "UNKNOWN", "NULL", "TYPE"}:
        return UNKNOWN
    return value if isinstance(value, str | datetime | timedelta) else settled(result.plain_value())


def check(source: str, event: Mapping[str, FieldType] | None, journey: frozenset[str], *, want_bool: bool) -> list[Finding]:
    """Type-check an expression.

    `event` are the fields that `event.` may name, None where the types are not known (any field goes).
    `journey` are the names that `journey.` may name. `profile.` is free. A condition may be bool or dynamic (ruling A85).
    """
    found = references(source)
    gives, errors = _typed(source, found, event)
    if any(error.is_syntax for error in errors):
        return [explain(next(error for error in errors if error.is_syntax), source)]
    told = [*name_findings(found, event, journey), *literal_findings(found), *_constant_findings(found)]
    # A comparison with null is among the literals' findings, in better words.
    fields = {name: f"journey.{name}" for name in journey} | {name: f"event.{name}" for name in event or ()}
    told += [explain(error, source, fields) for error in errors if "null_type" not in error.message]
    if not errors and want_bool and gives not in _CONDITIONS:
        message = f"a condition must be true or false, and this gives {_named(gives)}"
        told.append(Finding(message, 1, code=codes.CONDITION_NOT_BOOL))
    return sorted(told, key=lambda finding: finding.column)


def _typed(source: str, found: References, event: Mapping[str, FieldType] | None) -> tuple[Any, list[CelError]]:
    """Give the type, or the errors.

    The checker refuses `event.amount > 0` for a double, although the run time compares them by value. So where nothing else is
    wrong, it looks again without the numbers' types: first the variables', then the literals'.
    """
    text = _with_presence_granted(source, found)
    variables = _typed_variables(found, event)
    gives, errors = _compile(text, variables)
    if errors and all(error.is_mixed_comparison for error in errors):
        variables = {name: _without_number(kind) for name, kind in variables.items()}
        gives, errors = _compile(text, variables)
    if errors and all(error.is_mixed_comparison for error in errors):
        gives, again = _compile(_with_dynamic_numbers(text), variables)
        errors = errors if again else []
    return gives, [error for error in errors if not error.is_mixed_comparison] or errors


_CONDITIONS: Final = (cel.Type.BOOL, cel.Type.DYN)
_NUMBERS: Final = (cel.Type.DOUBLE, cel.Type.INT, cel.Type.UINT)


def _compile(text: str, variables: Mapping[str, Any]) -> tuple[Any, list[CelError]]:
    environment = cel.NewEnv(variables=dict(variables), functions=_DECLARATIONS)
    try:
        return environment.compile(text).return_type(), []
    except RuntimeError as error:
        return None, cel_errors(str(error), text)


def _typed_variables(found: References, event: Mapping[str, FieldType] | None) -> dict[str, Any]:
    """Declare what the text names and nothing else; names that do not exist are reported elsewhere and are dynamic here."""
    variables: dict[str, Any] = {"profile": cel.Type.DYN, "now": cel.Type.TIMESTAMP}
    for path in found.paths:
        if not path.parts:
            variables[path.root] = cel.Type.DYN
        elif path.root == "journey":
            variables[f"journey.{path.parts[0]}"] = cel.Type.DYN
        elif path.root == "event":
            top = path.parts[0]
            inner = {name: kind for name, kind in (event or {}).items() if name == top or name.startswith(f"{top}.")}
            variables |= {f"event.{name}": _TYPES[kind] for name, kind in inner.items()} or {f"event.{top}": cel.Type.DYN}
    return variables


def _with_presence_granted(source: str, found: References) -> str:
    """Put `true` for each `has(...)`, as long as it was, so that columns stay."""
    for presence in found.presences:
        width = presence.end - presence.start
        source = f"{source[: presence.start]}{'true'.ljust(width)}{source[presence.end :]}"
    return source


def _with_dynamic_numbers(source: str) -> str:
    for token in reversed(tokens(source)):
        if token.kind == "number":
            source = f"{source[: token.start]}dyn({token.text}){source[token.end :]}"
    return source


def _constant_findings(found: References) -> list[Finding]:
    """Find literals that CEL itself refuses whenever it meets them: durations, timestamps, patterns."""
    told = []
    for call in found.calls:
        trial = _TRIALS.get(call.name)
        literal = call.literals[-1] if trial and call.literals else None
        if trial and literal is not None:
            result = trial.eval(None, {"text": literal})
            if result.type().name() == "ERROR":
                message = f"`{call.name}` cannot read {literal!r}: {result.value().split(': ', 1)[-1]}"
                told.append(Finding(message, call.offsets[-1] + 1))
    return told


_TRIALS: Final = {
    name: cel.NewEnv(variables={"text": cel.Type.STRING}).compile(source)
    for name, source in {"duration": "duration(text)", "timestamp": "timestamp(text)", "matches": "''.matches(text)"}.items()
}


def _without_number(kind: Any) -> Any:
    return cel.Type.DYN if kind in _NUMBERS else kind


def _named(kind: Any) -> str:
    return str(kind.name()).lower().replace("<", " of ").replace(">", "")

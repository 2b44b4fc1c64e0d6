"""What is wrong with an expression, in the author's words: names that do not exist, literals that cannot work, CEL's own errors.

Nothing here runs CEL; `expressions.check` does and hands the error text over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from orchestrator.language import codes
from orchestrator.language.catalog import FieldType
from orchestrator.language.durations import parse_duration
from orchestrator.language.references import ROOTS, Call, Path, References
from orchestrator.language.zones import is_zone

FUNCTIONS: Final = ("consented", "sent_within", "count_within", "in_segment", "score")

_CEL_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_OVERLOAD_METHOD = re.compile(r"found no matching overload for '([^']*)' applied to '([^']*)\.\((.*)\)'")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_COMPARISONS: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_MIXED = re.compile(r"\(?(double, int|int, double|double, uint|uint, double|int, uint|uint, int)\)?")
_MIXED_IN = re.compile(r"(double, list\(int\)|int, list\(double\))")
_ZONED: Final = frozenset(
    {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
_IN_CEL: Final = {"=": "==", "and": "&&", "or": "||"}  # what authors bring from elsewhere
_OTHER_LANGUAGES = re.compile(r"(=(?!=)|and\b|or\b)")
_OFFSET = re.compile(r"[+-]?[0-9]{2}:[0-9]{2}")


class Finding(Struct, frozen=True):
    """What is wrong with an expression; column from 1 within its text."""

    message: str
    column: int
    word: str = ""  # the unknown name, for a suggestion
    known: tuple[str, ...] = ()
    code: str = codes.EXPRESSION_TYPE


class CelError(Struct, frozen=True):
    """One line of CEL's complaint; `offset` from 0 within the text."""

    message: str
    offset: int

    @property
    def is_syntax(self) -> bool:
        """Whether the text is not CEL at all."""
        return self.message.startswith(("Syntax error", "unsupported syntax")) or "recursion limit" in self.message

    @property
    def is_mixed_comparison(self) -> bool:
        """Whether it only says that an int is compared with a double, which CEL does at run time, by value."""
        found = _OVERLOAD.search(self.message)
        if not found:
            return False
        return bool(
            (found[1] in _COMPARISONS and _MIXED.fullmatch(found[2])) or (found[1] == "@in" and _MIXED_IN.fullmatch(found[2]))
        )


def cel_errors(text: str, source: str) -> list[CelError]:
    """Split the text of CEL's exception into its errors."""
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = [
        CelError(m[3].removesuffix(" [INVALID_ARGUMENT]"), starts[min(int(m[1]), len(starts)) - 1] + int(m[2]) - 1)
        for m in _CEL_ERROR.finditer(text)
    ]
    return found or [CelError(text.splitlines()[0] if text else "not CEL", 0)]


def explain(error: CelError, source: str, fields: Mapping[str, str] | None = None) -> Finding:
    """Put one error of CEL about `source` in the author's words; `fields` are names that lack their root, with it."""
    column = error.offset + 1
    if error.is_syntax:
        found = _OTHER_LANGUAGES.match(source, error.offset)
        advice = f"; write `{_IN_CEL[found[1]]}`" if found else ""
        return Finding(_syntax(error.message) + advice, column, code=codes.EXPRESSION_SYNTAX)
    undeclared = _UNDECLARED.search(error.message)
    if undeclared:
        word = undeclared[1].split(".")[0]
        # CEL points at the parenthesis of a call, and at a dot of a.b.c: the name begins before.
        column = max(source.rfind(word, 0, error.offset + len(word)), 0) + 1
        if fields and word in fields:
            return Finding(f"no variable {word!r}: write {fields[word]}", column, code=codes.EXPRESSION_NAME)
        message = f"no variable or function {word!r}: an expression sees event, profile, journey, now and {', '.join(FUNCTIONS)}"
        return Finding(message, column, word, (*ROOTS, "now", "has", *FUNCTIONS), codes.EXPRESSION_NAME)
    return Finding(_types(error.message), column)


def name_findings(found: References, event: Mapping[str, FieldType] | None, journey: frozenset[str]) -> Iterator[Finding]:
    """Find fields that nothing declares, and `event` or `journey` used as a whole."""
    for path in (*found.paths, *(presence.path for presence in found.presences)):
        if path.root == "profile":
            continue
        if not path.parts:
            message = (
                f"`{path.root}` cannot be used as a whole: name a field, such as {path.root}.{_example(path, event, journey)}"
            )
            yield Finding(message, path.start + 1, code=codes.EXPRESSION_NAME)
        elif path.root == "journey" and path.parts[0] not in journey:
            word = path.parts[0]
            message = f"nothing writes journey.{word}: declare it in `context`, `as`, `set` or `result`"
            yield Finding(message, path.offsets[0] + 1, word, tuple(sorted(journey)), codes.EXPRESSION_NAME)
        elif path.root == "event" and event is not None:
            yield from _undeclared_field(path, event)


def literal_findings(found: References) -> Iterator[Finding]:
    """Find literals that can only fail at run time: durations, timestamps' zones, patterns (rulings A04, A108)."""
    for call in found.calls:
        for literal, offset, wrong in _literal_checks(call):
            message = wrong(literal)
            if message:
                yield Finding(message, offset + 1)
    for offset in found.null_compared:
        yield Finding("null counts as absent, so this is never true: use has(...) or !has(...)", offset + 1)


def _example(path: Path, event: Mapping[str, FieldType] | None, journey: frozenset[str]) -> str:
    names = sorted(journey) if path.root == "journey" else sorted(event or ())
    return names[0] if names else "plan"


def _undeclared_field(path: Path, event: Mapping[str, FieldType]) -> Iterator[Finding]:
    name = ""
    for part, offset in zip(path.parts, path.offsets, strict=True):
        siblings = sorted({key[len(name) :].split(".")[0] for key in event if key.startswith(name)})
        if not siblings:
            return  # inside a map or a list, whose keys no schema names
        if part not in siblings:
            yield Finding(
                f"no schema of the event declares event.{name}{part}", offset + 1, part, tuple(siblings), codes.EXPRESSION_NAME
            )
            return
        name += part + "."


def _literal_checks(call: Call) -> Iterator[tuple[str, int, Callable[[str], str]]]:
    checks: dict[int, Callable[[str], str]] = {}
    if call.name in {"sent_within", "count_within"} and not call.is_method:
        checks[1] = _wrong_duration
    elif call.name in _ZONED and call.is_method:
        checks[0] = _wrong_zone
    for index, check in checks.items():
        literal = call.literals[index] if index < len(call.literals) else None
        if literal is not None:
            yield literal, call.offsets[index], check


def _wrong_duration(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError as error:
        return str(error)
    return ""


def _wrong_zone(text: str) -> str:
    if _OFFSET.fullmatch(text) or is_zone(text):
        return ""
    return f"there is no time zone {text!r} in the IANA database"


def _syntax(message: str) -> str:
    if "recursion limit" in message:
        return "this expression nests too deep: split it up"
    text = message.removeprefix("Syntax error: ").split(" expecting ")[0].replace("'<EOF>'", "the end of the text")
    text = text.replace("mismatched input", "did not expect").replace("extraneous input", "did not expect")
    text = text.replace("no viable alternative at input", "cannot make sense of")
    return f"not an expression: {text.replace('token recognition error at:', 'cannot read')}"


def _types(message: str) -> str:
    method = _OVERLOAD_METHOD.search(message)
    if method:
        return f"{_readable(method[2])}.{method[1]}({_readable(method[3])}) does not exist"
    found = _OVERLOAD.search(message)
    if not found:
        return _readable(message)
    name, types = found[1], _readable(found[2])
    if name == "_?_:_":
        return f"a ? b : c needs a bool before the question mark and one type after it, not ({types})"
    sign = "[ ]" if name == "_[_]" else name.strip("_").removeprefix("@")
    if sign and not sign[0].isalpha():
        both = types.replace(", ", " and ")
        advice = "; write the number with a decimal point" if _MIXED.fullmatch(found[2]) else ""
        return f"`{sign}` does not go with {both}{advice}"
    return f"`{sign}` does not take ({types})"


def _readable(types: str) -> str:
    return (
        types.replace("google.protobuf.", "")
        .replace("Timestamp", "timestamp")
        .replace("Duration", "duration")
        .replace("_type", "")
    )

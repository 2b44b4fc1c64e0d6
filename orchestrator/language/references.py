"""What a CEL text refers to, found from its tokens: fields of event, profile and journey, `has()` of them, and function calls.

CEL's own parser gives no tree to Python, so this reads tokens. It needs to be exact about where names end and strings begin,
nothing more: whether the text is CEL at all is left to CEL.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from msgspec import Struct

Root = Literal["event", "profile", "journey"]
ROOTS: Final = ("event", "profile", "journey")

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<string>
          (?:[rR][bB]?|[bB][rR]) (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n]*" | '[^'\n]*' )
        | [bB]? (?: \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3} | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
      )
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
    | (?P<word>[_a-zA-Z][_a-zA-Z0-9]*)
    | (?P<sign>==|!=|<=|>=|&&|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_STRING = re.compile(r"""(["'])(?:(?!\1)[^\\\n])*\1""")


class Token(Struct, frozen=True):
    """One token; `start` and `end` are offsets from 0."""

    kind: str
    text: str
    start: int
    end: int


class Path(Struct, frozen=True):
    """`event.device.os`: root and parts, with the offset of each part. No parts: the root is used as a whole."""

    root: Root
    parts: tuple[str, ...]
    start: int
    end: int
    offsets: tuple[int, ...]


class Presence(Struct, frozen=True):
    """`has(event.device.os)`: the span of the whole call, and what it asks for."""

    path: Path
    start: int
    end: int


class Call(Struct, frozen=True):
    """A call of a function or method. `literals` has, for each argument that is one plain string, its text, else None."""

    name: str
    start: int
    is_method: bool
    literals: tuple[str | None, ...]
    offsets: tuple[int, ...]


class References(Struct, frozen=True):
    """Everything that a text refers to. Paths inside `has()` are in `presences` only."""

    paths: tuple[Path, ...]
    presences: tuple[Presence, ...]
    calls: tuple[Call, ...]
    now: bool
    null_compared: tuple[int, ...]  # offsets of `null` beside == or !=


def tokens(source: str) -> list[Token]:
    """Split a text; white space and comments are left out."""
    found = (Token(cast("str", m.lastgroup), m[0], m.start(), m.end()) for m in _TOKEN.finditer(source))
    return [token for token in found if token.kind != "space"]


def references(source: str) -> References:
    """Find what a text refers to. Never raises: a text that is not CEL gives what could be made out."""
    stream = tokens(source)
    paths: list[Path] = []
    presences: list[Presence] = []
    calls: list[Call] = []
    now = False
    position = 0
    while position < len(stream):
        presence = _presence(stream, position)
        if presence:
            presences.append(presence)
            position += 2 + 2 * len(presence.path.parts) + 2
            continue
        path = _path(stream, position)
        if path:
            paths.append(path)
            position += 1 + 2 * len(path.parts)
            continue
        if _is_call(stream, position):
            calls.append(_call(stream, position))
        elif _stands_free(stream, position) and stream[position].text == "now":
            now = True
        position += 1
    return References(tuple(paths), tuple(presences), tuple(calls), now, _null_compared(stream))


def plain_string(text: str) -> str | None:
    """Give what a string literal without prefix and escapes says, None for any other token."""
    return text[1:-1] if _PLAIN_STRING.fullmatch(text) else None


def _text(stream: list[Token], position: int) -> str:
    return stream[position].text if 0 <= position < len(stream) else ""


def _stands_free(stream: list[Token], position: int) -> bool:
    return stream[position].kind == "word" and _text(stream, position - 1) != "."


def _is_call(stream: list[Token], position: int) -> bool:
    return stream[position].kind == "word" and _text(stream, position + 1) == "("


def _path(stream: list[Token], position: int) -> Path | None:
    first = stream[position]
    if first.text not in ROOTS or not _stands_free(stream, position) or _is_call(stream, position):
        return None
    parts: list[Token] = []
    ahead = position + 1
    while _text(stream, ahead) == "." and ahead + 1 < len(stream):
        if stream[ahead + 1].kind != "word" or _is_call(stream, ahead + 1):
            break
        parts.append(stream[ahead + 1])
        ahead += 2
    end = parts[-1].end if parts else first.end
    names, offsets = tuple(part.text for part in parts), tuple(part.start for part in parts)
    return Path(cast("Root", first.text), names, first.start, end, offsets)


def _presence(stream: list[Token], position: int) -> Presence | None:
    is_has = stream[position].text == "has" and _stands_free(stream, position) and _is_call(stream, position)
    path = _path(stream, position + 2) if is_has and position + 2 < len(stream) else None
    if path is None or not path.parts:
        return None
    closing = position + 2 + 1 + 2 * len(path.parts)
    if _text(stream, closing) != ")":
        return None
    return Presence(path, stream[position].start, stream[closing].end)


def _call(stream: list[Token], position: int) -> Call:
    literals: list[str | None] = []
    offsets: list[int] = []
    depth = 0
    fresh = True  # at the start of an argument
    for ahead in range(position + 1, len(stream)):
        token = stream[ahead]
        if depth == 1 and fresh and token.text != ")":
            alone = _text(stream, ahead + 1) in {",", ")"}
            literals.append(plain_string(token.text) if token.kind == "string" and alone else None)
            offsets.append(token.start)
            fresh = False
        depth += (token.text in {"(", "[", "{"}) - (token.text in {")", "]", "}"})
        if depth == 0:
            break
        fresh = depth == 1 and (token.text == "," or ahead == position + 1)
    is_method = _text(stream, position - 1) == "."
    return Call(stream[position].text, stream[position].start, is_method, tuple(literals), tuple(offsets))


def _null_compared(stream: list[Token]) -> tuple[int, ...]:
    equality = {"==", "!="}
    return tuple(
        token.start
        for position, token in enumerate(stream)
        if token.text == "null" and (_text(stream, position - 1) in equality or _text(stream, position + 1) in equality)
    )

"""From the bytes of a file to one Node: YAML 1.2, core schema (rulings A29, A30). What is wrong is a problem, never an exception.

The parser's events are read one by one and bounds are checked on the way, so that a file made to exhaust memory is refused
before anything of it is expanded: an alias costs as many nodes as its anchor has. Scalars are resolved here and not by
ruamel.yaml, whose 1.2 mode still makes objects of timestamps and merges `<<`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from orchestrator.language import codes
from orchestrator.language.model import Place
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node

FILE_BYTES: Final = 1_000_000
NODES: Final = 10_000
DEPTH: Final = 64

_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = {re.compile(r"0o[0-7]+", re.ASCII): 8, re.compile(r"0x[0-9a-fA-F]+", re.ASCII): 16}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DIGITS: Final = 4_000  # int() refuses longer texts; nothing here counts that far
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00")


class _Refused(Exception):
    """Reading cannot go on."""

    def __init__(self, place: Place, code: str, message: str) -> None:
        super().__init__(message)
        self.place, self.code, self.message = place, code, message


class _Open(Struct):
    """A mapping or list that is being read. `before` is how many nodes there were when it began."""

    node: Node
    anchor: str
    before: int
    key: str | None = None
    wants_key: bool = False
    skips: bool = False  # the value belongs to a key that was refused


def compose(path: str, content: bytes, problems: Problems) -> Node | None:
    """Read one file; `path` is its name in messages. None, with a problem, where it says nothing that can be used."""
    try:
        return _Composer(path, problems).read(_decoded(path, content))
    except _Refused as refused:
        problems.error(refused.place, refused.code, refused.message)
        return None


def _decoded(path: str, content: bytes) -> str:
    start = Place(path, 1, 1)
    if len(content) > FILE_BYTES:
        raise _Refused(start, codes.TOO_LARGE, f"the file is larger than {FILE_BYTES:,} bytes: split it up")
    if content.startswith(_WIDE_MARKS) or b"\x00" in content[:4]:
        raise _Refused(start, codes.NOT_UTF8, "the file is UTF-16 or UTF-32, not UTF-8: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        message = f"byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise _Refused(_place_of(path, before, len(before)), codes.NOT_UTF8, message) from error


def _place_of(path: str, text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(path, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _code_point(character: str | int) -> int:
    return character if isinstance(character, int) else ord(character)


class _Composer:
    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}  # None: begun, not finished
        self._nodes = 0
        self._documents = 0
        self._root: Node | None = None

    def read(self, text: str) -> Node:
        for event in self._events(text):
            self._take(event)
        if self._root is None or (self._root.value is None and not self._root.text):
            raise _Refused(Place(self._path, 1, 1), codes.EMPTY, "the file is empty")
        return self._root

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except MarkedYAMLError as error:
            raise self._syntax(error) from error
        except ReaderError as error:
            message = f"the character U+{_code_point(error.character):04X} is not allowed in YAML"
            raise _Refused(_place_of(self._path, text, error.position), codes.SYNTAX, message) from error
        except _Refused:
            raise
        except Exception as error:  # an escape beyond Unicode, for one: still the author's text, not our fault
            raise _Refused(Place(self._path, 1, 1), codes.SYNTAX, f"not YAML: {error}") from error

    def _syntax(self, error: MarkedYAMLError) -> _Refused:
        mark = error.problem_mark or error.context_mark
        place = Place(self._path, mark.line + 1, mark.column + 1) if mark else Place(self._path, 1, 1)
        what = " ".join(str(error.problem or error.context or "cannot be read").split())
        if "'\\t'" in what:
            what = "a tab cannot indent: use spaces"
        elif "mapping values are not allowed" in what:
            what = "a `:` is not expected here: put text with a colon in quotes, and check the indentation"
        context = error.context_mark
        began = f" ({' '.join(str(error.context).split())} from line {context.line + 1})" if error.context and context else ""
        return _Refused(place, codes.SYNTAX, f"not YAML: {what}{began}")

    def _take(self, event: Any) -> None:
        if isinstance(event, DocumentStartEvent):
            self._begin_document(event)
        elif isinstance(event, ScalarEvent):
            self._check_tag(event)
            self._add(self._scalar(event), event.anchor, is_plain=event.style is None)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._check_tag(event)
            self._begin(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._end()
        elif isinstance(event, AliasEvent):
            self._alias(event)

    def _at(self, event: Any) -> Place:
        return Place(self._path, event.start_mark.line + 1, event.start_mark.column + 1)

    def _begin_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a second document begins here: one file, one document"
            raise _Refused(self._at(event), codes.SEVERAL_DOCUMENTS, message)
        if (event.version and tuple(event.version) != (1, 2)) or event.tags:
            message = "no directives: the files are YAML 1.2 without tags"
            raise _Refused(Place(self._path, 1, 1), codes.DIRECTIVE, message)

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None:
            message = f"the tag {str(event.tag)[:80]!r} is not allowed: drop it, and quote what is meant as text"
            self._problems.error(self._at(event), codes.TAG, message)

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > NODES:
            raise _Refused(place, codes.EXPANSION, f"more than {NODES:,} nodes, aliases expanded: split the file up")

    def _begin(self, event: Any) -> None:
        place = self._at(event)
        if len(self._open) >= DEPTH:
            raise _Refused(place, codes.TOO_DEEP, f"nested deeper than {DEPTH} levels")
        is_mapping = isinstance(event, MappingStartEvent)
        before = self._nodes
        self._count(1, place)
        if event.anchor:
            self._anchors[event.anchor] = None
        node = Node({} if is_mapping else [], place)
        self._open.append(_Open(node, event.anchor or "", before, wants_key=is_mapping))

    def _end(self) -> None:
        closed = self._open.pop()
        if closed.anchor:
            self._anchors[closed.anchor] = (closed.node, self._nodes - closed.before)
        self._place_in_parent(closed.node, is_plain=False)

    def _alias(self, event: Any) -> None:
        place = self._at(event)
        found = self._anchors.get(event.anchor)
        if found is None:
            why = "contains this alias" if event.anchor in self._anchors else "is not in the file above"
            raise _Refused(place, codes.ALIAS, f"the anchor &{event.anchor} {why}")
        node, nodes = found
        self._count(nodes, place)
        self._place_in_parent(node, is_plain=False)

    def _scalar(self, event: Any) -> Node:
        text = event.value
        value = text if event.style is not None else self._resolved(event, text)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise _Refused(self._at(event), codes.SYNTAX, "an escape here gives half a character (a lone surrogate)")
        start, end = event.start_mark, event.end_mark
        quotes = 1 if event.style in {"'", '"'} else 0
        is_exact = start.line == end.line and end.column - start.column - 2 * quotes == len(text)
        return Node(value, self._at(event), text=text, column=start.column + quotes + 1 if is_exact else 0)

    def _resolved(self, event: Any, text: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > _DIGITS:
            return text
        for pattern, base in _BASED.items():
            if pattern.fullmatch(text):
                return int(text[2:], base)
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return float(text.replace(".", "")) if _INFINITE.fullmatch(text) else text

    def _add(self, node: Node, anchor: str | None, *, is_plain: bool) -> None:
        self._count(1, node.place)
        if anchor:
            self._anchors[anchor] = (node, 1)
        self._place_in_parent(node, is_plain=is_plain)

    def _place_in_parent(self, node: Node, *, is_plain: bool) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.wants_key:
            parent.wants_key = False
            parent.skips = not self._is_good_key(parent.node, node, is_plain)
            parent.key = node.text
            if not parent.skips:
                parent.node.key_places[node.text] = node.place
        else:
            parent.wants_key = True
            if not parent.skips and parent.key is not None:
                parent.node.value[parent.key] = node

    def _is_good_key(self, mapping: Node, key: Node, is_plain: bool) -> bool:
        if isinstance(key.value, dict | list) or not key.text:
            self._problems.error(key.place, codes.BAD_KEY, "a key must be text")
        elif is_plain and key.text == "<<":
            message = "merge keys are not allowed: write the settings out, or use an alias for a whole value"
            self._problems.error(key.place, codes.MERGE_KEY, message)
        elif key.text in mapping.key_places:
            first = mapping.key_places[key.text].line
            self._problems.error(key.place, codes.DUPLICATE_KEY, f"`{key.text}` is already set on line {first}")
        else:
            return True
        return False

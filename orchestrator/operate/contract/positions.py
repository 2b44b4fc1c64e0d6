"""Where each value of a JSON text stands, so that what is said about a schema names line and column.

Python's parser keeps no positions. The language's composer does and reads YAML, of which JSON is no true part: it refuses tabs
before a value, which many editors write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]  # what json itself reads a string with
from typing import Final

Path = tuple[str | int, ...]

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")


class Positions:
    """The values of one text by their path, keys and list places from the outside in."""

    def __init__(self, text: str) -> None:
        """`text` has been read as JSON without a complaint."""
        self._text = text
        self._offsets: dict[Path, int] = {}
        self._read(0, ())

    @property
    def offsets(self) -> Mapping[Path, int]:
        """Where each value begins, from 0."""
        return self._offsets

    def at(self, path: Path) -> tuple[int, int]:
        """Give line and column, from 1, of a value, or of the innermost one around it that is there."""
        while path not in self._offsets:
            path = path[:-1]
        offset = self._offsets[path]
        start = self._text.rfind("\n", 0, offset) + 1
        return self._text.count("\n", 0, offset) + 1, offset - start + 1

    def _read(self, at: int, path: Path) -> int:
        """Note a value and those in it; gives where it ends."""
        at = self._after_space(at)
        self._offsets[path] = at
        if self._text[at] not in "{[":
            return int(_DECODER.raw_decode(self._text, at)[1])
        is_object, n = self._text[at] == "{", 0
        while True:
            at = self._after_space(at + 1)
            if self._text[at] in "}]":  # right after the beginning: it is empty
                return at + 1
            key: str | int = n
            if is_object:
                key, at = scanstring(self._text, at + 1)
                at = self._after_space(at) + 1  # past the colon
            at, n = self._after_space(self._read(at, (*path, key))), n + 1
            if self._text[at] != ",":
                return at + 1

    def _after_space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

"""Problems in what an author wrote: all of them at once, each with its place and, where one is near, a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct, structs

from orchestrator.language.model import Place

Severity = Literal["error", "warning"]


class Problem(Struct, frozen=True, order=True):
    """One thing that is wrong or doubtful; `str()` is the line an editor can jump to.

    `expression` is the whole text that it stands in, "" where it is about no expression.
    """

    place: Place
    code: str
    message: str
    severity: Severity = "error"
    suggestion: str = ""
    expression: str = ""

    def __str__(self) -> str:
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        mark = "" if self.severity == "error" else "warning: "
        return f"{self.place}  {self.code}  {mark}{self.message}{hint}"

    @property
    def quoted(self) -> str:
        """The same line and, on one of its own below it, the expression, for whoever has not got the file open."""
        return f"{self}\n    in: {self.expression}" if self.expression else str(self)


class Problems:
    """Collects problems while reading and checking goes on."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def error(
        self, place: Place, code: str, message: str, *, word: str = "", known: Iterable[str] = (), expression: str = ""
    ) -> None:
        """Note an error; where `word` is close to one of `known`, that one is suggested."""
        self._found.append(Problem(place, code, printable(message), "error", nearest(word, known), printable(expression)))

    def warning(self, place: Place, code: str, message: str) -> None:
        """Note something that is allowed but doubtful."""
        self._found.append(Problem(place, code, printable(message), "warning"))

    def add(self, problem: Problem) -> None:
        """Take over one that was found elsewhere."""
        self._found.append(problem)

    def make_strict(self) -> None:
        """Take every warning as an error."""
        self._found = [structs.replace(problem, severity="error") for problem in self._found]

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(set(self._found), key=lambda p: (p.place.path, p.place.line, p.place.column, p.code, p.message)))

    @property
    def has_errors(self) -> bool:
        """Whether anything forbids running this topology."""
        return any(p.severity == "error" for p in self._found)


def printable(text: str) -> str:
    """Escape what a terminal would obey or a line would break at: messages quote what authors wrote."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the known word closest to a misspelt one, or the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6) if word else []
    return close[0] if close else ""

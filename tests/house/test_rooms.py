"""The house rules of conventions that no linter holds: sizes, names, first lines, where printing is allowed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import PACKAGE, ROOT, TESTS, files, name_of, parsed

FILE_LINES = 500
FUNCTION_LINES = 70
# Names that say nothing of what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "misc", "manager", "info", "data"}
# Spelt in pieces, so that this file does not mention them either.
NOT_OF_THE_PROJECT = ("../" + "shared", "/work/" + "main", "/work/" + "shared", "brief" + ".md")

PACKAGE_FILES = [pytest.param(path, id=name_of(path)) for path in files(PACKAGE, ".py")]


@pytest.mark.parametrize("path", PACKAGE_FILES)
def test_a_room_is_small_and_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    functions = [each for each in ast.walk(parsed(path)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {each.name: length for each in functions if (length := (each.end_lineno or 0) - each.lineno + 1) > FUNCTION_LINES}

    assert len(lines) <= FILE_LINES, "a file is one room: split it by subject"
    assert not long, f"functions over {FUNCTION_LINES} lines: take out what has a name of its own"
    assert lines[:1], "an empty file: say in a docstring what the room is for"
    assert lines[0].startswith('"""'), "the first line is the docstring that says what the room is for"
    assert (ast.get_docstring(parsed(path)) or "").strip()


@pytest.mark.parametrize("path", PACKAGE_FILES)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [each for each in ast.walk(parsed(path)) if isinstance(each, ast.Call)]
    prints = [each.lineno for each in calls if isinstance(each.func, ast.Name) and each.func.id == "print"]

    assert not prints or path.is_relative_to(PACKAGE / "cli"), f"print at lines {prints}: log, or give the text to the command"


def test_names_say_what_is_inside() -> None:
    places = [path for top in (PACKAGE, TESTS, ROOT / "benchmarks") for path in files(top, ".py")]
    named = {name_of(path) for path in places if EMPTY_NAMES & {*path.relative_to(ROOT).parent.parts, path.stem}}

    assert not named, f"no name among {sorted(EMPTY_NAMES)} says what a file is for"


def test_nothing_points_outside_the_repository() -> None:
    found = [(name_of(path), word) for path in files() for word in NOT_OF_THE_PROJECT if word.encode() in path.read_bytes()]

    assert not found, "who clones the project does not have this"

"""What stands in the repository, for the tests that hold its own rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = ROOT / "orchestrator"
TESTS: Final = ROOT / "tests"

_NOT_OURS: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "state", "vendored"})


def files(top: Path = ROOT, suffix: str = "") -> Iterator[Path]:
    """Every file under `top` that people wrote, hidden folders left out except `.ci`; none where there is no such folder."""
    if not top.is_dir():
        return
    for path in sorted(top.iterdir()):
        if path.name in _NOT_OURS or (path.name.startswith(".") and path.name not in {".ci", ".gitignore"}):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files(path, suffix)
        elif path.name.endswith(suffix):
            yield path


def name_of(path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    """A Python file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))

"""No struct that threads read is left for them to resolve: two that are first at the same time crash the process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "orchestrator"

# A barrier and a short switch interval make it near certain that two threads are first: without `resolved` 9 of 10 runs crash.
TOGETHER = """
import sys, threading
sys.setswitchinterval(1e-6)
from {module} import *
from {module} import {name}
import msgspec
raw = msgspec.msgpack.encode({sample})
start = threading.Barrier(8)
def read():
    start.wait()
    assert type(msgspec.msgpack.decode(raw, type={name})) is {name}
threads = [threading.Thread(target=read) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
"""


def read_structs(tree: ast.AST) -> Iterator[str]:
    """Give the names of the classes that calls of `decode(..., type=X)` and `convert(..., X)` read."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        asked = [each.value for each in call.keywords if each.arg == "type"] if call.func.attr == "decode" else []
        asked += call.args[1:2] if call.func.attr == "convert" else []
        for named in asked:
            yield from (each.id for each in ast.walk(named) if isinstance(each, ast.Name))


def test_each_struct_that_is_read_by_its_type_is_resolved_when_it_is_defined() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    read = {name for tree in trees.values() for name in read_structs(tree)}
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    structs = read & {each.name for each in classes}
    assert {"JournalRecord", "_Meta", "Checkpoint", "Revision"} <= structs, "the search finds what is known to be read"
    bare = structs - {each.name for each in classes if any(ast.unparse(by) == "resolved" for by in each.decorator_list)}
    assert not bare, f"add @resolved (orchestrator/structs.py) to {sorted(bare)}"


@pytest.mark.parametrize(
    ("module", "name", "sample"),
    [
        ("orchestrator.stream.store", "_Meta", "_Meta(Identity(1, 'c', 'a', 0), Position())"),
        ("orchestrator.wire.journal", "JournalRecord", "JournalRecord(1, 'w', 'p', 0, 0, [Run('t', 0, 1, 0)], {})"),
    ],
)
def test_threads_that_read_the_first_of_a_kind_together_do_not_crash(module: str, name: str, sample: str) -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", TOGETHER.format(module=module, name=name, sample=sample)], check=True, timeout=60)

"""What is compiled does what its sources say, and is not used once they have changed."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator import compiled
from tests.house.tree import PACKAGE, ROOT, files, parsed
from tests.report import REQUIRE_KAFKA
from tests.test_structs import read_structs

COMPILE = ROOT / "deploy" / "compile.py"
USED = "from orchestrator import compiled; from orchestrator.engine import walk; print(compiled.is_used(), walk.__file__)"

# The two shipped ways to bring the engine to work: a cohort with every verb, and purchases; what they decide, and what is stored.
DECIDED = """
import hashlib, msgspec
from itertools import islice
from benchmarks.engine import records
from orchestrator.engine.engine import Engine
from orchestrator.operate.demo.cohort import cohort
from orchestrator.operate.demo.dataset import purchases
from orchestrator.simulate import Simulation
from orchestrator.wire.handlings import HandlingEncoder
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace
from tests.contract.cdnow import FOR_EVER
from tests.contract.stage import SHIPPED
engine, schemas = Engine(Workspace.load(SHIPPED).topology), load_schemas()
for events in (cohort(), islice(purchases(), 5000)):
    simulation, handlings = Simulation(engine), []
    for record in records(events, schemas):
        handlings += simulation.feed(record)
    handlings += simulation.run_until(FOR_EVER)
    encoder, said = HandlingEncoder(), hashlib.sha256()
    for handling in handlings:
        given = [action.plain() for action in handling.actions], handling.incidents
        said.update(b"".join(encoder.encode(handling)[:2]) + msgspec.msgpack.encode(given))
    for name, customer in sorted(simulation.customers.items()):
        said.update(name.encode() + (customer.stored or b""))
    print(len(handlings), said.hexdigest())
"""
STRUCTS = """
import importlib, inspect, json, msgspec
from orchestrator import compiled
found = {}
for path in compiled.MODULES:
    module = importlib.import_module("orchestrator." + path.removesuffix(".py").replace("/", "."))
    for name, each in inspect.getmembers(module, inspect.isclass):
        if issubclass(each, msgspec.Struct):
            config = each.__struct_config__
            fields = [f"{field.name} = {field.default} {field.default_factory}" for field in msgspec.structs.fields(each)]
            settings = [f"{key} {getattr(config, key)}" for key in sorted(dir(config)) if not key.startswith("_")]
            found[f"{path} {name}"] = settings + fields
print(json.dumps(found))
"""

FROM_SOURCES = {compiled.VARIABLE: "1"}

needs_compiled = pytest.mark.skipif(not compiled.is_used(), reason="nothing is compiled here: `make compile` does it")


def python(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(cwd), **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def both_ways(program: str) -> tuple[str, str]:
    return python("-c", program), python("-c", program, **FROM_SOURCES)


@needs_compiled
def test_it_decides_and_stores_the_same_as_its_sources() -> None:
    fast, slow = both_ways(DECIDED)
    assert len(fast.splitlines()) == 2
    assert fast == slow


@needs_compiled
def test_its_structs_are_those_of_its_sources() -> None:
    fast, slow = (json.loads(told) for told in both_ways(STRUCTS))
    assert "engine/verbs/call.py Attempt" in fast
    assert fast == slow, "a keyword of the class is lost: derive it from a base of orchestrator/structs.py that has it"


@needs_compiled
@pytest.mark.slow
def test_the_tests_that_replace_parts_of_it_pass_on_its_sources() -> None:
    rooms = [ROOT / "tests" / room for room in ("engine", "stream", "wire")]
    told = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "interpreted", *rooms, **FROM_SOURCES, **{REQUIRE_KAFKA: "0"}
    )
    last = told.strip().splitlines()[-1]
    assert int(last.split(" passed")[0]) >= 15
    assert "skipped" not in last


def test_no_struct_of_it_is_read_by_its_type() -> None:
    """mypyc keeps of `list[Instance]` that it is a list, and nothing of `Move | None`; so a decoder would take anything."""
    defined = {
        each.name for path in compiled.MODULES for each in ast.walk(parsed(PACKAGE / path)) if isinstance(each, ast.ClassDef)
    }
    read = {name for path in files(PACKAGE, ".py") for name in read_structs(parsed(path))}
    assert "Refusal" in defined
    assert "JournalRecord" in read
    assert not defined & read


def copied(folder: Path, leave_out: Sequence[str] = ()) -> Path:
    shutil.copytree(PACKAGE, folder / "orchestrator", ignore=shutil.ignore_patterns("__pycache__", *leave_out))
    return folder


@needs_compiled
def test_it_is_not_used_once_a_source_has_changed(tmp_path: Path) -> None:
    copied(tmp_path)
    assert python("-c", USED, cwd=tmp_path).startswith("True ")

    with (tmp_path / "orchestrator/engine/contact.py").open("a", encoding="utf-8") as source:
        source.write("# a constant of it may have been taken over\n")
    told = python("-c", USED, cwd=tmp_path).split()
    assert told == ["False", str(tmp_path / "orchestrator/engine/walk.py")]


@needs_compiled
def test_it_is_not_used_where_a_part_of_it_is_gone(tmp_path: Path) -> None:
    (part,) = (copied(tmp_path) / "orchestrator/engine").glob("walk.*.so")
    part.unlink()
    assert python("-c", USED, cwd=tmp_path).startswith("False ")


@needs_compiled
def test_the_sources_are_used_where_that_is_asked_for() -> None:
    told = python("-c", USED, **FROM_SOURCES).split()
    assert told == ["False", str(PACKAGE / "engine/walk.py")]


def test_without_a_compiler_it_says_what_to_install_and_all_works_on(tmp_path: Path) -> None:
    copied(tmp_path, ["*.so"])
    (tmp_path / "deploy").mkdir()
    shutil.copy(COMPILE, tmp_path / "deploy")
    environment = {**os.environ, "CC": "no-such-compiler", "PYTHONPATH": str(tmp_path)}
    for optional, status in (([], 1), (["--optional"], 0)):
        command = [sys.executable, tmp_path / "deploy/compile.py", *optional]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert done.stderr.splitlines() == [
            "compile: a C compiler (no-such-compiler) is missing; the engine runs interpreted, the same but slower",
            "  next: install it (Debian: gcc python3-dev), then `make compile`",
        ]
    assert python("-c", USED, cwd=tmp_path).startswith("False ")

"""Every rule of the semantics and every ruling, with what it says in one line, and the tests whose names carry its id.

python -m tests.house.rules T3 A06     prints the tests of these rules, without arguments of all
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT, TESTS, files, name_of, parsed

SCENARIOS: Final = TESTS / "scenarios"
_ID: Final = re.compile(r"[a-z][0-9]{1,3}")


def _table(name: str) -> dict[str, str]:
    """Read `id meaning` lines; "#" begins a comment."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            rule, meaning = line.split(maxsplit=1)
            assert rule not in found, f"{name}: {rule} stands there twice"
            found[rule] = meaning
    return found


# Rules A1 to A5 are of the semantics, rulings below ten have two digits: A01 to A09.
RULES: Final = _table("rules.txt")
RULINGS: Final = _table("rulings.txt")
MEANINGS: Final = {**RULES, **RULINGS}

# What no version so far does, and why. A rule leaves when it is built.
LATER: Final = {
    "B2": "the circuit breaker over incidents",
    "B3": "redriving incidents from their topic; a parked instance is redriven by rule A4",
    "P4": "experiment reports; exposures and conversions are already logged (P3, G1)",
}

# What a scenario cannot show, and where it is tested instead.
NO_SCENARIO: Final = {
    "I3": "needs a crash: tests/contract/test_crash.py",
    "R1": "needs a log: tests/contract/test_replay.py",
    "R2": "writes Kafka: tests/contract/test_rebuild.py",
    "R3": "compares two topologies: tests/operate/backtest",
    "V4": "needs workers: tests/contract/test_publishing.py",
    "V5": "needs workers: tests/contract/test_publishing.py",
    "W8": "is about files that are refused: tests/language/test_graph.py",
}


@cache
def named_tests() -> dict[str, list[str]]:
    """Rule id to `file::test`; read from the syntax, so that a comment does not count. Ids that no rule has are in it too."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files(TESTS, ".py"):
        if not path.name.startswith("test_"):
            continue
        for each in ast.walk(parsed(path)):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                for word in each.name.split("_"):
                    if _ID.fullmatch(word):
                        found[word.upper()].append(f"{name_of(path)}::{each.name}")
    return dict(found)


@cache
def scenarios_by_rule() -> dict[str, list[str]]:
    """Rule id to the names of its scenario files."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files(SCENARIOS, ".scenario.yaml"):
        found[path.name.split("_")[0].upper()].append(path.name)
    return dict(found)


def rules_table() -> str:
    """Rule, meaning, and the files its tests stand in, as Markdown. Test names would make it unreadable, and stale every day."""
    return _markdown(RULES)


def rulings_table() -> str:
    """The same of the rulings."""
    return _markdown(RULINGS)


def later_table() -> str:
    """What is not built, with its rule."""
    return "\n".join(["| rule | what is not built yet |", "|---|---|", *(f"| {rule} | {why} |" for rule, why in LATER.items())])


def _markdown(meanings: dict[str, str]) -> str:
    rows = ["| rule | what it says | tests |", "|---|---|---|"]
    for rule, meaning in meanings.items():
        places = sorted({name.split("::")[0] for name in named_tests().get(rule, ())})
        names = [
            place.removeprefix("tests/").replace("/test_", "/").removesuffix(".py").removeprefix("test_") for place in places
        ]
        names += ["scenarios"] if rule in scenarios_by_rule() else []
        rows.append(f"| {rule} | {meaning} | {', '.join(names) or 'none yet'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    for asked in [word.upper() for word in sys.argv[1:]] or MEANINGS:
        print(asked, MEANINGS.get(asked, "no such rule"))
        for line in named_tests().get(asked, []):
            print("   ", line)
        for line in scenarios_by_rule().get(asked, []):
            print("   ", name_of(SCENARIOS / line).removeprefix(f"{ROOT}/"))

"""Every rule of the semantics that is built has a test that says so in its name: `test_t3_w4_event_on_the_deadline_wins`."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tests.house.tree import TESTS, files, name_of, parsed

# What this version of the engine does. A rule joins when it is built; none leaves.
RULES = (
    *("T1", "T2", "T3", "T4", "T5", "T7"),
    *("I1", "I2", "I3"),
    *("E1", "E2", "E3", "E4", "E5"),
    *("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8"),
    *("D1", "D2", "D3", "D4", "D5", "D6"),
    *("C1", "C2", "C3", "C4"),
    *("K1", "K2", "K3", "K4"),
    *("A1", "A2", "A3", "A4", "A5"),
    *("P1", "P2", "P3", "G1", "G2", "Q1", "Q2"),
    "B1",
)


def named_in_tests() -> dict[str, list[str]]:
    """Rule id to the tests that name it; read from the syntax, so that a comment does not count."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files(TESTS, ".py"):
        if not path.name.startswith("test_"):
            continue
        for each in ast.walk(parsed(path)):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                for word in each.name.split("_"):
                    found[word.upper()].append(f"{name_of(path)}::{each.name}")
    return found


TESTED = named_in_tests()


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_has_a_test_that_names_it(rule: str) -> None:
    assert TESTED[rule], f"no test is named test_{rule.lower()}_..."

"""The reference for authors names everything that there is: rules, decisions, verbs."""

from __future__ import annotations

import re
from collections import Counter

from orchestrator.engine.verbs import TABLE
from orchestrator.language.expressions import FUNCTIONS
from orchestrator.names import RESERVED_EVENT_TYPES, Kind
from tests.house.rules import LATER, RULES
from tests.house.tree import ROOT

LANGUAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
SEMANTICS = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")


def test_every_rule_that_is_built_stands_once_in_the_semantics_and_no_other() -> None:
    anchors = re.findall(r'<sup id="([a-z]\d+)">([A-Z]\d+)</sup>', SEMANTICS)

    assert [pair for pair in anchors if pair[0].upper() != pair[1]] == []
    assert Counter(rule for _, rule in anchors) == Counter(rule for rule in RULES if rule not in LATER)


def test_the_language_names_every_kind_of_decision() -> None:
    kinds = {value for name, value in vars(Kind).items() if not name.startswith("_")}

    assert {kind for kind in kinds if f"`{kind}`" not in LANGUAGE} == set()


def test_the_language_has_a_section_for_every_verb_and_names_every_function_and_reserved_type() -> None:
    assert {verb for verb in TABLE if f"\n### {verb}\n" not in LANGUAGE} == set()
    assert {name for name in FUNCTIONS if f"`{name}(" not in LANGUAGE} == set()
    assert {name for name in RESERVED_EVENT_TYPES if f"`{name}`" not in LANGUAGE} == set()

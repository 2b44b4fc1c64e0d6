"""Every rule of the semantics and every ruling has a test that says so in its name: `test_t3_w4_event_on_the_deadline_wins`."""

from __future__ import annotations

import pytest

from tests.house.rules import LATER, MEANINGS, NO_SCENARIO, RULES, RULINGS, named_tests, scenarios_by_rule


def test_the_table_has_every_rule_and_ruling() -> None:
    families = {"T": 8, "I": 3, "E": 5, "W": 8, "D": 6, "A": 5, "C": 4, "K": 4, "Q": 2, "X": 2, "P": 4, "G": 2, "V": 6, "M": 3}
    families |= {"F": 2, "B": 1, "R": 3}

    told = {f"{letter}{number}" for letter, most in families.items() for number in range(1, most + 1)}
    assert set(RULES) == told
    assert set(RULINGS) == {f"A{number:02}" for number in range(1, 111)}
    assert all(MEANINGS.values())


@pytest.mark.parametrize("rule", [rule for rule in MEANINGS if rule not in LATER])
def test_the_rule_has_a_test_that_names_it(rule: str) -> None:
    assert named_tests().get(rule), f"no test is named test_{rule.lower()}_..."


def test_what_looks_like_an_id_in_a_name_is_one() -> None:
    """A ruling below ten has two digits: `a7` is no rule and no ruling."""
    unknown = {rule: names for rule, names in named_tests().items() if rule not in MEANINGS and rule not in LATER}

    assert unknown == {}, "write a ruling as a07, a rule as t3; or choose another word"


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in LATER and rule not in NO_SCENARIO])
def test_the_rule_has_a_scenario(rule: str) -> None:
    assert rule in scenarios_by_rule(), f"tests/scenarios has no {rule.lower()}_....scenario.yaml"


def test_a_scenario_belongs_to_a_rule() -> None:
    assert set(scenarios_by_rule()) - set(MEANINGS) == set()

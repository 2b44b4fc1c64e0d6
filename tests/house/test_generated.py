"""What the documents say of the code is what the code says."""

from __future__ import annotations

import re

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.language import not_built
from tests.house.generated import SECTIONS, renewed
from tests.house.tree import ROOT


@pytest.mark.parametrize("document", SECTIONS)
def test_what_comes_from_the_code_is_up_to_date(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")

    assert renewed(document, text) == text, "next: .venv/bin/python -m tests.house.generated"


def test_a_document_without_its_section_is_refused() -> None:
    with pytest.raises(AssertionError, match="no section"):
        renewed("README.md", "# Nothing\n")


def _said_not_built() -> str:
    found = re.search(r"^## What is not built yet\n(.*?)^And beside the language", (ROOT / "README.md").read_text(), re.M | re.S)
    assert found, "the README says what is not built"
    return found.group(1)


def test_the_readme_names_every_verb_setting_and_function_that_is_not_built() -> None:
    verbs = {name for name, verb in TABLE.items() if not verb.built}
    settings = {key for keys in not_built.SETTINGS.values() for key in keys}
    said = set(re.findall(r"`([a-z_.]+)`", _said_not_built()))

    assert {
        each for each in verbs | settings | not_built.FUNCTIONS if not any(each == name.split(".")[-1] for name in said)
    } == set()


def test_the_readme_calls_nothing_not_built_that_is() -> None:
    verbs_line = next((line for line in _said_not_built().splitlines() if line.startswith("- the verbs")), "")

    assert set(re.findall(r"`(\w+)`", verbs_line)) == {name for name, verb in TABLE.items() if not verb.built}

"""What the documents say of the code is what the code says."""

from __future__ import annotations

import pytest

from benchmarks import sizing
from tests.house.generated import SECTIONS, renewed
from tests.house.tree import ROOT


@pytest.mark.parametrize("document", SECTIONS)
def test_what_comes_from_the_code_is_up_to_date(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")

    assert renewed(document, text) == text, "next: .venv/bin/python -m tests.house.generated"


def test_a_document_without_its_section_is_refused() -> None:
    with pytest.raises(AssertionError, match="no section"):
        renewed("README.md", "# Nothing\n")


def test_the_sizes_are_what_is_computed() -> None:
    text = sizing.PAGE.read_text(encoding="utf-8")

    assert sizing.table() in text, "next: .venv/bin/python -m benchmarks.sizing --write"

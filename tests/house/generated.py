"""The parts of the documents that come from the code: settings in the README, codes in docs/errors.md.

python -m tests.house.generated        writes them anew
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from orchestrator import errors
from orchestrator.language import codes
from orchestrator.names import ExitCode
from orchestrator.settings import Settings
from tests.house.tree import ROOT

_SECTION: Final = "<!-- from the code: {name} -->\n{body}\n<!-- end -->"


def settings_table() -> str:
    """Every setting with its default; `kafka` is told of in the text."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{str(field.default).lower()}`"
        if name != "kafka":
            rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def error_table() -> str:
    """The errors that end a command."""
    rows = ["| code | exit | what it is |", "|---|---|---|"]
    for kind in sorted(_descendants(errors.OrchestratorError), key=lambda each: each.code):
        exit_code = int(kind.exit_code)
        rows.append(f"| {kind.code} | {exit_code} | {(kind.__doc__ or '').splitlines()[0]} |")
    return "\n".join(rows)


def finding_table() -> str:
    """What `validate` may find."""
    return "\n".join(["| code | what it is |", "|---|---|", *(f"| {code} | {text} |" for code, text in codes.EXPLAINED.items())])


def exit_table() -> str:
    """The exit statuses by their names."""
    return "\n".join(["| status | name |", "|---|---|", *(f"| {int(each)} | {each.name.lower()} |" for each in ExitCode)])


def _descendants(kind: type[errors.OrchestratorError]) -> list[type[errors.OrchestratorError]]:
    found = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return found + [deeper for each in found for deeper in _descendants(each)]


SECTIONS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "README.md": {"settings": settings_table},
    "docs/errors.md": {"exit statuses": exit_table, "errors": error_table, "findings": finding_table},
}


def renewed(document: str, text: str) -> str:
    """The document with its sections as the code has them now. Raises AssertionError where one is not there."""
    for name, render in SECTIONS[document].items():
        pattern = re.compile(re.escape(f"<!-- from the code: {name} -->") + r".*?<!-- end -->", re.DOTALL)
        assert pattern.search(text), f"{document}: no section <!-- from the code: {name} --> ... <!-- end -->"
        whole = _SECTION.format(name=name, body=render())
        text = pattern.sub(lambda _, whole=whole: whole, text)
    return text


if __name__ == "__main__":
    for each in SECTIONS:
        path = ROOT / each
        path.write_text(renewed(each, path.read_text(encoding="utf-8")), encoding="utf-8")

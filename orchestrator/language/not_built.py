"""What the language has and this version does not run yet: one table. Everything here is read and checked in full, then refused.

Building one of these means deleting its line. Verbs that are not built say so themselves (`VerbSyntax.built`).
"""

from __future__ import annotations

from typing import Final

from orchestrator.language import codes
from orchestrator.language.model import Place
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "policy.dedupe": ("addresses",),
    "policy.channel": ("rate",),
}
FUNCTIONS: Final = frozenset[str]()


def refuse_settings(fields: Fields, section: str) -> None:
    """Refuse the settings of one section that are written and not built."""
    for key in SETTINGS.get(section, ()):
        if fields.has(key):
            refuse(fields.problems, f"`{key}`", fields.key_at(key))


def refuse(problems: Problems, what: str, place: Place) -> None:
    """Refuse one thing."""
    problems.error(place, codes.NOT_BUILT, f"{what} is part of the language but this version does not run it yet")

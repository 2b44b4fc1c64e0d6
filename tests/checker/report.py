"""What a check found: the differences, each with its place, and what was counted on the way."""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import Struct, field

MAX_TOLD: Final = 50  # after a first difference others follow from it; nobody reads more


class Report(Struct):
    """`differences` is empty where every invariant holds. No line holds a key, a value or a customer's field."""

    differences: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    left_out: int = 0  # differences beyond MAX_TOLD

    def differ(self, where: str, what: str) -> None:
        """Note a difference at a topic/partition/offset, or whatever else names a place."""
        if len(self.differences) < MAX_TOLD:
            self.differences.append(f"{where}: {what}")
        else:
            self.left_out += 1

    @property
    def summary(self) -> str:
        """Say in a line what was counted, and whether all of it was right."""
        counted = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        found = len(self.differences) + self.left_out
        return f"{found or 'no'} difference{'' if found == 1 else 's'} in {counted or 'nothing'}"

    def __str__(self) -> str:
        more = [f"... and {self.left_out} more"] if self.left_out else []
        return "\n".join([self.summary, *self.differences, *more])

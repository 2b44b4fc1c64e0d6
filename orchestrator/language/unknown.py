"""The third answer of a condition: neither true nor false."""

from __future__ import annotations

from typing import Final


class Unknown:
    """The value of an expression that met an absent field or failed. Not true, not false; its bool() raises."""

    def __bool__(self) -> bool:
        raise TypeError("unknown is neither true nor false: compare with `is`")

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

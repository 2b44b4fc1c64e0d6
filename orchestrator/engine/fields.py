"""What classes share that are compiled and no Structs: equality by their fields, and those as a dict."""

from __future__ import annotations

from typing import Any, ClassVar


class Fielded:
    """Objects of one class are equal where all that `FIELDS` names is. They change, so they have no hash."""

    __slots__ = ()

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def fields(self) -> dict[str, Any]:
        """Give its fields by their names, in the order of `FIELDS`."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Fielded) and self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]

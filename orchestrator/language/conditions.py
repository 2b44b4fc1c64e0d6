"""Checking the expressions of a topology: against the fields of the events that they can meet, and the names of the journey.

Also finds which fields of `event` an expression reads as timestamps, since records carry those as integer milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.language import codes
from orchestrator.language.catalog import Catalog, FieldType
from orchestrator.language.counts import NAME, what_is_counted
from orchestrator.language.expressions import check
from orchestrator.language.findings import Finding
from orchestrator.language.model import Expr, Place, Policy
from orchestrator.language.problems import Problems, nearest
from orchestrator.language.references import Call, references

_CHANNEL_FIRST: Final = frozenset({"consented", "sent_within"})


class Conditions:
    """Checks expressions one by one. `catalog` None: event fields are untyped (ruling A25); `policy` None: names go unchecked."""

    def __init__(self, catalog: Catalog | None, policy: Policy | None, problems: Problems) -> None:
        self._catalog = catalog
        self._policy = policy
        self._problems = problems
        self.timestamps: dict[Place, frozenset[str]] = {}

    def check(self, expr: Expr, events: Iterable[str], journey: frozenset[str], *, want_bool: bool) -> None:
        """Check one expression where `event` is one of `events`."""
        fields = self._fields(sorted(set(events)))
        for finding in check(expr.source, fields, journey, want_bool=want_bool):
            self._report(expr, finding)
        found = references(expr.source)
        for call in found.calls:
            if not call.is_method:
                self._check_call(expr, call)
                if call.name == NAME and what_is_counted(call, [each for each in found.calls if not each.is_method]) is None:
                    message = 'say the event type and the span in plain text: count_within("auth.login", "7d")'
                    self._problems.error(_within(expr, call.start + 1), codes.EXPRESSION_TYPE, message, expression=expr.source)
        asked = {
            path.parts[0]
            for path in (*found.paths, *(each.path for each in found.presences))
            if path.root == "event" and path.parts
        }
        times = {name for name, kind in (fields or {}).items() if kind == "timestamp" and name.split(".")[0] in asked}
        if times:
            self.timestamps[expr.place] = self.timestamps.get(expr.place, frozenset()) | times

    def _fields(self, events: list[str]) -> Mapping[str, FieldType] | None:
        """Give the fields that some of the types declare; None where one has no schema, which is told elsewhere."""
        if self._catalog is None:
            return None
        merged: dict[str, FieldType] = {}
        for event_type in events:
            # A misspelt type is taken for the one that is suggested, so that its fields are checked in the same pass.
            schema = self._catalog.get(event_type) or self._catalog.get(nearest(event_type, self._catalog.events))
            if schema is None:
                return None
            for name, kind in schema.fields.items():
                merged[name] = kind if merged.get(name, kind) == kind else "dyn"
        return merged

    def _check_call(self, expr: Expr, call: Call) -> None:
        names = [*call.literals, None, None]
        if call.name in _CHANNEL_FIRST and names[0] is not None and self._policy is not None:
            self._declared(expr, call.offsets[0], names[0], "channel", self._policy.channels, codes.UNKNOWN_CHANNEL)
        if call.name == "consented" and names[1] is not None and self._policy is not None:
            self._declared(expr, call.offsets[1], names[1], "purpose", self._policy.purposes, codes.UNKNOWN_PURPOSE)
        if call.name == "count_within" and names[0] is not None and self._catalog is not None and not self._catalog.is_open:
            self._declared(expr, call.offsets[0], names[0], "event type", self._catalog.events, codes.UNKNOWN_EVENT_TYPE)

    def _declared(self, expr: Expr, offset: int, name: str, what: str, known: Mapping[str, object], code: str) -> None:
        if name not in known:
            self._problems.error(
                _within(expr, offset + 1), code, f"there is no {what} {name!r}", word=name, known=known, expression=expr.source
            )

    def _report(self, expr: Expr, finding: Finding) -> None:
        place = _within(expr, finding.column)
        self._problems.error(place, finding.code, finding.message, word=finding.word, known=finding.known, expression=expr.source)


def _within(expr: Expr, column: int) -> Place:
    """Give the place of a column of the text, from 1; that of the whole where the text is escaped or spread over lines."""
    return Place(expr.place.path, expr.place.line, expr.column + column - 1) if expr.column else expr.place

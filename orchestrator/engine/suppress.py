"""Suppression rules: an event that blocks purposes for a time (rule C4, ruling A59)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.engine.handling import Action, Decision
from orchestrator.engine.upkeep import contact_of
from orchestrator.language.expressions import UNKNOWN, compile_expression
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import Suppress


class SuppressRule:
    """One rule, ready to run."""

    __slots__ = ("for_ms", "id", "on", "purposes", "when")

    def __init__(self, rule: Suppress) -> None:
        self.id = rule.id
        self.on = rule.on
        self.purposes = frozenset(rule.purposes)
        self.for_ms = rule.for_ms
        self.when = None if rule.when is None else compile_expression(rule.when.source, rule.when.timestamps)

    def note(self, turn: Turn) -> None:
        """Block from the record's time on, if the rule's condition is true; a later end and an earlier start of one block win."""
        if not self._holds(turn):
            return
        blocks, start, end = contact_of(turn.document).blocks, turn.now, turn.now + self.for_ms
        known = blocks.get(self.id)
        if known is not None and start <= known[1] and known[0] <= end:
            start, end = min(start, known[0]), max(end, known[1])
        elif known is not None and known[1] > end:
            return  # a late record's block that was over before the known one began
        blocks[self.id] = (start, end)

    def _holds(self, turn: Turn) -> bool:
        if self.when is None:
            return True
        value = turn.evaluate(self.when)
        if value is UNKNOWN or not isinstance(value, bool):
            detail = {"expression": self.when.source, "rule": self.id}
            turn.handling.decisions.append(Decision(Kind.CONDITION_ERROR, detail=detail))
            return False
        return value

    def blocks(self, turn: Turn, action: Action) -> bool:
        """Tell whether a send is blocked now."""
        contact = turn.contact
        block = None if contact is None or action.purpose not in self.purposes else contact.blocks.get(self.id)
        return block is not None and block[0] <= turn.now < block[1]


def with_rule(effect: Callable[[Turn], None] | None, rule: SuppressRule) -> Callable[[Turn], None]:
    """Give an event type's effect with a suppression rule after it (rule T7)."""

    def both(turn: Turn) -> None:
        if effect is not None:
            effect(turn)
        rule.note(turn)

    return both

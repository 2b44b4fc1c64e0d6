"""Counts what a run did, from what it wrote: handlings, actions, incidents, outcomes and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.names import Kind

_ENDS: Final = frozenset({Kind.ENDED, Kind.EXITED, Kind.EXPIRED, Kind.MERGED})

Plain = Mapping[str, Any]


class Moment(Struct, frozen=True):
    """One handling of one customer: `event` is "" for timers, `at` in ms UTC, `decisions` as in Handling.avsc."""

    at: int
    event: str
    event_id: str
    decisions: tuple[Plain, ...]


class Tally:
    """The counts of one run so far. Fed by one thread; what others read of it may be a moment old.

    `keeps_life` says of whose moments a copy is kept for the story.
    """

    def __init__(self, keeps_life: Callable[[str], bool] = lambda customer: False) -> None:
        self._keeps_life = keeps_life
        self.lives: dict[str, list[Moment]] = {}
        self.decisions: Counter[str] = Counter()  # kind
        self.entries: Counter[str] = Counter()  # journey
        self.refusals: Counter[tuple[str, str]] = Counter()  # journey, reason
        self.suppressions: Counter[tuple[str, str]] = Counter()  # journey, reason
        self.held: Counter[tuple[str, str]] = Counter()  # journey, reason
        self.holds: Counter[tuple[str, str]] = Counter()  # journey, by
        self.arms: Counter[tuple[str, str]] = Counter()  # journey, arm
        self.goals: Counter[tuple[str, str, str]] = Counter()  # journey, arm, goal
        self.ends: Counter[tuple[str, str]] = Counter()  # journey, outcome
        self.actions: Counter[tuple[str, str]] = Counter()  # channel, template or what a call asks for
        self.emitted = 0
        self.calls: Counter[int] = Counter()  # attempt
        self.answers: Counter[str] = Counter()  # status, of the reports that are handled
        self.templates: dict[str, str] = {}  # action id -> template, of the lives kept
        self.incidents: Counter[str] = Counter()  # reason
        self.outcomes: Counter[str] = Counter()  # status
        self.statuses: dict[str, str] = {}  # action id -> status, of the lives kept
        self.positions: dict[str, dict[int, int]] = {}  # source topic -> partition -> next offset, as journalled
        self.cycles = 0

    @property
    def active(self) -> int:
        """Instances that entered and have not ended."""
        return sum(self.entries.values()) - sum(self.decisions[kind] for kind in _ENDS)

    @property
    def calls_open(self) -> int:
        """Calls without an end so far: neither done nor failed for good. Only calls are answered with `succeeded`."""
        return self.calls[1] - self.answers["succeeded"] - self.decisions[Kind.CALL_FAILED]

    def handled(self, topic: str) -> int:
        """Give how many records of a source topic are handled, by the journal."""
        return sum(self.positions.get(topic, {}).values())

    def take_handling(self, handling: Plain) -> None:
        """Count one record of the transitions topic."""
        for decision in handling["decisions"]:
            kind = decision["kind"]
            self.decisions[kind] += 1
            count = _COUNTS.get(kind)
            if count is not None:
                count(self, decision)
        if self._keeps_life(handling["customer"]):
            moment = Moment(handling["at"], handling["event"] or "", handling["event_id"] or "", tuple(handling["decisions"]))
            self.lives.setdefault(handling["customer"], []).append(moment)

    def take_action(self, action: Plain) -> None:
        """Count one command of an action topic."""
        what = action["template"] if action["kind"] == "send" else action["action"]
        if what is None:  # a cancel
            return
        self.emitted += 1
        self.actions[action["channel"], what] += 1
        if action["kind"] == "call":
            self.calls[action["attempt"]] += 1
        if self._keeps_life(action["customer"]):
            self.templates[action["action_id"]] = what

    def take_outcome(self, customer: str, action_id: str, status: str) -> None:
        """Count one report of a channel service."""
        self.outcomes[status] += 1
        if self._keeps_life(customer):
            self.statuses[action_id] = status

    def take_incident(self, reason: str) -> None:
        """Count one dead letter or alert."""
        self.incidents[reason] += 1

    def take_journal(self, partition: int, positions: Mapping[str, int]) -> None:
        """Note how far a partition has come: source topic -> next offset."""
        self.cycles += 1
        for topic, offset in positions.items():
            known = self.positions.setdefault(topic, {})
            known[partition] = max(offset, known.get(partition, 0))


def _count_entry(tally: Tally, decision: Plain) -> None:
    tally.entries[decision["journey"]] += 1


def _count_refusal(tally: Tally, decision: Plain) -> None:
    tally.refusals[decision["journey"], decision["reason"]] += 1


def _count_suppression(tally: Tally, decision: Plain) -> None:
    tally.suppressions[decision["journey"], decision["reason"]] += 1


def _count_held(tally: Tally, decision: Plain) -> None:
    tally.held[decision["journey"], decision["reason"]] += 1


def _count_exposure(tally: Tally, decision: Plain) -> None:
    tally.arms[decision["journey"], decision["arm"]] += 1


def _count_goal(tally: Tally, decision: Plain) -> None:
    if decision["arm"]:
        tally.goals[decision["journey"], decision["arm"], decision["detail"].get("goal", "")] += 1


def _count_answer(tally: Tally, decision: Plain) -> None:
    tally.answers[decision["outcome"]] += 1


def _count_hold(tally: Tally, decision: Plain) -> None:
    tally.holds[decision["journey"], decision["by"]] += 1


def _count_end(tally: Tally, decision: Plain) -> None:
    tally.ends[decision["journey"], decision["outcome"] or decision["reason"] or ""] += 1


_COUNTS: Final[Mapping[str, Callable[[Tally, Plain], None]]] = {
    Kind.ENTERED: _count_entry,
    Kind.ENTRY_REFUSED: _count_refusal,
    Kind.ACTION_SUPPRESSED: _count_suppression,
    Kind.ACTION_HELD: _count_held,
    Kind.EXPOSED: _count_exposure,
    Kind.GOAL_REACHED: _count_goal,
    Kind.OUTCOME_RECEIVED: _count_answer,
    Kind.HOLD_RESOLVED: _count_hold,
    **dict.fromkeys(_ENDS, _count_end),
}

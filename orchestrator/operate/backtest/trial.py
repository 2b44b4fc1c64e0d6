"""One topology over recorded events in virtual time, with reports about its actions as assumed; what came of it, counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct, field

from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.language.model import Topology
from orchestrator.names import Kind
from orchestrator.operate.backtest.assumptions import Assumptions
from orchestrator.simulate import Simulation

DAY_MS: Final = 86_400_000
_TOLD_EVERY: Final = 1_000

# What of a decision is counted, under which heading, and by which of its words.
_COUNTED: Final = {
    Kind.ENTERED: ("entered", ""),
    Kind.ENTRY_REFUSED: ("entry refused", "reason"),
    Kind.ACTION_SUPPRESSED: ("suppressed", "reason"),
    Kind.ACTION_HELD: ("held", "reason"),
    Kind.ACTION_CANCELLED: ("cancelled", "reason"),
    Kind.ENDED: ("ended", "outcome"),
    Kind.EXITED: ("exited", "outcome"),
    Kind.EXPIRED: ("expired", ""),
    Kind.GOAL_REACHED: ("goal", "outcome"),
}


class Figures(Struct):
    """What one run came to within the window: counts by journey, and by day of the journey that is tried."""

    counts: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    reached: set[str] = field(default_factory=set)
    sends_by_day: Counter[int] = field(default_factory=Counter)
    reached_by_day: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    incidents: int = 0


class Trial:
    """One run. `window` are the first instant that counts and the last, ms UTC; what was before is only lived through."""

    def __init__(self, topology: Topology, journey: str, assumptions: Assumptions, window: tuple[int, int]) -> None:
        self.figures = Figures()
        self._simulation = Simulation(topology)
        self._journey = journey
        self._assumptions = assumptions
        self._from, self._until = window
        self._reports: list[tuple[int, int, Record]] = []  # a heap: when, in which order they came about
        self._made = 0

    def run(self, records: Iterable[Record], tell: Callable[[int], None]) -> Figures:
        """Live through the records, in order of time, then on to the end of the window. `tell` hears how many are behind."""
        for number, record in enumerate(records):
            self._up_to(record.time)
            self._take(self._simulation.feed(record))
            if number % _TOLD_EVERY == 0:
                tell(number)
        self._up_to(self._until)
        self._take(self._simulation.run_until(self._until))
        return self.figures

    def _up_to(self, time: int) -> None:
        """Let timers fire and reports come, each at its own time, before `time`: a report may end what a timer is for."""
        simulation = self._simulation
        while True:
            due = simulation.earliest
            reported = self._reports[0][0] if self._reports else time
            if min(due, reported) >= time:
                return
            if reported <= due:
                self._take(simulation.feed(heappop(self._reports)[2]))
            else:
                self._take(simulation.run_until(due))

    def _take(self, handlings: list[Handling]) -> None:
        for handling in handlings:
            if self._from <= handling.at <= self._until:
                self._count(handling)
            for action in handling.actions:
                report = self._assumptions.outcome_of(action)
                if report is not None:
                    self._made += 1
                    heappush(self._reports, (report.time, self._made, report))

    def _count(self, handling: Handling) -> None:
        figures = self.figures
        figures.incidents += len(handling.incidents)
        for decision in handling.decisions:
            counted = _COUNTED.get(decision.kind)
            if counted is not None:
                what, by = counted
                figures.counts[decision.journey][what, getattr(decision, by) if by else ""] += 1
        for action in handling.actions:
            if action.kind == "cancel":
                continue
            what = "sent" if action.kind == "send" else "called"
            figures.counts[action.journey][what, f"{action.step} ({action.channel})"] += 1
            if action.journey == self._journey:
                day = action.created_at // DAY_MS
                figures.reached.add(action.customer)
                figures.sends_by_day[day] += 1
                figures.reached_by_day[day].add(action.customer)

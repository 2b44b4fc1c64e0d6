"""What journeys say of each other: `start`, and the exclusive groups of the policy."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.language import codes
from orchestrator.language.model import Journey, Policy
from orchestrator.language.problems import Problems
from orchestrator.language.verb import Started, VerbTable


class Links:
    """The starts of all journeys. `names`: by journey, the names that some `start` gives to its context (ruling A103)."""

    def __init__(self, journeys: Sequence[Journey], earlier: Sequence[Journey], verbs: VerbTable) -> None:
        """`earlier` versions start journeys, and nothing starts them, so no loop leads through one."""
        self._starts = {journey.id: _starts(journey, verbs) for journey in journeys}
        self._by_earlier = [started for journey in earlier for started in _starts(journey, verbs)]
        self._ending = frozenset(journey.id for journey in earlier) - self._starts.keys()
        self.names: dict[str, frozenset[str]] = {}
        for started in (*(one for starts in self._starts.values() for one in starts), *self._by_earlier):
            self.names[started.journey] = self.names.get(started.journey, frozenset()) | started.names

    def check(self, problems: Problems, policy: Policy | None, *, is_complete: bool) -> None:
        """Refuse journeys that do not exist, where all of them are known, and loops through `start` (ruling A100)."""
        for journey, starts in self._starts.items():
            for started in starts:
                way = self._way(started.journey, journey) if started.journey in self._starts else ()
                if way:
                    message = f"journeys would start each other without end: {' -> '.join((journey, *way))}"
                    problems.error(started.place, codes.LOOP, message)
                elif is_complete:
                    self._check_started(started, problems)
        if not is_complete:
            return
        for started in self._by_earlier:
            self._check_started(started, problems)
        for group in policy.exclusive if policy is not None else ():
            for name in group.journeys:
                if name not in self._starts and name not in self._ending:
                    message = f"the exclusive group {group.id!r} names a journey {name!r} that does not exist"
                    problems.warning(group.place, codes.UNKNOWN_JOURNEY, message)

    def _check_started(self, started: Started, problems: Problems) -> None:
        if started.journey in self._ending:
            message = f"no version of {started.journey!r} takes entries any more, so this step starts nothing"
            problems.warning(started.place, codes.NO_LIVE_VERSION, message)
        elif started.journey not in self._starts:
            message = f"there is no journey {started.journey!r} to start"
            problems.error(started.place, codes.UNKNOWN_JOURNEY, message, word=started.journey, known=self._starts)

    def _way(self, start: str, end: str) -> tuple[str, ...]:
        """Give a way of starts from one journey to another, () where there is none."""
        ways: list[tuple[str, ...]] = [(start,)]
        seen = {start}
        while ways:
            way = ways.pop(0)
            if way[-1] == end:
                return way
            for started in self._starts.get(way[-1], ()):
                if started.journey not in seen:
                    seen.add(started.journey)
                    ways.append((*way, started.journey))
        return ()


def _starts(journey: Journey, verbs: VerbTable) -> tuple[Started, ...]:
    return tuple(started for step in journey.steps for started in verbs[step.verb].starts(step))

"""What the names under `journey.` are made of: event types and fields, through contexts, `set`, waits, calls and starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct

from orchestrator.engine.verbs.call import CallSettings
from orchestrator.engine.verbs.hold_until import HoldSettings
from orchestrator.engine.verbs.set import SetSettings
from orchestrator.engine.verbs.start import StartSettings
from orchestrator.language.catalog import Catalog
from orchestrator.language.counts import counted
from orchestrator.language.model import Expr, Journey, Step, Topology
from orchestrator.language.references import Path, references
from orchestrator.names import ACTION_OUTCOME, PROFILE_UPDATED

ANSWER = "data"  # the field of an outcome that a call's `result` keeps


class Origin(Struct, frozen=True, order=True):
    """An event type and a field of it, "" for the event as a whole; `through` is the name that stands in between, "" for none."""

    type: str
    field: str
    through: str = ""


class Names:
    """The origins of everything that expressions of a topology read."""

    def __init__(self, topology: Topology, catalog: Catalog) -> None:
        self._catalog = catalog
        self._current = {each.id: each for each in topology.journeys}
        self._known: dict[tuple[str, int, str], set[Origin]] = defaultdict(set)
        journeys = (*topology.journeys, *topology.earlier)
        before = -1
        # A name may be made of others, in any order and over journeys: again, until nothing is added.
        while before != (now := sum(map(len, self._known.values()))):
            before = now
            for journey in journeys:
                self._learn(journey)

    def origins(self, journey: Journey | None, expr: Expr, types: Iterable[str] = ()) -> list[Origin]:
        """Give what an expression reads; `types` are the event types that `event` may be there."""
        found = references(expr.source)
        read = [*found.paths, *(each.path for each in found.presences)]
        origins = [each for path in read for each in self._of_path(journey, path, tuple(types))]
        origins += [Origin(event_type, "", "count_within") for event_type, _ in counted(expr.source)]
        return list(dict.fromkeys(origins))

    def _of_path(self, journey: Journey | None, path: Path, types: tuple[str, ...]) -> Iterator[Origin]:
        name = ".".join(path.parts)
        if path.root == "profile":
            yield Origin(PROFILE_UPDATED, name, f"profile.{name}" if name else "profile")
        elif path.root == "event":
            yield from (Origin(each, name) for each in types if self._may_have(each, path.parts))
        elif journey is not None and path.parts:
            first, *rest = path.parts
            for each in self._known.get((journey.id, journey.version, first), ()):
                yield Origin(each.type, ".".join(filter(None, (each.field, *rest))), f"journey.{first}")

    def _may_have(self, event_type: str, parts: tuple[str, ...]) -> bool:
        schema = self._catalog.get(event_type)
        return schema is None or not parts or parts[0] in schema.fields

    def _learn(self, journey: Journey) -> None:
        for name, expr in journey.context.items():
            self._add(journey, name, self.origins(journey, expr, journey.entry.on))
        for step in journey.steps:
            self._learn_step(journey, step)

    def _learn_step(self, journey: Journey, step: Step) -> None:
        settings = step.settings
        if isinstance(settings, SetSettings):
            for name, expr in settings.journey.items():
                self._add(journey, name, self.origins(journey, expr, heard(journey)))
        elif isinstance(settings, HoldSettings):
            for branch in settings.branches:
                if branch.as_name:
                    self._add(journey, branch.as_name, [Origin(branch.on, "")])
        elif isinstance(settings, CallSettings) and settings.result:
            self._add(journey, settings.result, [Origin(ACTION_OUTCOME, ANSWER)])
        elif isinstance(settings, StartSettings) and settings.journey in self._current:
            for name, expr in settings.data:
                self._add(self._current[settings.journey], name, self.origins(journey, expr, heard(journey)))

    def _add(self, journey: Journey, name: str, origins: Iterable[Origin]) -> None:
        known = self._known[journey.id, journey.version, name.partition(".")[0]]
        known.update(Origin(each.type, each.field) for each in origins)


def heard(journey: Journey) -> tuple[str, ...]:
    """Give the event types that can be `event` at a step: those that start the journey and those that move it."""
    found = [*journey.entry.on]
    found += [handler.event for state in journey.states.values() for handler in state.handlers]
    holds = [step.settings for step in journey.steps if isinstance(step.settings, HoldSettings)]
    found += [branch.on for hold in holds for branch in hold.branches]
    return tuple(dict.fromkeys(found))

"""Every place where a topology hears an event type or reads a field of one, and the actions that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.verbs.call import CallSettings
from orchestrator.engine.verbs.delay import DelaySettings
from orchestrator.engine.verbs.hold_until import HoldSettings
from orchestrator.engine.verbs.send import SendSettings
from orchestrator.engine.verbs.set import SetSettings
from orchestrator.engine.verbs.split import SplitSettings
from orchestrator.engine.verbs.start import StartSettings
from orchestrator.language.catalog import Catalog
from orchestrator.language.model import Expr, Journey, Place, Policy, State, Step, Topology
from orchestrator.operate.lineage.names import Names, heard
from orchestrator.operate.lineage.reach import Act, Reach


class Use(Struct, frozen=True):
    """One place. `field` "" for hearing the type; `through` is the name that the field was kept under, "" for none.

    `kind` says what the place is: entry, exit, goal, context, on, when, hold_until, split, delay, set, data, start,
    address, suppress.
    `leads_to` are the actions that may follow with no further event. `journey` is "" for what policy.yaml says.
    `into` is the name under which the value goes out with the action or into a started journey, "" for other kinds.
    """

    type: str
    field: str
    journey: str
    version: int
    step: str
    kind: str
    expression: str
    through: str
    place: Place
    leads_to: tuple[Act, ...] = ()
    into: str = ""

    @property
    def channels(self) -> frozenset[str]:
        """The channels that any of the actions may take."""
        return frozenset(channel for act in self.leads_to for channel in act.channels)


def uses(topology: Topology, catalog: Catalog) -> list[Use]:
    """Give every use in a topology, journey by journey, in the order in which they are written; the policy's last."""
    names, reach = Names(topology, catalog), Reach(topology)
    journeys = (*topology.journeys, *topology.earlier)
    found = [each for journey in journeys for each in _Journey(journey, names, reach).uses()]
    return list(dict.fromkeys([*found, *_of_policy(topology.policy, names)]))


def matching(found: Sequence[Use], *, event_type: str = "", journey: str = "", channel: str = "") -> list[Use]:
    """Give the uses of one event type, in one journey, that lead to one channel, with the actions for it; "" for all."""
    return [
        replace(each, leads_to=tuple(act for act in each.leads_to if channel in ("", *act.channels)))
        for each in found
        if event_type in ("", each.type) and journey in ("", each.journey) and (not channel or channel in each.channels)
    ]


class _Journey:
    """The uses of one journey."""

    def __init__(self, journey: Journey, names: Names, reach: Reach) -> None:
        self._journey = journey
        self._names = names
        self._reach = reach

    def uses(self) -> Iterator[Use]:
        journey, entry = self._journey, self._journey.entry
        begun = self._reach.of_state(journey, journey.start)
        yield from self._heard(entry.on, "entry", "entry", entry.when, entry.place, begun)
        if entry.key is not None:
            yield from self._read(entry.key, "entry", "entry", begun, entry.on)
        for n, rule in enumerate(journey.exits, 1):
            acts = self._reach.act(journey, rule.send) if rule.send else ()
            yield from self._heard(rule.on, f"exit:{n}", "exit", rule.when, rule.place, acts)
            if rule.send:
                yield from self._of_settings(rule.send, (), acts)
        for goal in journey.goals:
            yield from self._heard(goal.on, f"goal:{goal.id}", "goal", goal.when, goal.place, ())
        for name, expr in journey.context.items():
            yield from self._read(expr, f"context:{name}", "context", (), entry.on)
        for state in journey.states.values():
            yield from self._of_state(state)

    def _of_state(self, state: State) -> Iterator[Use]:
        for handler in state.handlers:
            acts = self._reach.of_state(self._journey, handler.go)
            yield from self._heard((handler.event,), state.name, "on", handler.when, handler.event_place or handler.place, acts)
        for n, step in enumerate(state.steps):
            own = self._reach.act(self._journey, step) or self._reach.started(step)
            if step.when is not None:
                acts = own or self._reach.of_step(self._journey, state.name, n)
                yield from self._read(step.when, step.id, "when", acts, heard(self._journey))
            after = self._reach.of_step(self._journey, state.name, n + 1)
            yield from self._of_settings(step, after, own)

    def _of_settings(self, step: Step, after: tuple[Act, ...], own: tuple[Act, ...]) -> Iterator[Use]:
        settings, types = step.settings, heard(self._journey)
        if isinstance(settings, HoldSettings):
            for branch in settings.branches:
                acts = self._reach.of_state(self._journey, branch.go) if branch.go else after
                yield from self._heard((branch.on,), step.id, "hold_until", branch.when, branch.place, acts)
        elif isinstance(settings, SplitSettings):
            for way in settings.branches:
                yield from self._read(way.when, step.id, "split", self._reach.of_state(self._journey, way.go), types)
        else:
            kind, acts, read = _reading(step, after, own)
            for into, expr in read:
                yield from self._read(expr, step.id, kind, acts, types, into)

    def _heard(
        self, types: Sequence[str], step: str, kind: str, when: Expr | None, place: Place, acts: tuple[Act, ...]
    ) -> Iterator[Use]:
        source = when.source if when else ""
        for each in types:
            yield Use(each, "", self._journey.id, self._journey.version, step, kind, source, "", place, acts)
        if when is not None:
            yield from self._read(when, step, kind, acts, types)

    def _read(
        self, expr: Expr, step: str, kind: str, acts: tuple[Act, ...], types: Sequence[str], into: str = ""
    ) -> Iterator[Use]:
        for each in self._names.origins(self._journey, expr, types):
            where = self._journey.id, self._journey.version, step, kind
            yield Use(each.type, each.field, *where, expr.source, each.through, expr.place, acts, into)


def _reading(step: Step, after: tuple[Act, ...], own: tuple[Act, ...]) -> tuple[str, tuple[Act, ...], list[tuple[str, Expr]]]:
    """Give the expressions of a step that has no ways of its own, what kind they are, and what they lead to.

    Before each stands the name under which its value goes out, "" for none.
    """
    settings = step.settings
    if isinstance(settings, DelaySettings):
        return "delay", after, [("", expr) for expr in (settings.until, settings.timezone) if expr is not None]
    if isinstance(settings, SetSettings):
        return "set", (), [("", expr) for expr in (*settings.journey.values(), *settings.profile.values())]
    if isinstance(settings, SendSettings | CallSettings | StartSettings):
        return "start" if step.verb == "start" else "data", own, list(settings.data)
    return step.verb, (), []


def _of_policy(policy: Policy, names: Names) -> Iterator[Use]:
    for channel in policy.channels.values():
        if channel.address is not None:
            acts = (Act("", "", "", (channel.name,)),)
            yield from _in_policy(names, f"channel:{channel.name}", "address", channel.address, (), acts)
    for rule in policy.suppress:
        step, source = f"suppress:{rule.id}", rule.when.source if rule.when else ""
        for event_type in rule.on:
            yield Use(event_type, "", "", 0, step, "suppress", source, "", rule.place)
        if rule.when is not None:
            yield from _in_policy(names, step, "suppress", rule.when, rule.on, ())


def _in_policy(names: Names, step: str, kind: str, expr: Expr, types: tuple[str, ...], acts: tuple[Act, ...]) -> Iterator[Use]:
    for each in names.origins(None, expr, types):
        yield Use(each.type, each.field, "", 0, step, kind, expr.source, each.through, expr.place, acts)

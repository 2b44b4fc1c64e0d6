"""One journey against everything it depends on: its own states and steps, the policy, the event schemas, the streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from orchestrator.language import codes
from orchestrator.language.catalog import Catalog
from orchestrator.language.conditions import Conditions
from orchestrator.language.durations import format_duration
from orchestrator.language.graph import Graph
from orchestrator.language.model import Expr, Journey, Milliseconds, Place, Policy, Step, Streams
from orchestrator.language.problems import Problems
from orchestrator.language.verb import VerbTable
from orchestrator.names import ACTION_OUTCOME


class Surroundings(Struct, frozen=True):
    """What a journey is checked against; None where the files do not say, so that nothing is held against it."""

    catalog: Catalog | None
    policy: Policy | None
    streams: Streams | None
    verbs: VerbTable
    experiments: Mapping[str, object] | None = None
    started: Mapping[str, frozenset[str]] = {}  # by journey, the names that some `start` gives to its context


class JourneyCheck:
    """The checks of one journey; also what its verbs may ask (`orchestrator.language.verb.Check`)."""

    def __init__(self, journey: Journey, around: Surroundings, conditions: Conditions, problems: Problems) -> None:
        self.journey = journey
        self.policy = around.policy or Policy()
        self.problems = problems
        self._around = around
        self._conditions = conditions
        self._written = self._names_written()
        self._heard = self._types_heard()

    def run(self, *, is_whole: bool) -> None:
        """Check everything; the graph of states only where all of it could be read."""
        journey = self.journey
        self._check_head()
        graph = Graph(journey, self._around.verbs)
        graph.check_targets(self.problems)
        if is_whole:
            graph.check_shape(self.problems)
        self._check_entry()
        for rule in journey.exits:
            self._check_types(rule.on_places)
            self.condition(rule.when, rule.on)
            if rule.send is not None:
                self._check_step(rule.send)
        for goal in journey.goals:
            self._check_types(goal.on_places)
            self.condition(goal.when, goal.on)
        for state in journey.states.values():
            for handler in state.handlers:
                if handler.event:
                    self.event_type(handler.event, handler.event_place or handler.place)
                    self.condition(handler.when, (handler.event,))
            for step in state.steps:
                self.condition(step.when)
                self._check_step(step)
        self._check_ids()
        self._check_limits()

    # What verbs may ask.

    def condition(self, expr: Expr | None, events: tuple[str, ...] | None = None) -> None:
        """Check that `expr` is a bool; `events` are the types `event` can be here, None for any that the journey hears."""
        if expr is not None:
            self._conditions.check(expr, self._heard if events is None else events, self._written, want_bool=True)

    def value(self, expr: Expr, events: tuple[str, ...] | None = None) -> None:
        """Check that `expr` compiles."""
        self._conditions.check(expr, self._heard if events is None else events, self._written, want_bool=False)

    def event_type(self, name: str, place: Place) -> None:
        """Check that a schema declares this event type, and that a topic carries it."""
        if not name:
            return
        catalog, streams = self._around.catalog, self._around.streams
        if catalog is not None and not catalog.is_open and catalog.get(name) is None:
            message = f"no schema declares the event type {name!r}"
            self.problems.error(place, codes.UNKNOWN_EVENT_TYPE, message, word=name, known=catalog.events)
        elif streams is not None and not _carries(streams, name):
            message = f"no topic of streams.yaml carries {name!r}, so it is never heard: list it under `events`"
            self.problems.warning(place, codes.NOT_STREAMED, message)

    def channel(self, name: str, place: Place) -> None:
        """Check that policy.yaml has this channel."""
        if self._around.policy is not None:
            self._declared(name, place, "channel", self.policy.channels, codes.UNKNOWN_CHANNEL)

    def channel_needed(self, message: str, place: Place) -> None:
        """Report that no channel of policy.yaml fits, where there is a policy."""
        if self._around.policy is not None:
            self.problems.error(place, codes.UNKNOWN_CHANNEL, message)

    def experiment(self, name: str, place: Place) -> None:
        """Warn of an experiment that is not registered."""
        known = self._around.experiments
        if name and known is not None and name not in known:
            message = f"experiments.yaml does not register {name!r}: say there what it is to show, and when it is decided"
            self.problems.warning(place, codes.NOT_REGISTERED, message)

    def purpose(self, name: str, place: Place) -> None:
        """Check that policy.yaml has this purpose."""
        if self._around.policy is not None:
            self._declared(name, place, "purpose", self.policy.purposes, codes.UNKNOWN_PURPOSE)

    def wait(self, duration_ms: Milliseconds, place: Place) -> None:
        """Check a literal wait against `lifetime` and `limits.wait` (rule W8)."""
        limit_ms, name = self.policy.limits.wait_ms, "limits.wait"
        if self.journey.lifetime_ms is not None and self.journey.lifetime_ms < limit_ms:
            limit_ms, name = self.journey.lifetime_ms, "the journey's lifetime"
        if duration_ms > limit_ms:
            message = f"a wait of {format_duration(duration_ms)} is longer than {name}, {format_duration(limit_ms)}"
            self.problems.error(place, codes.WAIT_TOO_LONG, message)

    def branches(self, count: int, place: Place) -> None:
        """Check how many ways a step has against `limits.branches` (ruling A82)."""
        limit = self.policy.limits.branches
        if count > limit:
            self.problems.error(place, codes.LIMIT, f"{count} branches are more than limits.branches allows, {limit}")

    # Parts.

    def _check_head(self) -> None:
        journey = self.journey
        self.purpose(journey.purpose, journey.purpose_place or journey.place)
        if not journey.owner:
            message = "the journey has no `owner`: name the team that answers for it"
            self.problems.warning(journey.place, codes.NO_OWNER, message)

    def _check_entry(self) -> None:
        entry = self.journey.entry
        self._check_types(entry.on_places)
        self.condition(entry.when, entry.on)
        for expr in (entry.key, *self.journey.context.values()):
            if expr is not None:
                self.value(expr, entry.on)

    def _check_types(self, places: Mapping[str, Place]) -> None:
        for name, place in places.items():
            self.event_type(name, place)

    def _check_step(self, step: Step) -> None:
        verb = self._around.verbs[step.verb]
        verb.check(step, self)
        for name in verb.assigns(step):
            if not name.isidentifier():
                message = f"an expression could not read journey.{name}: write it with `_`"
                self.problems.error(step.place, codes.BAD_NAME, message, word=name, known=[name.replace("-", "_")])

    def _check_ids(self) -> None:
        steps = [(step.id, step.place) for step in self.journey.steps]
        refuse_repeats("step id", steps, self.problems)
        refuse_repeats("goal id", [(goal.id, goal.place) for goal in self.journey.goals], self.problems)

    def _check_limits(self) -> None:
        limits, states = self.policy.limits, self.journey.states
        if len(states) > limits.states:
            message = f"{len(states)} states are more than limits.states allows, {limits.states}"
            self.problems.error(self.journey.place, codes.LIMIT, message)
        steps = len(self.journey.steps)
        if steps > limits.steps:
            message = f"{steps} steps are more than limits.steps allows, {limits.steps}"
            self.problems.error(self.journey.place, codes.LIMIT, message)

    def _declared(self, name: str, place: Place, what: str, known: Mapping[str, object], code: str) -> None:
        if name and name not in known:
            message = f"policy.yaml has no {what} {name!r}"
            self.problems.error(place, code, message, word=name, known=known)

    def _names_written(self) -> frozenset[str]:
        """Give the names under `journey.` that something writes (ruling A103)."""
        assigned = {name for step in self.journey.steps for name in self._around.verbs[step.verb].assigns(step)}
        return frozenset(self.journey.context) | assigned | self._around.started.get(self.journey.id, frozenset())

    def _types_heard(self) -> tuple[str, ...]:
        journey = self.journey
        heard = set(journey.entry.on).union(*(rule.on for rule in journey.exits))
        for state in journey.states.values():
            heard |= {handler.event for handler in state.handlers}
            heard = heard.union(*(self._around.verbs[step.verb].listens(step) for step in state.steps))
        return tuple(sorted(heard - {""}))


def _carries(streams: Streams, event_type: str) -> bool:
    if event_type == ACTION_OUTCOME:  # comes on the outcomes topic
        return True
    return any(not topic.schemas or event_type in topic.schemas for topic in streams.events)


def refuse_repeats(what: str, named: Iterable[tuple[str, Place]], problems: Problems) -> None:
    """Report every name that was there before."""
    first: dict[str, Place] = {}
    for name, place in named:
        if name and name in first:
            problems.error(place, codes.DUPLICATE_ID, f"the {what} {name!r} is already used at {first[name]}")
        first.setdefault(name, place)

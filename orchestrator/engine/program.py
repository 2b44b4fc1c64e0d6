"""A topology, compiled: what each event type can touch, and each journey with its expressions and steps ready to run.

Built once and never changed. A program may hold several versions of a journey: one of them takes entries, the earlier ones go on
for the instances that started on them (rule V1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from orchestrator import names
from orchestrator.engine import erasure
from orchestrator.engine.consent import ConsentRules
from orchestrator.engine.effects import EFFECTS
from orchestrator.engine.entries import refusals
from orchestrator.engine.keeping import Keep, keeps
from orchestrator.engine.local_time import zone_of
from orchestrator.engine.reading import event_fields
from orchestrator.engine.send_rules import SendRules
from orchestrator.engine.suppress import with_rule
from orchestrator.engine.verbs import TABLE
from orchestrator.engine.verbs.verb import compiled, compiled_if
from orchestrator.language.model import Expr, Goal, Handler, Inheritance, Journey, Milliseconds, Policy, State, Step, Topology
from orchestrator.language.references import references

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.verbs.verb import Verb


class StepProgram:
    """One step: its verb, the verb's plan made from the settings, and the step after it, None for the last."""

    __slots__ = ("experiment", "id", "keeps_whole", "listens", "next", "plan", "repeats", "state", "verb", "when")

    def __init__(self, step: Step, state: str) -> None:
        """`state` is "" for an exit's last send, which stands in no state."""
        self.id = step.id
        self.state = state
        self.verb: Verb = TABLE[step.verb]
        self.plan: Any = self.verb.plan(step)
        self.listens = self.verb.listens(step)
        self.keeps_whole = self.verb.keeps_whole(step)
        self.repeats = self.verb.repeats(step)
        self.when = compiled_if(step.when)
        self.next: StepProgram | None = None
        self.experiment = self.verb.experiment(step)


class HandlerProgram:
    """What a state does about an event while it lasts."""

    __slots__ = ("go", "when")

    def __init__(self, handler: Handler) -> None:
        self.when = compiled_if(handler.when)
        self.go = handler.go


class StateProgram:
    """One state."""

    __slots__ = ("final", "first", "handlers", "name", "outcome")

    def __init__(self, state: State, steps: list[StepProgram]) -> None:
        self.name = state.name
        self.final = state.final
        self.outcome = state.outcome
        self.first = steps[0] if steps else None
        self.handlers: dict[str, list[HandlerProgram]] = {}
        for handler in state.handlers:
            self.handlers.setdefault(handler.event, []).append(HandlerProgram(handler))


class ExitProgram:
    """What ends an instance at once."""

    __slots__ = ("outcome", "send", "when")

    def __init__(self, outcome: str, when: Expr | None, send: Step | None) -> None:
        self.outcome = outcome
        self.when = compiled_if(when)
        self.send = None if send is None else StepProgram(send, "")


class GoalProgram:
    """What success is, for one goal. `reads_context`: its condition needs the instance's context, the ended one's too."""

    __slots__ = ("id", "on", "reads_context", "when", "within_ms")

    def __init__(self, goal: Goal) -> None:
        self.id = goal.id
        self.on = frozenset(goal.on)
        self.within_ms = goal.within_ms
        self.when = compiled_if(goal.when)
        self.reads_context = goal.when is not None and any(path.root == "journey" for path in references(goal.when.source).paths)


class JourneyProgram:
    """One version of a journey."""

    def __init__(self, journey: Journey, policy: Policy) -> None:
        self.id = journey.id
        self.version = journey.version
        self.purpose = journey.purpose
        self.priority = journey.priority
        self.urgency = journey.urgency
        self.lifetime_ms: Milliseconds | None = journey.lifetime_ms
        self.start = journey.start
        self.entry = journey.entry
        self.when = compiled_if(journey.entry.when)
        self.key = compiled_if(journey.entry.key)
        self.context = tuple((name, compiled(expr)) for name, expr in journey.context.items())
        self.exits: dict[str, list[ExitProgram]] = {}
        for leave in journey.exits:
            program = ExitProgram(leave.outcome, leave.when, leave.send)
            for event_type in leave.on:
                self.exits.setdefault(event_type, []).append(program)
        self.states: dict[str, StateProgram] = {}
        self.steps: dict[str, StepProgram] = {}
        for state in journey.states.values():
            self._add(state)
        self.entry_channels = _entry_channels(journey, policy)
        self.goals = {goal.id: GoalProgram(goal) for goal in journey.goals}
        self.experiments = tuple(dict.fromkeys(one for step in self.steps.values() if (one := step.experiment)))
        self.acting = tuple(step for step in self.steps.values() if step.verb.acts)
        self.keeps_trail = any(step.verb.hands_off(step.plan) for step in self.steps.values())
        self.exclusive = tuple(group for group in policy.exclusive if journey.id in group.journeys)
        self.refusals = refusals(self)

    def _add(self, state: State) -> None:
        steps = [StepProgram(step, state.name) for step in state.steps]
        for step, after in pairwise(steps):
            step.next = after
        self.steps.update((step.id, step) for step in steps)
        self.states[state.name] = StateProgram(state, steps)

    def arms_among(self, arms: Mapping[str, str]) -> dict[str, str]:
        """Give a customer's arms in the experiments of this journey."""
        return {name: arms[name] for name in self.experiments if name in arms}

    def listens(self) -> set[str]:
        """Give the event types that a state's handler or a waiting step of this journey can hear."""
        heard = set(self.entry.on) if any(step.repeats for step in self.steps.values()) else set()
        heard |= {event_type for state in self.states.values() for event_type in state.handlers}
        return heard.union(*(step.listens for step in self.steps.values()))


def _entry_channels(journey: Journey, policy: Policy) -> tuple[str, ...]:
    """Give the channels of which one must be allowed at entry (rule C2, ruling A39); none means that consent is not asked."""
    purpose = policy.purposes.get(journey.purpose)
    if purpose is not None and purpose.consent == "not_required":
        return ()
    steps = [step for state in journey.states.values() for step in state.steps]
    steps += [leave.send for leave in journey.exits if leave.send is not None]
    return tuple(sorted({channel for step in steps for channel in TABLE[step.verb].entry_channels(step, journey, policy)}))


def _sending(journey: JourneyProgram) -> list[tuple[str, str]]:
    """Give journey and step of everything that a journey may send, its exits' last sends included."""
    lasts = [leave.send for leaves in journey.exits.values() for leave in leaves if leave.send is not None]
    return [(journey.id, step.id) for step in (*journey.acting, *lasts)]


def _inherits(topology: Topology) -> dict[tuple[str, int, str], Inheritance]:
    """Give by journey, version and step what becomes of who stands there. Only the version that takes the entries says so:
    after a rollback, what the later one said does not hold any more."""
    rules = ((journey.id, rule) for journey in topology.journeys for rule in journey.inherits if rule.policy != "stay")
    return {(journey, rule.version, rule.step): rule for journey, rule in rules}


class Route:
    """What one event type can touch."""

    __slots__ = ("effect", "entries", "exits", "goals", "instances", "is_passive", "keep", "merges")

    def __init__(self) -> None:
        self.effect: Callable[[Turn], None] | None = None
        self.exits = False  # some journey has an exit on it
        self.instances = False  # some handler or waiting step can hear it
        self.entries: tuple[JourneyProgram, ...] = ()  # priority descending, then journey id (rule T7)
        self.keep: Keep | None = None  # what of it is remembered
        self.goals = False  # some goal counts it
        self.merges = False  # it brings another customer in
        self.is_passive = True  # it does nothing to a document unless an instance or a goal hears it


class Program:
    """A compiled topology."""

    def __init__(self, topology: Topology, share: Fraction, semantics: int) -> None:
        """`share` is a partition's part of cluster-wide rates; `semantics` the number of the rules by which it decides."""
        self.semantics = semantics
        self.policy = topology.policy
        self.limits = topology.policy.limits
        self.zone = zone_of(topology.policy.timezone) or ZoneInfo("UTC")  # of customers whose profile names none
        self.consent = ConsentRules(topology.policy)
        services = [name for name, channel in topology.policy.channels.items() if channel.kind == "action"]
        self.service = services[0] if len(services) == 1 else ""  # where calls go that name no channel (ruling A95)
        self.sends = SendRules(topology, share)
        versions = (*topology.earlier, *topology.journeys)
        self.journeys = {(one.id, one.version): JourneyProgram(one, topology.policy) for one in versions}
        channels = topology.policy.channels.values()
        self.addresses = {channel.name: compiled(channel.address) for channel in channels if channel.address is not None}
        live = sorted((self.journeys[one.id, one.version] for one in topology.journeys), key=lambda one: (-one.priority, one.id))
        self.live = {journey.id: journey for journey in live}
        self.inherits = _inherits(topology)
        self.keeps = keeps(versions, topology.policy)
        self.routes: Mapping[str, Route] = self._routes(live)
        self.fields = event_fields(topology)
        self.places = erasure.places(topology)
        self.sending = frozenset(step for journey in self.journeys.values() for step in _sending(journey))

    def reads(self, event_type: str) -> frozenset[str] | None:
        """Give the fields of an event's payload that anything here may read, None for all of them."""
        route = self.routes.get(event_type)
        if route is None:
            return frozenset()
        if event_type in names.RESERVED_EVENT_TYPES or (route.keep is not None and route.keep.is_whole):
            return None
        steps = (step for journey in self.journeys.values() for step in journey.steps.values())
        return None if any(event_type in step.keeps_whole for step in steps) else self.fields

    def _routes(self, live: list[JourneyProgram]) -> dict[str, Route]:
        routes: dict[str, Route] = {event_type: Route() for event_type in EFFECTS}
        for event_type, effect in EFFECTS.items():
            routes[event_type].effect = effect
        routes[names.PROFILE_MERGED].merges = True
        for rule in self.sends.suppress:
            for event_type in rule.on:
                route = routes.setdefault(event_type, Route())
                route.effect = with_rule(route.effect, rule)
        for journey in self.journeys.values():
            _route_instances(journey, routes)
        for event_type, keep in self.keeps.items():
            routes.setdefault(event_type, Route()).keep = keep
        for journey in live:
            for event_type in dict.fromkeys(journey.entry.on):
                route = routes.setdefault(event_type, Route())
                route.entries = (*route.entries, journey)
        for route in routes.values():
            route.is_passive = route.effect is None and route.keep is None and not route.entries and not route.merges
        return routes


def _route_instances(journey: JourneyProgram, routes: dict[str, Route]) -> None:
    """Note the event types that running instances of a journey hear."""
    for event_type in journey.exits:
        routes.setdefault(event_type, Route()).exits = True
    for event_type in journey.listens():
        routes.setdefault(event_type, Route()).instances = True
    for goal in journey.goals.values():
        for event_type in goal.on:
            routes.setdefault(event_type, Route()).goals = True

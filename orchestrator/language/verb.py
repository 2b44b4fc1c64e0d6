"""What the language asks of a verb. The verbs themselves stand in `orchestrator.engine.verbs`, one file each.

A verb's file has its settings, how they are read, what is checked, and what the verb means. The language gets the table of
verbs handed in, so that it needs to know none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from orchestrator.language.model import Expr, Journey, Milliseconds, Place, Policy, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields


class Target(Struct, frozen=True):
    """A state that a step names, and where."""

    state: str
    place: Place


class Started(Struct, frozen=True):
    """A journey that a step starts, and the names under `journey.` that it gives to it."""

    journey: str
    names: frozenset[str]
    place: Place


SINCE_ENTRY: Final = -1  # `span_ms` of a look-back that reaches to the instance's entry


class LookBack(Struct, frozen=True):
    """An event type that a step looks back for, and how far in ms."""

    event_type: str
    span_ms: Milliseconds


class Check(Protocol):
    """What a verb may ask while its step is checked. Every method reports to `problems` itself."""

    problems: Problems
    journey: Journey
    policy: Policy

    def condition(self, expr: Expr | None, events: tuple[str, ...] | None = None) -> None:
        """Check that `expr` is a bool; `events` are the types `event` can be here, None for any that the journey hears."""

    def value(self, expr: Expr, events: tuple[str, ...] | None = None) -> None:
        """Check that `expr` compiles."""

    def event_type(self, name: str, place: Place) -> None:
        """Check that a schema declares this event type."""

    def channel(self, name: str, place: Place) -> None:
        """Check that policy.yaml has this channel."""

    def purpose(self, name: str, place: Place) -> None:
        """Check that policy.yaml has this purpose."""

    def channel_needed(self, message: str, place: Place) -> None:
        """Report that no channel of policy.yaml fits, where there is a policy."""

    def experiment(self, name: str, place: Place) -> None:
        """Warn of an experiment that is not registered."""

    def wait(self, duration_ms: Milliseconds, place: Place) -> None:
        """Check a literal wait against `lifetime` and `limits.wait` (rule W8)."""

    def branches(self, count: int, place: Place) -> None:
        """Check how many ways a step has against `limits.branches` (ruling A82)."""


class VerbSyntax(Protocol):
    """The language's side of a verb."""

    name: str
    beside: frozenset[str]  # keys that stand beside the verb in the step's mapping (ruling A71), e.g. {"timeout", "on_timeout"}
    waits: bool  # whether a step of this verb can stop to wait

    def parse(self, step: Fields) -> Any:
        """Read the verb's own key and those beside it from the step's mapping into the settings Struct."""

    def check(self, step: Step, check: Check) -> None:
        """Check what a settings Struct says against the rest of the topology. States named are checked by the caller."""

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the states that this step can move to."""

    def starts(self, step: Step) -> tuple[Started, ...]:
        """Give the journeys that this step starts (ruling A100)."""

    def goes_on(self, step: Step) -> bool:
        """Tell whether the step after this one can be reached from it."""

    def assigns(self, step: Step) -> tuple[str, ...]:
        """Give the names under `journey.` that this step writes (ruling A103)."""

    def listens(self, step: Step) -> frozenset[str]:
        """Give the event types that a step of this verb hears while it waits."""


VerbTable = Mapping[str, VerbSyntax]

"""Which actions follow a place of a journey with no further event: through delays, time-outs, splits and started journeys."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.engine.verbs import TABLE
from orchestrator.engine.verbs.call import CallSettings
from orchestrator.engine.verbs.hold_until import HoldSettings
from orchestrator.engine.verbs.send import PREFERRED, SendSettings
from orchestrator.language.model import Journey, Step, Topology


class Act(Struct, frozen=True, order=True):
    """An action: the journey and step that decide on it, what it is (template or action), the channels that may carry it."""

    journey: str
    step: str
    what: str
    channels: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what} by {'|'.join(self.channels) or '(no channel)'}" if self.what else "|".join(self.channels)


class Reach:
    """The ways through the journeys of one topology."""

    def __init__(self, topology: Topology) -> None:
        channels = topology.policy.channels.items()
        self._messages = tuple(name for name, channel in channels if channel.kind == "message")
        self._services = tuple(name for name, channel in channels if channel.kind == "action")
        self._current = {each.id: each for each in topology.journeys}

    def act(self, journey: Journey, step: Step) -> tuple[Act, ...]:
        """Give what a step sends or calls, nothing for other verbs."""
        settings = step.settings
        if isinstance(settings, SendSettings):
            channels = self._messages if settings.channels == (PREFERRED,) else settings.channels
            return (Act(journey.id, step.id, settings.template, channels),)
        if isinstance(settings, CallSettings):
            return (Act(journey.id, step.id, settings.action, (settings.channel,) if settings.channel else self._services),)
        return ()

    def started(self, step: Step) -> tuple[Act, ...]:
        """Give the actions of the journeys that a step starts."""
        found = [self._current[each.journey] for each in TABLE[step.verb].starts(step) if each.journey in self._current]
        return tuple(act for journey in found for act in self.of_state(journey, journey.start))

    def of_state(self, journey: Journey, state: str) -> tuple[Act, ...]:
        """Give the actions from the first step of a state on, in the order in which they can come."""
        return self.of_step(journey, state, 0)

    def of_step(self, journey: Journey, state: str, position: int) -> tuple[Act, ...]:
        """Give the actions from one step on, by its position from 0; it may be one after the last."""
        found: dict[Act, None] = {}
        seen: set[tuple[str, int, str, int]] = set()
        ahead = [(journey, state, position)]
        while ahead:
            here = ahead.pop()
            key = (here[0].id, here[0].version, here[1], here[2])
            if key in seen or here[1] not in here[0].states or here[2] >= len(here[0].states[here[1]].steps):
                continue
            seen.add(key)
            step = here[0].states[here[1]].steps[here[2]]
            found.update(dict.fromkeys(self.act(here[0], step)))
            ahead += reversed(list(self._ways(here, step)))
        return tuple(found)

    def _ways(self, here: tuple[Journey, str, int], step: Step) -> Iterator[tuple[Journey, str, int]]:
        journey, state, position = here
        verb, settings = TABLE[step.verb], step.settings
        for each in verb.starts(step):
            if each.journey in self._current:
                yield self._current[each.journey], self._current[each.journey].start, 0
        if isinstance(settings, HoldSettings):  # its branches need an event
            targets, goes_on = [settings.on_timeout] if settings.on_timeout else [], not settings.on_timeout
        else:
            targets, goes_on = [each.state for each in verb.targets(step)], verb.goes_on(step)
        if goes_on or step.when is not None:
            yield journey, state, position + 1
        for target in targets:
            yield journey, target, 0

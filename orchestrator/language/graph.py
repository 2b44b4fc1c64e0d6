"""The states of a journey as a graph: what can be reached, what can be left, what goes round for ever (rulings A80, A81)."""

from __future__ import annotations

from orchestrator.language import codes
from orchestrator.language.model import Journey, State, Step
from orchestrator.language.problems import Problems, nearest
from orchestrator.language.verb import Target, VerbTable


class Graph:
    """The ways between the states of one journey."""

    def __init__(self, journey: Journey, verbs: VerbTable) -> None:
        self._journey = journey
        self._states = journey.states
        self._verbs = verbs

    def check_targets(self, problems: Problems) -> None:
        """Report every state that is named and does not exist."""
        journey = self._journey
        if not self._states:  # told already, and no name could be right
            return
        named = [Target(journey.start, journey.start_place or journey.place)]
        for state in self._states.values():
            named += [Target(handler.go, handler.place) for handler in state.handlers]
            named += [target for step in state.steps for target in self._targets(step)]
        named += [target for rule in journey.exits if rule.send is not None for target in self._targets(rule.send)]
        for target in named:
            if target.state and target.state not in self._states:
                message = f"there is no state {target.state!r}"
                problems.error(target.place, codes.UNKNOWN_STATE, message, word=target.state, known=self._states)

    def check_shape(self, problems: Problems) -> None:
        """Report states that cannot be reached or left, steps that never run, and loops without a wait."""
        reached = self.reached()
        for state in self._states.values():
            if state.name not in reached:
                message = f"no way leads to state {state.name!r}: name it in a `go`, or drop it"
                problems.error(state.place, codes.UNREACHABLE_STATE, message)
            if not (state.final or state.rest or self._can_be_left(state)):
                message = f"state {state.name!r} cannot be left: give it a way out, `final: true` or `rest: true`"
                problems.error(state.place, codes.NO_WAY_OUT, message)
            for step in state.steps[len(self._running(state)) :]:
                message = f"step {step.id!r} never runs: a step before it never goes on"
                problems.warning(step.place, codes.UNREACHABLE_STEP, message)
        self._check_loops(reached, problems)

    def reached(self) -> list[str]:
        """Give the states that can be reached from the start, in the order found."""
        found = [self._meant(self._journey.start)]
        for name in found:
            if name in self._states:
                for other in self._ways(self._states[name]):
                    if other not in found:
                        found.append(other)
        return found

    def _meant(self, name: str) -> str:
        """Take a misspelt state as the one that is suggested, so that one slip is told once."""
        return name if name in self._states else nearest(name, self._states)

    def _targets(self, step: Step) -> tuple[Target, ...]:
        return self._verbs[step.verb].targets(step)

    def _goes_on(self, step: Step) -> bool:
        """A step with a condition may be skipped, whatever its verb does."""
        return step.when is not None or self._verbs[step.verb].goes_on(step)

    def _running(self, state: State) -> list[Step]:
        """Give the steps up to the first that never goes on."""
        running: list[Step] = []
        for step in state.steps:
            running.append(step)
            if not self._goes_on(step):
                break
        return running

    def _ways(self, state: State) -> list[str]:
        named = [handler.go for handler in state.handlers]
        named += [target.state for step in self._running(state) for target in self._targets(step)]
        return [self._meant(name) for name in named]

    def _can_be_left(self, state: State) -> bool:
        """Ruling A81: any `go`, `on_*`, handler or `end` counts; exits and lifetime do not."""
        ends = any(not self._verbs[step.verb].goes_on(step) for step in self._running(state))
        return ends or any(way != state.name for way in self._ways(state))

    def _check_loops(self, reached: list[str], problems: Problems) -> None:
        """Report what ruling A80 calls provable: states whose every way leads on among themselves, with no wait anywhere."""
        endless = {name for name in reached if name in self._states and not self._states[name].final}
        while True:
            kept = {name for name in endless if self._stays_within(self._states[name], endless)}
            if kept == endless:
                break
            endless = kept
        for name in reached:
            if name in endless:
                path = self._round_from(name, endless)
                message = f"states go round for ever without a wait: {' -> '.join(path)}"
                problems.error(self._states[name].place, codes.LOOP, message)
                return

    def _stays_within(self, state: State, endless: set[str]) -> bool:
        for step in self._running(state):
            if self._verbs[step.verb].waits:
                return False
            targets = [self._meant(target.state) for target in self._targets(step)]
            if any(target not in endless for target in targets):
                return False
            if not self._goes_on(step):
                return bool(targets)  # no targets: the step ends the instance
        return False  # out of steps: the instance rests here

    def _round_from(self, name: str, endless: set[str]) -> list[str]:
        path = [name]
        while True:
            following = next(way for way in self._step_ways(path[-1]) if way in endless)
            path.append(following)
            if following in path[:-1]:
                return path

    def _step_ways(self, name: str) -> list[str]:
        return [self._meant(target.state) for step in self._running(self._states[name]) for target in self._targets(step)]

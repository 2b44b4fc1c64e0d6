"""What differs between what is live and what is to be: by journey, state and step, with the instances that stand there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from orchestrator.language.model import Journey, State, Topology
from orchestrator.operate.documents import Found
from orchestrator.operate.publishing.composing import same
from orchestrator.operate.sight.counting import Standing

What = Literal["added", "removed", "changed", "same"]
STAY: Final = "stay"


class Change(Struct, frozen=True):
    """One thing that differs in a journey. `step` "" is the state itself, `state` "" the journey's head, named by `part`.

    `instances` stand there now; `policy` is what becomes of them (rule V2), `to` the step that they are moved to. They are on
    the version that took the entries until now, where `version` does not name an earlier one.
    """

    what: What
    state: str = ""
    step: str = ""
    part: str = ""
    instances: int = 0
    policy: str = STAY
    to: str = ""
    version: int = 0


class JourneyChange(Struct, frozen=True):
    """A journey whose entries take another version, None for none, or none any more. `instances`: all that are under way."""

    journey: str
    before: int | None
    after: int | None
    instances: int
    changes: tuple[Change, ...]


def differences(live: Topology | None, target: Topology, stand: Standing) -> list[JourneyChange]:
    """Compare the versions that take entries; without anything live, all of the target is new."""
    before = {} if live is None else {each.id: each for each in live.journeys}
    after = {each.id: each for each in target.journeys}
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old.version == new.version:
            continue
        counted = sum(count for (journey, *_), count in stand.items() if journey == name)
        changes = tuple(_changes(old, new, stand)) if old is not None and new is not None else ()
        if new is not None:
            changes = _with_policies(changes, _version(old) or 0, new, target, stand)
        found.append(JourneyChange(name, _version(old), _version(new), counted, changes))
    return found


def _version(journey: Journey | None) -> int | None:
    return None if journey is None else journey.version


def lost_versions(target: Topology, stand: Standing) -> dict[tuple[str, int], int]:
    """Give the versions that instances stand on and the target does not have, with their counts."""
    known = {(each.id, each.version) for each in (*target.journeys, *target.earlier)}
    lost: Counter[tuple[str, int]] = Counter()
    for (journey, version, _, _), count in stand.items():
        if (journey, version) not in known:
            lost[journey, version] += count
    return dict(sorted(lost.items()))


_BODY: Final = frozenset({"id", "version", "states", "place", "purpose_place", "start_place", "inherits"})


def _changes(old: Journey, new: Journey, stand: Standing) -> Iterable[Change]:
    for part in (name for name in old.__struct_fields__ if name not in _BODY):
        if not same(getattr(old, part), getattr(new, part)):
            yield Change("changed", part=part)
    for name in dict.fromkeys((*old.states, *new.states)):
        was, now = old.states.get(name), new.states.get(name)
        here = _there(stand, old, name, None)
        if was is None or now is None:
            yield Change("added" if was is None else "removed", name, instances=here)
            continue
        if not same(_without_steps(was), _without_steps(now)):
            yield Change("changed", name, instances=here)
        yield from _step_changes(old, new, name, stand)


def _step_changes(old: Journey, new: Journey, state: str, stand: Standing) -> Iterable[Change]:
    were = {step.id: step for step in old.states[state].steps}
    are = {step.id: step for step in new.states[state].steps}
    for step in dict.fromkeys((*were, *are)):
        if step not in were or step not in are:
            yield Change("removed" if step in were else "added", state, step, instances=_there(stand, old, state, step))
        elif not same(were[step], are[step]):
            yield Change("changed", state, step, instances=_there(stand, old, state, step))


def _with_policies(changes: Iterable[Change], old: int, new: Journey, target: Topology, stand: Standing) -> tuple[Change, ...]:
    """Put to each step what the new version makes of who stands there; steps that have no row yet come last.

    Who stands on a step that a rule names counts there, and not with the whole state.
    """
    rules = {(rule.version, rule.step): rule for rule in new.inherits}
    apart: Counter[str] = Counter()
    for (journey, version, state, step), count in stand.items():
        if (journey, version) == (new.id, old) and (version, step) in rules:
            apart[state] += count
    found = []
    for change in changes:
        rule = rules.pop((old, change.step), None) if change.what != "added" and change.step else None
        if rule is not None:
            found.append(replace(change, policy=rule.policy, to=rule.to))
        elif change.state and not change.step:
            found.append(replace(change, instances=change.instances - apart[change.state]))
        else:
            found.append(change)
    earlier = {each.version: each for each in target.earlier if each.id == new.id}
    kept = {step.id for step in new.steps}
    for (version, step), rule in rules.items():
        before = earlier.get(version)
        state = "" if before is None else next((name for name, one in before.states.items() if step in _ids(one)), "")
        here = 0 if before is None else _there(stand, before, state, step)
        what: What = "same" if step in kept else "removed"
        found.append(Change(what, state, step, "", here, rule.policy, rule.to, 0 if version == old else version))
    return tuple(found)


def _ids(state: State) -> list[str]:
    return [step.id for step in state.steps]


def places(topology: Topology) -> frozenset[tuple[str, int, str]]:
    """Give by journey, version and step where nobody is to stay."""
    rules = ((each.id, rule) for each in topology.journeys for rule in each.inherits if rule.policy != STAY)
    return frozenset((journey, rule.version, rule.step) for journey, rule in rules)


def inheriting(found: Iterable[Found], topology: Topology) -> Iterator[str]:
    """Give the customers with an instance that a newer version is to take over, or end."""
    wanted = places(topology)
    for each in found if wanted else ():
        if any((one.journey, one.version, one.step) in wanted for one in each.document().instances):
            yield each.customer


def to_take_over(stand: Standing, topology: Topology) -> int:
    """Count the instances of whom that is so."""
    wanted = places(topology)
    return sum(count for (journey, version, _, step), count in stand.items() if (journey, version, step) in wanted)


def _without_steps(state: Any) -> dict[str, Any]:
    return {name: part for name, part in asdict(state).items() if name != "steps"}


def _there(stand: Standing, journey: Journey, state: str, step: str | None) -> int:
    return sum(
        count
        for (name, version, where, at), count in stand.items()
        if (name, version, where) == (journey.id, journey.version, state) and step in (None, at)
    )

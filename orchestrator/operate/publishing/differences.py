"""What differs between what is live and what is to be: by journey, state and step, with the instances that stand there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.language.model import Journey, Topology
from orchestrator.operate.documents import Found
from orchestrator.operate.publishing.composing import same

What = Literal["added", "removed", "changed"]
Standing = Counter[tuple[str, int, str, str]]  # instances by journey, version, state and step, "" for none
STAY: Final = "stay"


class Change(Struct, frozen=True):
    """One thing that differs in a journey. `step` "" is the state itself, `state` "" the journey's head, named by `part`.

    `instances` stand there now, on the version that took the entries until now; `policy` is what becomes of them.
    """

    what: What
    state: str = ""
    step: str = ""
    part: str = ""
    instances: int = 0
    policy: str = STAY


class JourneyChange(Struct, frozen=True):
    """A journey whose entries take another version, None for none, or none any more. `instances`: all that are under way."""

    journey: str
    before: int | None
    after: int | None
    instances: int
    changes: tuple[Change, ...]


def standing(found: Iterable[Found]) -> Standing:
    """Count the instances that are under way. Raises ValueError for a document of a newer version."""
    counted: Standing = Counter()
    for each in found:
        counted.update((one.journey, one.version, one.state, one.step) for one in each.document().instances)
    return counted


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


_BODY: Final = frozenset({"id", "version", "states", "place", "purpose_place", "start_place"})


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


def _without_steps(state: Any) -> dict[str, Any]:
    return {name: part for name, part in asdict(state).items() if name != "steps"}


def _there(stand: Standing, journey: Journey, state: str, step: str | None) -> int:
    return sum(
        count
        for (name, version, where, at), count in stand.items()
        if (name, version, where) == (journey.id, journey.version, state) and step in (None, at)
    )

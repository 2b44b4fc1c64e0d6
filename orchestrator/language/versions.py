"""Several versions of one journey: one takes entries, the earlier ones go on for the instances that stand on them (rule V1)."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.language import codes
from orchestrator.language.model import Journey, Place
from orchestrator.language.problems import Problems


def check_versions(live: Sequence[Journey], earlier: Sequence[Journey], problems: Problems, *, is_complete: bool) -> None:
    """Refuse what leaves open which file an instance stands on; warn of a journey that takes no entries any more.

    Not `is_complete`: a journey without a live version is no wonder, because its file may not have been given.
    """
    entered: dict[str, Journey] = {}
    for journey in (*live, *earlier):
        _check_inherits(journey, earlier, problems)
    for journey in live:
        if journey.id and journey.id in entered:
            _refuse_second(journey, entered[journey.id], problems)
        entered.setdefault(journey.id, journey)
    kept: dict[tuple[str, int], Place] = {}
    for journey in earlier:
        known = kept.setdefault((journey.id, journey.version), journey.place)
        if known is not journey.place:
            message = f"version {journey.version} of the journey {journey.id!r} is already kept at {known}"
            problems.error(journey.place, codes.DUPLICATE_ID, message)
        if journey.id in entered:
            _check_lower(journey, entered[journey.id], problems)
        elif is_complete:
            message = f"no version of {journey.id!r} takes entries: nobody enters it, and instances of version {journey.version}"
            problems.warning(journey.place, codes.NO_LIVE_VERSION, f"{message} go on to their ends")


def _check_inherits(journey: Journey, earlier: Sequence[Journey], problems: Problems) -> None:
    """Refuse a rule for instances of no earlier version, for a step that such a version lacks, or towards one that this lacks."""
    steps = {step.id for step in journey.steps}
    known = {each.version: {step.id for step in each.steps} for each in earlier if each.id == journey.id}
    named: set[tuple[int, str]] = set()
    for rule in journey.inherits:
        if rule.version >= journey.version:
            message = f"version {rule.version} is no earlier one: this file is version {journey.version}"
            problems.error(rule.place, codes.NOT_EARLIER, message)
        elif rule.step and rule.step not in known.get(rule.version, {rule.step}):
            message = f"version {rule.version} of {journey.id!r} has no step {rule.step!r}"
            problems.error(rule.place, codes.UNKNOWN_STEP, message, word=rule.step, known=sorted(known[rule.version]))
        if rule.to and rule.to not in steps:
            message = f"this version has no step {rule.to!r} to move to"
            problems.error(rule.to_place or rule.place, codes.UNKNOWN_STEP, message, word=rule.to, known=sorted(steps))
        if (rule.version, rule.step) in named:
            message = f"there already is a rule for step {rule.step!r} of version {rule.version}"
            problems.error(rule.place, codes.DUPLICATE_ID, message)
        named.add((rule.version, rule.step))


def _check_lower(journey: Journey, entered: Journey, problems: Problems) -> None:
    if journey.version >= entered.version:
        message = f"version {journey.version} of {journey.id!r} is no earlier one: entries take version {entered.version}"
        advice = f"raise the `version` at {entered.place}, or remove this file if it never ran"
        problems.error(journey.place, codes.NOT_EARLIER, f"{message}; {advice}")


def _refuse_second(journey: Journey, first: Journey, problems: Problems) -> None:
    message = f"the journey {journey.id!r} is already used at {first.place}"
    if journey.version != first.version:
        message = f"{message}; keep version {min(journey.version, first.version)} in the folder earlier/ beside policy.yaml"
    problems.error(journey.place, codes.DUPLICATE_ID, message)

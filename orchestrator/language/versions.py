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

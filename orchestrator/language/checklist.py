"""What a reviewer would ask about a journey that is valid: one warning for each doubt, with its reason and what to do.

A question belongs here when the answer may well be "as it is": whatever cannot mean anything is an error and is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from orchestrator.language import codes
from orchestrator.language.durations import format_duration
from orchestrator.language.model import Cap, Journey, Milliseconds, Place, Policy, Step, Topology
from orchestrator.language.problems import Problems

Doubt = tuple[Place, str, str]
TELLING: Final = frozenset({"send", "call", "alert"})
LONGEST_RETRY_MS: Final = 86_400_000


def review(topology: Topology, tested: frozenset[str], problems: Problems) -> None:
    """Add the warnings; `tested` are the journeys that a scenario names."""
    for journey in topology.journeys:
        for question in QUESTIONS:
            for place, code, message in question(journey, topology.policy):
                problems.warning(place, code, message)
        if journey.id not in tested:
            message = (
                "no scenario names this journey, so nobody notices when a change breaks it: write a .scenario.yaml beside it"
            )
            problems.warning(journey.place, codes.NO_SCENARIO, message)
    for ask in SHARED_QUESTIONS:
        for place, code, message in ask(topology):
            problems.warning(place, code, message)


def _no_exit(journey: Journey, _: Policy) -> Iterator[Doubt]:
    if not journey.exits and journey.steps:
        message = "no exit rule: who closes the account still gets its messages; add `exit: [{on: account.closed}]` or the like"
        yield journey.place, codes.NO_EXIT, message


def _silent_waits(journey: Journey, _: Policy) -> Iterator[Doubt]:
    """The first wait of a state that waits for the customer and never tells anybody anything."""
    for state in journey.states.values():
        wait = next((step for step in state.steps if step.verb == "hold_until"), None)
        if wait is not None and not any(step.verb in TELLING for step in state.steps):
            message = f"step {wait.id!r} waits, and state {state.name!r} sends nothing before or after it"
            advice = "add a `send`, or a handler under `on` where no time matters"
            yield wait.place, codes.SILENT_WAIT, f"{message}: {advice}"


def _calls_without_on_error(journey: Journey, _: Policy) -> Iterator[Doubt]:
    for step in _steps(journey, "call"):
        if step.settings.awaited and not step.settings.on_error:
            message = f"when step {step.id!r} fails for good, the instance stands still until somebody redrives it"
            yield step.place, codes.NO_ON_ERROR, f"{message}: name a state with `on_error`"


def _retries_without_end(journey: Journey, _: Policy) -> Iterator[Doubt]:
    for step in _steps(journey, "call"):
        longest = max((_retried_ms(retry, step.settings.timeout_ms) for retry in step.settings.retry), default=0)
        limit = min(LONGEST_RETRY_MS, journey.lifetime_ms or LONGEST_RETRY_MS)
        if longest > limit:
            message = f"step {step.id!r} may go on trying for {_about(longest)}, and nobody hears of it until then"
            yield step.place, codes.LONG_RETRY, f"{message}: lower `max_attempts`, `max_delay` or `timeout`"


def _retried_ms(retry: Any, timeout_ms: Milliseconds) -> Milliseconds:
    """Give the time from the first attempt until the last has failed, if nobody answers."""
    delay, most = float(retry.interval_ms), float(retry.max_delay_ms or LONGEST_RETRY_MS)
    total, left = float(timeout_ms), int(retry.max_attempts) - 1
    while left and 0 < delay < most and retry.backoff > 1 and total <= LONGEST_RETRY_MS:
        total, left, delay = total + delay + timeout_ms, left - 1, delay * retry.backoff
    return round(total + left * (min(delay, most) + timeout_ms))


def _about(duration_ms: Milliseconds) -> str:
    unit = next((each for each in (86_400_000, 3_600_000, 60_000) if duration_ms >= each), 1_000)
    return format_duration(duration_ms // unit * unit)


def _urgent_where_nothing_is(journey: Journey, _: Policy) -> Iterator[Doubt]:
    if journey.urgency == "high":
        return
    for step in _steps(journey, "send"):
        if step.settings.urgent:
            message = f"step {step.id!r} may wake a customer at night, and the journey's urgency is {journey.urgency}"
            yield step.place, codes.NOT_URGENT, f"{message}: drop `urgent`, or set `urgency: high`"


def _no_holdout(journey: Journey, policy: Policy) -> Iterator[Doubt]:
    """A holdout that names its purposes is an answer, for those that it leaves out too."""
    if policy.holdout is not None or any(arm.holdout for step in _steps(journey, "randomize") for arm in step.settings.arms):
        return
    asked = sorted({purpose for purpose, _ in _sent(journey, policy) if _is_promotional(purpose, policy)})
    if asked:
        message = f"nobody is left out, so what messages of purpose {_listed(asked)} bring about can never be told"
        advice = "add `holdout: {percent: 5, salt: ...}` to policy.yaml, or a `randomize` with a `holdout: true` arm"
        yield journey.place, codes.NO_HOLDOUT, f"{message}: {advice}"


def _no_cap(topology: Topology) -> Iterator[Doubt]:
    policy = topology.policy
    for purpose, channels in _promotions(topology).items():
        free = [channel for channel in channels if not any(_covers(cap, purpose, channel) for cap in policy.caps)]
        if free:
            message = f"no cap counts messages of purpose {purpose!r} by {_listed(free)}, so all journeys may write at once"
            advice = f"add one to `caps`, such as {{id: {purpose}, purposes: [{purpose}], limit: 1, per: 1d, window: rolling}}"
            yield policy.purposes[purpose].place, codes.NO_CAP, f"{message}: {advice}"


def _no_quiet_hours(topology: Topology) -> Iterator[Doubt]:
    policy, by = topology.policy, dict[str, list[str]]()
    for purpose, channels in _promotions(topology).items():
        for channel in channels:
            if policy.channels[channel].quiet_hours is None:
                by.setdefault(channel, []).append(purpose)
    for channel, purposes in by.items():
        message = f"messages of purpose {_listed(purposes)} may leave by {channel!r} at three in the morning"
        advice = 'give the channel `quiet_hours: {from: "21:00", to: "08:00"}`'
        yield policy.channels[channel].place, codes.NO_QUIET_HOURS, f"{message}: {advice}"


def _promotions(topology: Topology) -> dict[str, list[str]]:
    """Give the promotional purposes that some journey sends for, each with its channels."""
    policy, found = topology.policy, dict[str, set[str]]()
    for journey in topology.journeys:
        for purpose, channel in _sent(journey, policy):
            if _is_promotional(purpose, policy) and channel in policy.channels:
                found.setdefault(purpose, set()).add(channel)
    return {purpose: sorted(channels) for purpose, channels in sorted(found.items())}


def _is_promotional(purpose: str, policy: Policy) -> bool:
    """As the holdout has it (ruling A99): what a customer has to agree to is for the sender's good."""
    return purpose in policy.purposes and policy.purposes[purpose].consent == "required"


def _sent(journey: Journey, policy: Policy) -> Iterator[tuple[str, str]]:
    """Give purpose and channel of every message that may leave; `preferred` is any channel for messages."""
    last = [rule.send for rule in journey.exits if rule.send is not None]
    for step in (*_steps(journey, "send"), *(each for each in last if each.verb == "send")):
        channels = step.settings.channels
        if channels == ("preferred",):
            channels = tuple(name for name, channel in policy.channels.items() if channel.kind == "message")
        yield from ((step.settings.purpose or journey.purpose, channel) for channel in channels)


def _covers(cap: Cap, purpose: str, channel: str) -> bool:
    return (not cap.purposes or purpose in cap.purposes) and (not cap.channels or channel in cap.channels)


def _steps(journey: Journey, verb: str) -> Iterator[Step]:
    return (step for step in journey.steps if step.verb == verb)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(map(repr, names[:-1])), repr(names[-1])] if len(names) > 1 else [repr(names[0])])


QUESTIONS: Final[tuple[Callable[[Journey, Policy], Iterator[Doubt]], ...]] = (
    _no_exit,
    _silent_waits,
    _calls_without_on_error,
    _retries_without_end,
    _urgent_where_nothing_is,
    _no_holdout,
)
SHARED_QUESTIONS: Final[tuple[Callable[[Topology], Iterator[Doubt]], ...]] = (_no_cap, _no_quiet_hours)

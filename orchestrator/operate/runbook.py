"""A journey as a Markdown page for whoever is on call: what it does, what its refusals mean, what to do when it does not work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.engine.verbs import TABLE
from orchestrator.engine.verbs.send import PREFERRED
from orchestrator.language.durations import format_duration
from orchestrator.language.mermaid import mermaid
from orchestrator.language.model import Journey, Policy, Step, Topology
from orchestrator.language.verb import Target
from orchestrator.names import Kind, Reason
from orchestrator.operate.troubles import failing_calls, signs_of_life, stopping

# Why an event does not start an instance (rule E1), in the order in which it is asked.
REFUSALS: Final = {
    "duplicate": "The same event id was handled before. Normal after a producer's retry; many at once: look at the producer.",
    "too_old": "The record is older than `max_age`. Many at once: the source lags, or is being loaded again.",
    "condition": "The entry's `when` is false, or reads a field that is absent (then a `condition_error` stands beside it).",
    "consent": "No channel of the journey is allowed for its purpose. Many at once: has a consent feed stopped?",
    "already_active": "The customer is on this journey now. Normal.",
    "reentry": "The customer was here before and `reentry` does not allow it yet. Normal.",
    "limit": "The customer has as many instances as `limits.instances_per_customer` allows. Look at that customer.",
    "exclusive": "The customer is on another journey of the same exclusive group. Normal.",
}
SUPPRESSIONS: Final = {
    "consent": "Consent was withdrawn, has expired or was never given for this channel and purpose.",
    "cap": "The customer has had as many messages as a cap of policy.yaml allows; `detail` names the cap.",
    "suppression": "A `suppress` rule of policy.yaml blocks this purpose at the moment.",
    "holdout": "The customer is in a control group. Normal: the journey is walked silently.",
    "quiet_hours_expired": "The message was held over quiet hours until it expired: see `expires`.",
    "duplicate_address": "Another customer with the same address had this message.",
    "rate": "The message waited for its turn at its channel's `rate` until it expired: see `expires`.",
    "paused": "The message waited for its journey to be resumed until it expired: see `expires`.",
    "no_channel": "The customer allows none of the channels that the step may choose from.",
}
INCIDENTS: Final = {
    Reason.KEY_MISSING: "an entry event without the journey's key: correct the producer, then produce the event again",
    Reason.LOOP: "an instance went round without waiting and stands still: correct the journey",
    Reason.CONTEXT_TOO_LARGE: "an instance kept more than `limits.context_bytes`: keep less, or raise the limit",
    Reason.VERSION_MISSING: "an instance stands on a version that is not loaded: keep its file under earlier/",
    Reason.HANDLER_ERROR: "a fault of the engine: the customer is as before the record; report it with the incident's text",
    Reason.ACTION_FAILED: "a call failed for good and its instance is parked: see above",
    Reason.ALERT: "the journey itself asks for attention; its message says why",
}


def runbook(journey: Journey, topology: Topology) -> str:
    """Give the page."""
    blocks = [
        *_head(journey),
        *_entry(journey),
        *_states(journey),
        *_waits(journey),
        *_actions(journey, topology),
        *_refusals(journey, topology.policy),
        *stopping(journey, topology.streams),
        *_numbers(journey, topology),
    ]
    return "\n".join(blocks).rstrip() + "\n"


def _head(journey: Journey) -> Iterator[str]:
    yield f"# Runbook: {journey.title or journey.id}"
    yield ""
    yield f"Journey `{journey.id}`, version {journey.version}. Owner: {journey.owner or '**nobody is named**'}."
    yield f"Purpose `{journey.purpose}`, priority {journey.priority}, urgency {journey.urgency}."
    if journey.lifetime_ms is not None:
        yield f"An instance older than {format_duration(journey.lifetime_ms)} expires."
    yield ""


def _entry(journey: Journey) -> Iterator[str]:
    entry = journey.entry
    yield "## Who enters"
    yield ""
    yield f"- On {_codes(entry.on)}{f', when `{entry.when.source}`' if entry.when else ''}."
    if entry.key is not None:
        yield f"- One instance for each customer and `{entry.key.source}`; else one for each customer."
    again = {"never": "never enters again", "always": "may enter again at any time"}
    since = f"may enter again {format_duration(entry.reentry.after_ms)} after the last {entry.reentry.since}"
    yield f"- Who was here before {again.get(entry.reentry.kind, since)}."
    if entry.max_age_ms is not None:
        yield f"- An event older than {format_duration(entry.max_age_ms)} starts nothing."
    for rule in journey.exits:
        when = f", when `{rule.when.source}`" if rule.when else ""
        yield f"- It ends at once on {_codes(rule.on)}{when}{f' as `{rule.outcome}`' if rule.outcome else ''}."
    yield ""


def _states(journey: Journey) -> Iterator[str]:
    yield "## What it does"
    yield ""
    yield f"```mermaid\n{mermaid(journey, TABLE)}```"
    yield ""


def _steps(journey: Journey) -> Iterator[tuple[str, Step]]:
    for state in journey.states.values():
        for step in state.steps:
            yield state.name, step


def _targets(step: Step) -> tuple[Target, ...]:
    return TABLE[step.verb].targets(step)


def _waits(journey: Journey) -> Iterator[str]:
    rows = [(state, step) for state, step in _steps(journey) if TABLE[step.verb].waits]
    if not rows:
        return
    yield "## Where customers wait"
    yield ""
    yield "Many customers on one of these is normal; far more than usual means that what they wait for does not come."
    yield ""
    yield "| state | step | waits for | at most | then |"
    yield "|---|---|---|---|---|"
    for state, step in rows:
        heard = _codes(tuple(sorted(TABLE[step.verb].listens(step)))) or ("time" if step.verb == "delay" else "the outcome")
        onward = ["the next step"] if TABLE[step.verb].goes_on(step) else []
        then = ", ".join([*dict.fromkeys(f"`{target.state}`" for target in _targets(step)), *onward])
        yield f"| `{state}` | `{step.id}` | {heard} | {_longest(step)} | {then} |"
    yield ""


def _longest(step: Step) -> str:
    settings = step.settings
    for name in ("timeout_ms", "for_ms"):
        duration = getattr(settings, name, None)
        if duration is not None:
            return format_duration(duration)
    at = getattr(settings, "at", "")
    return f"the next {at}, local time" if at else "a date of the customer"


def _actions(journey: Journey, topology: Topology) -> Iterator[str]:
    steps = [*_steps(journey), *(("exit", rule.send) for rule in journey.exits if rule.send is not None)]
    rows = [(state, step) for state, step in steps if step.verb in {"send", "call"}]
    if not rows:
        return
    yield "## What goes out"
    yield ""
    yield "| state | step | channel | topic | what | good for |"
    yield "|---|---|---|---|---|---|"
    for state, step in rows:
        settings = step.settings
        named, channels = _channels(step, topology.policy)
        topics = [topology.policy.channels[name].topic for name in channels if name in topology.policy.channels]
        what = settings.template if step.verb == "send" else settings.action
        lasts = settings.expires_ms if step.verb == "send" else settings.timeout_ms
        yield f"| `{state}` | `{step.id}` | {_codes(named)} | {_codes(topics)} | `{what}` | {format_duration(lasts)} |"
    yield ""
    yield from _when_actions_fail(journey, rows, topology.policy)


def _channels(step: Step, policy: Policy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give what the author wrote, and the channels that this may be."""
    kind = "message" if step.verb == "send" else "action"
    of_kind = tuple(name for name, channel in policy.channels.items() if channel.kind == kind)
    if step.verb == "call":
        named = (step.settings.channel,) if step.settings.channel else of_kind
        return named, named
    named = step.settings.channels
    return named, of_kind if named == (PREFERRED,) else named


def _when_actions_fail(journey: Journey, rows: list[tuple[str, Step]], policy: Policy) -> Iterator[str]:
    asked = [reason for reason in SUPPRESSIONS if _can_be_suppressed(reason, journey, rows, policy)]
    yield "When messages do not arrive:"
    yield ""
    yield "1. Are there commands on the topic? `orchestrator actions tail` shows them."
    yield "2. There are: the channel service does not read them, or fails. After the time above a command is expired;"
    yield "   repeats of an `action_id` are the same command, so a service may be restarted at any time."
    why = "; their reason:" if asked else ""
    yield f"3. There are none: `{Kind.ACTION_HELD}` decisions tell what waits, for quiet hours or a cap, and until when. Else"
    yield f"   look for `{Kind.ACTION_SUPPRESSED}` and `{Kind.CONDITION_ERROR}` decisions of the step{why}"
    yield ""
    yield from (f"   - `{reason}`: {SUPPRESSIONS[reason]}" for reason in asked)
    yield ""
    yield from failing_calls(journey)


def _can_be_suppressed(reason: str, journey: Journey, rows: list[tuple[str, Step]], policy: Policy) -> bool:
    """Leave out what never happens to this journey's messages under this policy."""
    sends = [step.settings for _, step in rows if step.verb == "send"]
    purposes = {send.purpose or journey.purpose for send in sends}
    asked = {
        "consent": any(_needs_consent(purpose, policy) for purpose in purposes),
        "cap": any(not cap.purposes or purposes & {*cap.purposes} for cap in policy.caps),
        "suppression": any(purposes & {*rule.purposes} for rule in policy.suppress),
        "holdout": _may_be_held_out(journey, purposes, policy),
        "quiet_hours_expired": any(channel.quiet_hours for channel in policy.channels.values()),
        "duplicate_address": policy.dedupe_addresses is not None,
        "rate": any(channel.rate is not None for channel in policy.channels.values()),
        "paused": False,  # not by a worker: only scenarios pause journeys so far
        "no_channel": any(len(send.channels) > 1 or "preferred" in send.channels for send in sends),
    }
    return asked[reason]


def _may_be_held_out(journey: Journey, purposes: set[str], policy: Policy) -> bool:
    if any(arm.holdout for _, step in _steps(journey) if step.verb == "randomize" for arm in step.settings.arms):
        return True
    if policy.holdout is None:
        return False
    return any(purpose in policy.holdout.purposes or not policy.holdout.purposes for purpose in purposes)


def _needs_consent(purpose: str, policy: Policy) -> bool:
    return purpose not in policy.purposes or policy.purposes[purpose].consent == "required"


def _refusals(journey: Journey, policy: Policy) -> Iterator[str]:
    yield "## Why somebody did not enter"
    yield ""
    yield f"Each `{Kind.ENTRY_REFUSED}` decision has one reason, the first of these:"
    yield ""
    asked = {
        "too_old": journey.entry.max_age_ms is not None,
        "condition": journey.entry.when is not None,
        "consent": _needs_consent(journey.purpose, policy),
        "reentry": journey.entry.reentry.kind != "always",
        "exclusive": any(journey.id in group.journeys for group in policy.exclusive),
    }
    yield from (f"- `{reason}`: {text}" for reason, text in REFUSALS.items() if asked.get(reason, True))
    yield ""


def _numbers(journey: Journey, topology: Topology) -> Iterator[str]:
    streams = topology.streams
    yield "## What to look at"
    yield ""
    yield f"- Decisions on `{streams.transitions}`: `{Kind.ENTERED}` and `{Kind.ENTRY_REFUSED}` by reason, `{Kind.HOLD_RESOLVED}`"
    yield f"  by event or timeout, `{Kind.ACTION_EMITTED}` against `{Kind.ACTION_SUPPRESSED}`, `{Kind.ENDED}` by outcome."
    ends = [step.settings.outcome for _, step in _steps(journey) if step.verb == "end"]
    ends += [rule.outcome for rule in journey.exits] + [state.outcome for state in journey.states.values()]
    outcomes = sorted({outcome for outcome in ends if outcome})
    if outcomes:
        yield f"- Outcomes of this journey: {_codes(tuple(outcomes))}."
    if journey.goals:
        yield f"- Goals: {_codes(tuple(goal.id for goal in journey.goals))}."
    yield from signs_of_life(streams)
    yield f"- Incidents on `{streams.incidents}`:"
    yield from (f"  - `{reason}`: {text}" for reason, text in INCIDENTS.items() if _can_happen(reason, journey))
    yield ""
    yield "To see what the journey does with given events, without a broker: `orchestrator simulate`; to check a change before it"
    yield "goes live: `orchestrator validate` and `orchestrator test`."
    yield ""


def _can_happen(reason: str, journey: Journey) -> bool:
    verbs = {step.verb for _, step in _steps(journey)}
    asked = {
        Reason.KEY_MISSING: journey.entry.key is not None,
        Reason.ACTION_FAILED: any(
            step.verb == "call" and step.settings.awaited and not step.settings.on_error for _, step in _steps(journey)
        ),
        Reason.ALERT: "alert" in verbs,
    }
    return asked.get(reason, True)


def _codes(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)

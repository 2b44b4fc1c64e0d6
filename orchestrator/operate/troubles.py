"""The parts of a runbook for bad days: calls that fail, instances that stand still, and how to stop a journey."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.language.durations import format_duration
from orchestrator.language.model import Journey, State, Step, Streams
from orchestrator.names import Kind, Reason


def failing_calls(journey: Journey) -> Iterator[str]:
    """What becomes of each call that fails, and what to do where the instance then stands still; nothing without calls."""
    calls = [(state, step) for state in journey.states.values() for step in state.steps if step.verb == "call"]
    if not calls:
        return
    yield "When a call fails:"
    yield ""
    for _, step in calls:
        yield f"- `{step.id}`: {_fate(step)}"
    yield ""
    parking = [(state, step) for state, step in calls if step.settings.awaited and not step.settings.on_error]
    if parking:
        yield from _parked(journey, parking)


def _fate(step: Step) -> str:
    settings = step.settings
    if not settings.awaited:
        return "nobody waits for its answer, and the instance went on at once."
    tried = "; ".join(
        f"on {_codes(retry.on)} up to {retry.max_attempts} times in all, the second {format_duration(retry.interval_ms)} later"
        for retry in settings.retry
    )
    patience = f"An attempt that nobody answers within {format_duration(settings.timeout_ms)} failed with `timeout`."
    after = f"goes to `{settings.on_error}`" if settings.on_error else f"is parked, with the incident `{Reason.ACTION_FAILED}`"
    return f"tried {tried or 'once'}. {patience} After that the instance {after}."


def _parked(journey: Journey, parking: list[tuple[State, Step]]) -> Iterator[str]:
    yield "A parked instance stands where it failed until somebody acts; the customer's other journeys go on."
    yield ""
    yield f"1. The `{Reason.ACTION_FAILED}` incident names the customer (its key), the journey, the step and the failure's code."
    yield f"   `{Kind.RETRY_SCHEDULED}` and `{Kind.CALL_FAILED}` decisions before it tell what was tried."
    yield "2. Repair the service first: a call tried again before that fails again."
    yield "3. A redrive runs the failed step again and checks everything anew. This version has no command for it yet; what it"
    yield "   will do can be tried in a scenario: `{at: 2h, redrive: {customer: c1, step: " + parking[0][1].id + "}}`."
    heard = dict.fromkeys(handler.event for state, _ in parking for handler in state.handlers)
    heard |= dict.fromkeys(event_type for rule in journey.exits for event_type in rule.on)
    if heard:
        yield f"4. Until then these events still move or end it: {_codes(tuple(heard))}."
    yield ""


def stopping(journey: Journey, streams: Streams) -> Iterator[str]:
    """How to stop the journey, or all of it. Says what there is no command for."""
    yield "## How to stop it"
    yield ""
    yield "A command that pauses one journey is to come; a worker cannot be told to yet. What a pause does can be tried in a"
    yield f"scenario: `{{at: 1h, pause: {journey.id}}}`, later `resume`. Until then, from the mildest to the strongest:"
    yield ""
    yield "- No new customers: move the journey's file from `journeys/` to `earlier/`, check with `orchestrator validate`, and"
    yield "  restart the workers. Who is on the journey goes on to its end; moved back, the file takes entries again."
    yield "- No messages: stop the channel service that reads the topic. Other journeys' messages there wait too. Commands"
    yield "  stay on the topic; when the service is back it must drop those whose `expires_at` is past."
    yield "- Nothing at all: stop the workers (Ctrl-C or SIGTERM; they finish their transaction). Events wait in Kafka. After the"
    yield "  restart everything is decided as of the time it was due, so overdue timers fire at once: mind the channel services."
    yield ""
    yield "Do not delete the journey's file, and before you raise its `version`, copy it to `earlier/`: instances whose version"
    yield f"is in neither folder are parked with the incident `{Reason.VERSION_MISSING}`. Putting the file back does not free"
    yield "them."
    yield ""
    yield f"All journeys of the app `{streams.app}` run in the same workers; there is no worker of this journey alone."
    yield ""


def signs_of_life(streams: Streams) -> Iterator[str]:
    """What a worker says about itself. Says that metrics are to come."""
    yield f"- The lag of consumer group `{streams.app}`: while it grows, everything here is late, and nothing is lost. Kafka"
    yield f"  itself tells it: `kafka-consumer-groups --bootstrap-server HOST:PORT --describe --group {streams.app}`."
    yield "- The log of the workers, a JSON line an event: `worker_ready` after a start; `restoring` and `store_rebuilt` while a"
    yield "  partition is fetched anew; `kafka_unreachable`, `commit_failed` and `commit_slow` when Kafka is the trouble."
    yield "- Metrics are to come; this version has none."


def _codes(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)

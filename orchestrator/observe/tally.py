"""What journeys do, as metrics: each decision of the log is counted once Kafka has it, by the words of its authors.

The worker adds up whole cycles; which counts make which metric is settled only when somebody asks for the page. Labels are the
ids that journeys and policy define, and this program's own words. What a channel service wrote is not, so an outcome's status is
a label only where it is one of the known ones, and its code never is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.names import Count, Kind

INCIDENTS: Final = "incidents"
OTHER: Final = "other"
STATUSES: Final = frozenset({"succeeded", "failed", "delivered", "bounced", "cancelled", "unknown"})

_WORDS: Final = ("kind", "journey", "version", "state", "step", "reason", "by", "outcome", "arm", "channel", "branch")


class DecisionMetric(Struct, frozen=True):
    """A counter of decisions of some kinds, by some of a decision's words."""

    name: str
    what: str
    labels: tuple[str, ...]
    kinds: tuple[str, ...]


class CountMetric(Struct, frozen=True):
    """A counter of what the engine counts and is no decision; with a label, its reason."""

    name: str
    what: str
    labels: tuple[str, ...]
    counted: str


DECISIONS: Final = (
    DecisionMetric("journey_entries", "Instances that began.", ("journey", "version"), (Kind.ENTERED,)),
    DecisionMetric(
        "journey_entries_refused", "Events that could have begun an instance and did not: re-entry, consent and so on.",
        ("journey", "reason"), (Kind.ENTRY_REFUSED,),
    ),
    DecisionMetric(
        "journey_states_entered", "Times that an instance came into a state.", ("journey", "state"), (Kind.STATE_ENTERED,)
    ),
    DecisionMetric(
        "journey_branches", "Ways taken at a split or an experiment; their shares are the traffic's.",
        ("journey", "step", "branch", "arm"), (Kind.BRANCH_TAKEN,),
    ),
    DecisionMetric("journey_exposures", "Arms of experiments that began to matter.", ("journey", "step", "arm"), (Kind.EXPOSED,)),
    DecisionMetric(
        "journey_holds_resolved", "Waits that ended, by event, lookback or timeout.",
        ("journey", "step", "by"), (Kind.HOLD_RESOLVED,),
    ),
    DecisionMetric(
        "journey_late_events", "Events that came after their wait had timed out.", ("journey", "step"), (Kind.LATE_EVENT,)
    ),
    DecisionMetric("journey_goals", "Goals reached.", ("journey",), (Kind.GOAL_REACHED,)),
    DecisionMetric(
        "journey_ends", "Instances that are over: by `kind` ended, exited, expired, merged or erased, with the author's outcome.",
        ("journey", "kind", "outcome"), (Kind.ENDED, Kind.EXITED, Kind.EXPIRED, Kind.MERGED, Kind.ERASED),
    ),
    DecisionMetric(
        "journey_condition_errors", "Expressions that gave no value, and so were not true.",
        ("journey", "step"), (Kind.CONDITION_ERROR,),
    ),
    DecisionMetric("actions_emitted", "Commands to channel services.", ("journey", "step", "channel"), (Kind.ACTION_EMITTED,)),
    DecisionMetric(
        "actions_suppressed", "Sends that will not be.", ("journey", "step", "channel", "reason"), (Kind.ACTION_SUPPRESSED,)
    ),
    DecisionMetric("actions_held", "Sends that began to wait.", ("journey", "step", "channel", "reason"), (Kind.ACTION_HELD,)),
    DecisionMetric("actions_released", "Sends that waited and may go.", ("journey", "step", "channel"), (Kind.ACTION_RELEASED,)),
    DecisionMetric(
        "actions_cancelled", "Sends that were called off.", ("journey", "step", "channel", "reason"), (Kind.ACTION_CANCELLED,)
    ),
    DecisionMetric(
        "action_outcomes", f"What channel services reported; a status that is not known counts as `{OTHER}`.",
        ("journey", "channel", "outcome"), (Kind.OUTCOME_RECEIVED,),
    ),
    DecisionMetric("action_retries", "Calls that failed and are made again.", ("journey", "step"), (Kind.RETRY_SCHEDULED,)),
    DecisionMetric("calls_failed", "Calls that were given up.", ("journey", "step"), (Kind.CALL_FAILED,)),
)  # fmt: skip

COUNTS: Final = (
    CountMetric("incidents", "Records and instances that need somebody to look.", ("reason",), INCIDENTS),
    CountMetric("duplicate_events", "Repeats of an event id that changed nothing.", (), Count.DUPLICATE_EVENTS),
    CountMetric("forgotten_event_ids", "Event ids forgotten early because of dedupe.events.max.", (), Count.FORGOTTEN_EVENT_IDS),
    CountMetric("forgotten_events", "Events forgotten that a look-back could still have needed.", (), Count.FORGOTTEN_EVENTS),
    CountMetric("forgotten_goals", "Instances whose goals are no longer watched.", (), Count.FORGOTTEN_GOALS),
    CountMetric("merges", "Profiles merged.", (), Count.MERGES),
    CountMetric("unknown_zones", "Profiles with a time zone that does not exist.", (), Count.UNKNOWN_ZONES),
)  # fmt: skip

_decided: Counter[tuple[Any, ...]] = Counter()
_counted: Counter[tuple[str, str]] = Counter()


def add(decided: Mapping[Any, int], counted: Mapping[tuple[str, str], int]) -> None:
    """Add a cycle that Kafka has: decisions by their words, and what is no decision. For the loop's thread only."""
    _decided.update(decided)
    if counted:
        _counted.update(counted)


def totals(name: str) -> dict[tuple[str, ...], int]:
    """Give a metric's counts by its labels, since the process began."""
    for decision in DECISIONS:
        if decision.name == name:
            return _by_labels(decision, _decided.copy())
    return _by_reason(next(each for each in COUNTS if each.name == name), _counted.copy())


class Tally(Collector):
    """Makes metrics of the counts when they are asked for, in whichever thread asks."""

    def describe(self) -> Iterator[Metric]:
        """Give all metrics without values."""
        for each in (*DECISIONS, *COUNTS):
            yield _family(each)

    def collect(self) -> Iterator[Metric]:
        """Give all metrics."""
        decided, counted = _decided.copy(), _counted.copy()
        for each in DECISIONS:
            yield _filled(_family(each), _by_labels(each, decided))
        for count in COUNTS:
            yield _filled(_family(count), _by_reason(count, counted))


def _family(metric: DecisionMetric | CountMetric) -> CounterMetricFamily:
    return CounterMetricFamily(f"orchestrator_{metric.name}", metric.what, labels=metric.labels)


def _filled(family: CounterMetricFamily, values: Mapping[tuple[str, ...], int]) -> CounterMetricFamily:
    for labels, count in values.items():
        family.add_metric(labels, count)
    return family


def _by_labels(metric: DecisionMetric, decided: Mapping[tuple[Any, ...], int]) -> dict[tuple[str, ...], int]:
    places = [_WORDS.index(label) for label in metric.labels]
    is_outcome = metric.kinds == (Kind.OUTCOME_RECEIVED,)
    found: Counter[tuple[str, ...]] = Counter()
    for words, count in decided.items():
        if words[0] in metric.kinds:
            labels = tuple(str(words[place]) for place in places)
            if is_outcome and labels[-1] not in STATUSES:
                labels = (*labels[:-1], OTHER)
            found[labels] += count
    return found


def _by_reason(metric: CountMetric, counted: Mapping[tuple[str, str], int]) -> dict[tuple[str, ...], int]:
    if metric.labels:
        return {(reason,): count for (name, reason), count in counted.items() if name == metric.counted}
    return {(): counted.get((metric.counted, ""), 0)}

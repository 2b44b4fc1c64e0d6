"""How long things took, journey by journey: until events took effect, and for how long customers stayed in each state.

The worker gives whole cycles, once Kafka has them; a bucket is found by bisection in plain lists, since a histogram of the client
library takes a lock for each value: about 1 us an event in all. Events that no journey decided anything about are in none:
`orchestrator_event_latency_seconds` has those too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


class Durations(Collector):
    """A histogram of spans of time by labels. Added to by the loop's thread only; collected in whichever thread asks."""

    def __init__(self, name: str, what: str, labels: tuple[str, ...], bounds_s: Sequence[float]) -> None:
        self.name = name
        self.what = what
        self.labels = labels
        self._bounds_ms = tuple(int(bound * 1000) for bound in bounds_s)
        self._words = (*map(str, bounds_s), "+Inf")
        self._buckets: dict[tuple[str, ...], list[int]] = {}  # how many fell into each bucket; after them the sum in ms

    def add(self, labels: tuple[str, ...], spans_ms: Iterable[int]) -> None:
        """Add spans under the same labels; one below 0 counts as 0."""
        found = self._buckets.get(labels)
        if found is None:
            found = self._buckets[labels] = [0] * (len(self._words) + 1)
        for span in spans_ms:
            counted = max(0, span)
            found[bisect_left(self._bounds_ms, counted)] += 1
            found[-1] += counted

    def describe(self) -> Iterator[Metric]:
        """Give the histogram without values."""
        yield HistogramMetricFamily(self.name, self.what, labels=self.labels)

    def collect(self) -> Iterator[Metric]:
        """Give the histogram."""
        family = HistogramMetricFamily(self.name, self.what, labels=self.labels)
        for labels, found in self._buckets.copy().items():
            *counts, total_ms = found.copy()
            family.add_metric(labels, list(zip(self._words, accumulate(counts), strict=True)), sum_value=total_ms / 1000)
        yield family


EVENT_LATENCY: Final = Durations(
    "orchestrator_journey_event_latency_seconds",
    "From a record's time until what a journey decided because of it was in Kafka.",
    ("journey",),
    (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 600.0, _HOUR),
)
TIME_IN_STATE: Final = Durations(
    "orchestrator_journey_time_in_state_seconds",
    "How long instances had been in a state when they left it, by the times of the records and timers that moved them.",
    ("journey", "state"),
    (1.0, 10.0, _MINUTE, 600.0, _HOUR, 6 * _HOUR, *(days * _DAY for days in (0.5, 1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180))),
)
ALL: Final = (EVENT_LATENCY, TIME_IN_STATE)


def add(since: Mapping[str, Sequence[int]], now: int, stays: Mapping[tuple[str, str], Sequence[int]]) -> None:
    """Add a cycle that Kafka has since `now`.

    `since` are the times of records by the journeys that decided about them, ms UTC; `stays` are by journey and state for how
    long, in ms, instances were in states that they left.
    """
    for journey, times in since.items():
        EVENT_LATENCY.add((journey,), (now - time for time in times))
    for labels, spans_ms in stays.items():
        TIME_IN_STATE.add(labels, spans_ms)

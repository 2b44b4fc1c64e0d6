"""The Grafana dashboards, as code: `python deploy/dashboards.py` writes them anew into the chart, which compose mounts too.

A row is a question, in the order in which somebody asks who is called at night.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "helm/journey-orchestrator/files/dashboards"
WIDTH: Final = 24
HEIGHT: Final = 8
BY_JOB: Final = 'job=~"$job"'
BY_JOURNEY: Final = 'job=~"$job", journey=~"$journey"'


class Panel(NamedTuple):
    """One graph. `lines` are expressions by their legends; `unit` is Grafana's name of it."""

    title: str
    lines: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"


def rate(metric: str, labels: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(q: float, metric: str, labels: str = BY_JOB, *by: str) -> str:
    return f"histogram_quantile({q}, {rate(metric + '_bucket', labels, *by, 'le')})"


def quantiles(metric: str) -> dict[str, str]:
    return {"median": quantile(0.5, metric), "95 %": quantile(0.95, metric), "99 %": quantile(0.99, metric)}


WORKERS: Final[Mapping[str, Sequence[Panel]]] = {
    "Are they alive?": [
        Panel("Ready workers", {"ready": f"sum(orchestrator_ready{{{BY_JOB}}})"}, kind="stat"),
        Panel(
            "Partitions that are handled",
            {"owned": f"count(count by (partition) (orchestrator_lag_records{{{BY_JOB}}}))"},
            kind="stat",
        ),
        Panel("Stopped partitions", {"stopped": f"sum(orchestrator_partition_stopped{{{BY_JOB}}})"}, kind="stat"),
        Panel("Memory", {"{{instance}}": f"process_resident_memory_bytes{{{BY_JOB}}}"}, "bytes"),
        Panel("CPU", {"{{instance}}": f"rate(process_cpu_seconds_total{{{BY_JOB}}}[$__rate_interval])"}),
    ],
    "Do they keep up?": [
        Panel("Records that wait", {"{{topic}}": f"sum by (topic) (orchestrator_lag_records{{{BY_JOB}}})"}),
        Panel("Behind the wall clock", {"partition {{partition}}": f"orchestrator_watermark_delay_seconds{{{BY_JOB}}}"}, "s"),
        Panel("From event to Kafka", quantiles("orchestrator_event_latency_seconds"), "s"),
        Panel("Cycle", quantiles("orchestrator_cycle_seconds"), "s"),
        Panel("Commit", quantiles("orchestrator_commit_seconds"), "s"),
        Panel("Cycles", {"{{instance}}": rate("orchestrator_cycle_seconds_count", BY_JOB, "instance")}, "ops"),
    ],
    "Do timers fire?": [
        Panel("Fired", {"a second": f"sum(rate(orchestrator_timers_fired_total{{{BY_JOB}}}[$__rate_interval]))"}, "ops"),
        Panel("Late", {"partition {{partition}}": f"orchestrator_timer_lateness_seconds{{{BY_JOB}}}"}, "s"),
        Panel("Pending", {"customers": f"sum(orchestrator_timers_pending{{{BY_JOB}}})"}),
        Panel("Overdue", {"customers": f"sum(orchestrator_overdue{{{BY_JOB}}})"}, kind="stat"),
    ],
    "What fails?": [
        Panel("Incidents", {"{{reason}}": rate("orchestrator_incidents_total", BY_JOB, "reason")}, "ops"),
        Panel("Duplicate events", {"a second": rate("orchestrator_duplicate_events_total", BY_JOB, "job")}, "ops"),
        Panel("Stores rebuilt", {"partition {{partition}}": f"increase(orchestrator_stores_rebuilt_total{{{BY_JOB}}}[1h])"}),
    ],
    "State and recovery": [
        Panel("Store", {"partition {{partition}}": f"sum by (partition) (orchestrator_store_bytes{{{BY_JOB}}})"}, "bytes"),
        Panel("Still to restore", {"partition {{partition}}": f"orchestrator_restore_remaining_offsets{{{BY_JOB}}}"}),
        Panel("Restored", {"{{instance}}": rate("orchestrator_restored_documents_total", BY_JOB, "instance")}, "ops"),
        Panel("Ready in", {"partition {{partition}}": f"orchestrator_restore_eta_seconds{{{BY_JOB}}}"}, "s"),
    ],
}


def of(title: str, metric: str, *by: str) -> Panel:
    """Give what a journey's counter does, a line for each of its labels."""
    legend = " ".join(f"{{{{{each}}}}}" for each in by)
    return Panel(title, {legend: rate(f"orchestrator_{metric}_total", BY_JOURNEY, *by)}, "ops")


def share(title: str, metric: str, chosen: str, per: Sequence[str], *by: str) -> Panel:
    """Give which part of what a journey's counter counts, for each of `per`, is as `chosen`, a line for each of `by` too."""
    name = f"orchestrator_{metric}_total"
    legend = " ".join(f"{{{{{each}}}}}" for each in (*per, *by))
    of_it = rate(name, ", ".join(filter(None, (BY_JOURNEY, chosen))), *per, *by)
    return Panel(title, {legend: f"{of_it} / on ({', '.join(per)}) group_left {rate(name, BY_JOURNEY, *per)}"}, "percentunit")


STEP: Final = ("journey", "step")
# Customers move in days: a scrape's interval would hold next to nobody.
STAYED: Final = (
    "histogram_quantile(0.75, sum by (journey, state, le) "
    f"(increase(orchestrator_journey_time_in_state_seconds_bucket{{{BY_JOURNEY}}}[1d])))"
)
BY_CONSENT: Final = BY_JOURNEY + ', reason="consent"'
JOURNEYS: Final[Mapping[str, Sequence[Panel]]] = {
    "Who comes in?": [
        of("Entries", "journey_entries", "journey"),
        of("Not admitted", "journey_entries_refused", "journey", "reason"),
        Panel(
            "From event to Kafka, 95 %",
            {"{{journey}}": quantile(0.95, "orchestrator_journey_event_latency_seconds", BY_JOURNEY, "journey")},
            "s",
        ),
    ],
    "Where do they go?": [
        of("States entered", "journey_states_entered", "journey", "state"),
        Panel(
            "Time in a state that was left, 75 %",
            {"{{journey}} {{state}}": STAYED},
            "s",
        ),
        of("Ways taken", "journey_branches", "step", "branch", "arm"),
        share("Share of each way", "journey_branches", "", STEP, "branch", "arm"),
        of("Waits that ended", "journey_holds_resolved", "step", "by"),
        share("Waits that an event ended", "journey_holds_resolved", 'by!="timeout"', STEP),
        of("Goals", "journey_goals", "journey"),
        of("Ends", "journey_ends", "journey", "kind", "outcome"),
    ],
    "What is sent?": [
        of("Actions", "actions_emitted", "channel"),
        of("Not sent", "actions_suppressed", "channel", "reason"),
        Panel(
            "Without consent",
            {
                "{{journey}}: not admitted": rate("orchestrator_journey_entries_refused_total", BY_CONSENT, "journey"),
                "{{journey}}: not sent": rate("orchestrator_actions_suppressed_total", BY_CONSENT, "journey"),
            },
            "ops",
        ),
        of("Made to wait", "actions_held", "channel", "reason"),
        of("What became of it", "action_outcomes", "channel", "outcome"),
    ],
    "What fails?": [
        of("Expressions without a value", "journey_condition_errors", "journey", "step"),
        of("Calls made again", "action_retries", "journey", "step"),
        of("Calls given up", "calls_failed", "journey", "step"),
        of("Events after their wait", "journey_late_events", "journey", "step"),
    ],
}

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def _panel(number: int, panel: Panel, place: Mapping[str, int]) -> dict[str, Any]:
    targets = [
        {"datasource": _SOURCE, "expr": expression, "legendFormat": legend, "refId": chr(ord("A") + at)}
        for at, (legend, expression) in enumerate(panel.lines.items())
    ]
    return {
        "id": number, "title": panel.title, "type": panel.kind, "datasource": _SOURCE, "gridPos": dict(place),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []}, "targets": targets,
    }  # fmt: skip


def _panels(rows: Mapping[str, Sequence[Panel]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    top = 0
    for title, panels in rows.items():
        made.append({"id": len(made) + 1, "title": title, "type": "row", "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        across = min(len(panels), 3)
        for at, panel in enumerate(panels):
            width = WIDTH // across
            place = {"x": at % across * width, "y": top + 1 + at // across * HEIGHT, "w": width, "h": HEIGHT}
            made.append(_panel(len(made) + 1, panel, place))
        top += 1 + -(-len(panels) // across) * HEIGHT
    return made


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "type": "query", "datasource": _SOURCE, "query": {"query": query, "refId": name}, "refresh": 2,
        "includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def dashboard(uid: str, title: str, rows: Mapping[str, Sequence[Panel]], *variables: tuple[str, str]) -> dict[str, Any]:
    """Give a dashboard as Grafana imports it. The data source is chosen in it."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    return {
        "uid": uid, "title": title, "tags": ["journey-orchestrator"], "schemaVersion": 39, "editable": True,
        "time": {"from": "now-3h", "to": "now"}, "refresh": "30s", "timezone": "browser",
        "templating": {"list": [source, *(_variable(*each) for each in variables)]}, "panels": _panels(rows),
    }  # fmt: skip


def rendered() -> dict[str, str]:
    """Give every dashboard's file name and text."""
    job = ("job", "label_values(orchestrator_ready, job)")
    journey = ("journey", "label_values(orchestrator_journey_entries_total, journey)")
    made = {
        "workers.json": dashboard("journey-workers", "Journey workers", WORKERS, job),
        "journeys.json": dashboard("journeys", "Journeys", JOURNEYS, job, journey),
    }
    return {name: json.dumps(each, indent=1) + "\n" for name, each in made.items()}


if __name__ == "__main__":
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")

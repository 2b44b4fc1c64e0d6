"""The events of a scenario against the schemas: all that do not fit, before anything is run."""

from __future__ import annotations

from orchestrator.language import codes
from orchestrator.language.problems import Problems
from orchestrator.operate.scenarios.scenario import GivenEvent, Scenario
from orchestrator.operate.scenarios.stage import Stage
from orchestrator.wire.schemas import BadEvent


def check_events(scenario: Scenario, stage: Stage, problems: Problems) -> None:
    """Report event types that no schema declares, and fields that do not fit; inline topologies declare nothing (ruling A25)."""
    for given in scenario.given:
        if isinstance(given, GivenEvent) and stage.checks(given.event):
            _check(given, stage, problems)


def _check(given: GivenEvent, stage: Stage, problems: Problems) -> None:
    schema = stage.schemas.get(given.event)
    if schema is None:
        known = stage.schemas.catalog().events
        message = f"no schema declares the event type {given.event!r}"
        problems.error(given.event_place, codes.UNKNOWN_EVENT_TYPE, message, word=given.event, known=known)
        return
    try:
        schema.plain(given.data)
    except BadEvent as error:
        for fault in error.faults:
            problems.error(given.data_place, codes.UNFIT_EVENT, f"{given.event} does not take this: {fault}")

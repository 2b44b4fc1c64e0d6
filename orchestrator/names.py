"""Every name that others may depend on: exit codes, headers, reserved event types, incident reasons, decision kinds.

A name here is a contract. Topic names are not here: authors choose them in streams.yaml.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """What a command's exit status means."""

    OK = 0
    NO = 1  # the answer is no: invalid, failing, differing
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    STUCK = 5  # the event loop gave no sign of life; the watchdog ended the process
    INTERRUPTED = 130


EVENT_NAMESPACE: Final = "journeys.events"
RECORD_NAMESPACE: Final = "journeys"

# The reserved fields of every event record, before its payload.
EVENT_ID: Final = "event_id"
CUSTOMER_ID: Final = "customer_id"
OCCURRED_AT: Final = "occurred_at"
RESERVED_FIELDS: Final = (EVENT_ID, CUSTOMER_ID, OCCURRED_AT)

PROFILE_UPDATED: Final = "profile.updated"
CONSENT_CHANGED: Final = "consent.changed"
PREFERENCE_UPDATED: Final = "preference.updated"
PROFILE_MERGED: Final = "profile.merged"
ERASURE_REQUESTED: Final = "privacy.erasure_requested"
EXPORT_REQUESTED: Final = "privacy.export_requested"
ACTION_OUTCOME: Final = "action.outcome"
OPERATION_REQUESTED: Final = "operation.requested"
RESERVED_EVENT_TYPES: Final = frozenset(
    {
        PROFILE_UPDATED,
        CONSENT_CHANGED,
        PREFERENCE_UPDATED,
        PROFILE_MERGED,
        ERASURE_REQUESTED,
        EXPORT_REQUESTED,
        ACTION_OUTCOME,
        OPERATION_REQUESTED,
    }
)


class Header:
    """Names of the Kafka headers that incidents and actions carry."""

    # KIP-1034, so that tools for Kafka Streams' dead letters read ours.
    ERROR_EXCEPTION: Final = "__streams.errors.exception"
    ERROR_STACKTRACE: Final = "__streams.errors.stacktrace"
    ERROR_MESSAGE: Final = "__streams.errors.message"
    ERROR_TOPIC: Final = "__streams.errors.topic"
    ERROR_PARTITION: Final = "__streams.errors.partition"
    ERROR_OFFSET: Final = "__streams.errors.offset"

    INCIDENT_ID: Final = "orchestrator.incident.id"  # topic-partition-offset, /index after it for the engine's
    INCIDENT_REASON: Final = "orchestrator.incident.reason"
    INCIDENT_STAGE: Final = "orchestrator.incident.stage"  # gate | engine | timer, or one of Stage
    SOURCE_TIMESTAMP: Final = "orchestrator.source.timestamp"
    SCHEMA_ID: Final = "orchestrator.schema.id"
    APP: Final = "orchestrator.app"
    APP_VERSION: Final = "orchestrator.app.version"
    JOURNEY: Final = "orchestrator.journey"
    JOURNEY_VERSION: Final = "orchestrator.journey.version"
    STEP: Final = "orchestrator.step"
    SEVERITY: Final = "orchestrator.severity"
    TRUNCATED: Final = "orchestrator.truncated"
    SHA256: Final = "orchestrator.sha256"

    REDRIVE_OF: Final = "orchestrator.redrive.of"  # on a record that was sent again: the incident's id
    REDRIVE_ATTEMPT: Final = "orchestrator.redrive.attempt"  # how often it has been, this time included

    CE_ID: Final = "ce_id"
    CE_SOURCE: Final = "ce_source"
    CE_SPECVERSION: Final = "ce_specversion"
    CE_TYPE: Final = "ce_type"
    CE_TIME: Final = "ce_time"
    CONTENT_TYPE: Final = "content-type"
    REPLAY_TOPIC: Final = "orchestrator.replay.topic"  # where a record of a replay would have gone
    REPLAY_CYCLE: Final = "orchestrator.replay.cycle"
    TRACEPARENT: Final = "traceparent"
    TRACESTATE: Final = "tracestate"


class Stage:
    """Where in the worker, beside gate, engine and timers, an incident came about."""

    QUARANTINE: Final = "quarantine"  # a record that ended processes
    BREAKER: Final = "breaker"  # a partition that was stopped


class Reason:
    """Why a record became an incident. Stable: producers filter on these."""

    NOT_AVRO: Final = "not_avro"
    UNKNOWN_SCHEMA: Final = "unknown_schema"
    TRUNCATED: Final = "truncated"
    TRAILING_BYTES: Final = "trailing_bytes"
    UNDECODABLE: Final = "undecodable"
    TOO_LARGE: Final = "too_large"
    TOO_DEEP: Final = "too_deep"
    NO_VALUE: Final = "no_value"  # a tombstone on an event topic
    KEY_ABSENT: Final = "key_absent"
    KEY_MISMATCH: Final = "key_mismatch"
    KEY_MISSING: Final = "key_missing"  # rule E4: the journey's own key expression gave nothing
    TIME_ABSURD: Final = "time_absurd"
    NOT_DECLARED: Final = "not_declared"  # the topic does not list this event type in streams.yaml
    CRASHED_WORKER: Final = "crashed_worker"  # handling the record ended the process; nothing looked at it again
    HANDLER_ERROR: Final = "handler_error"
    UNUSABLE_EVENT: Final = "unusable_event"  # a reserved event that does not say what it must
    VERSION_MISSING: Final = "version_missing"  # an instance stands on a journey version that is not loaded
    LOOP: Final = "loop"
    DOCUMENT_TOO_LARGE: Final = "document_too_large"
    CONTEXT_TOO_LARGE: Final = "context_too_large"
    OUTPUT_TOO_LARGE: Final = "output_too_large"
    ACTION_FAILED: Final = "action_failed"
    PARTITION_STOPPED: Final = "partition_stopped"  # rule B2: an alert, too many of its records became incidents
    MERGE_CYCLE: Final = "merge_cycle"
    MERGE_ELSEWHERE: Final = "merge_elsewhere"  # the id to merge into is in another partition
    ALERT: Final = "alert"


class Operation:
    """What an operator may ask for about one customer."""

    MOVE: Final = "move"
    SKIP: Final = "skip"
    RETRY: Final = "retry"
    FAIL: Final = "fail"
    EJECT: Final = "eject"
    HOLD: Final = "hold"
    RELEASE: Final = "release"
    ERASE: Final = "erase"
    EXPORT: Final = "export"
    RESUME: Final = "resume"  # of one customer, after a journey's pause
    TAKE_OVER: Final = "take_over"  # one customer's instances, by the version that says so


class Count:
    """What the engine counts that is no decision."""

    DUPLICATE_EVENTS: Final = "duplicate_events"  # rule I2
    FORGOTTEN_EVENT_IDS: Final = "forgotten_event_ids"  # ruling A09: forgotten because of dedupe.events.max, still in the window
    FORGOTTEN_EVENTS: Final = "forgotten_events"  # events that a look-back could still have needed, beyond 100 of a type
    FORGOTTEN_GOALS: Final = "forgotten_goals"  # instances whose goals are no longer watched, beyond 100 of a customer
    MERGES: Final = "merges"
    MERGES_WITHOUT_EFFECT: Final = "merges_without_effect"  # rule M3: of an id with itself, or known before
    UNKNOWN_ZONES: Final = "unknown_zones"  # rule D3: a profile's time zone that does not exist


class Kind:
    """The kinds of decision in the log."""

    ENTERED: Final = "entered"
    ENTRY_REFUSED: Final = "entry_refused"
    STATE_ENTERED: Final = "state_entered"
    HOLD_STARTED: Final = "hold_started"
    HOLD_RESOLVED: Final = "hold_resolved"
    LATE_EVENT: Final = "late_event"
    DELAY_STARTED: Final = "delay_started"
    DELAY_ENDED: Final = "delay_ended"
    BRANCH_TAKEN: Final = "branch_taken"
    EXPOSED: Final = "exposed"
    ACTION_EMITTED: Final = "action_emitted"
    ACTION_SUPPRESSED: Final = "action_suppressed"
    ACTION_HELD: Final = "action_held"
    ACTION_RELEASED: Final = "action_released"
    ACTION_CANCELLED: Final = "action_cancelled"
    OUTCOME_RECEIVED: Final = "outcome_received"
    RETRY_SCHEDULED: Final = "retry_scheduled"
    CALL_FAILED: Final = "call_failed"
    CONTEXT_SET: Final = "context_set"
    CONDITION_ERROR: Final = "condition_error"
    GOAL_REACHED: Final = "goal_reached"
    TAKEN_OVER: Final = "taken_over"  # by a newer version (rule V2)
    EXITED: Final = "exited"
    ENDED: Final = "ended"
    EXPIRED: Final = "expired"
    MERGED: Final = "merged"
    ERASED: Final = "erased"
    EXPORTED: Final = "exported"
    OPERATED: Final = "operated"
    OPERATION_REFUSED: Final = "operation_refused"
    ALERT: Final = "alert"

"""The JSON Schemas of what journeys share: policy.yaml, streams.yaml and experiments.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.language.schema import journey_schema
from orchestrator.language.schema_parts import (
    TEXT,
    Schema,
    document,
    list_of,
    mapping,
    named,
    number,
    one_of,
    or_list,
    ref,
    said,
    whole,
)

_WORD, _EVENT, _EXPRESSION, _DURATION = ref("name"), ref("event"), ref("expression"), ref("duration")
_TOPIC: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 249}
_TIME: Final = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
_VERDICT: Final = {"enum": ["deny", "allow"]}

QUIET_HOURS: Final = mapping(
    ("from", "to"),
    {"from": said(_TIME, "Local time, in quotes: quiet from here."), "to": said(_TIME, "A send at exactly this time goes.")},
)
RATE: Final = mapping(
    ("limit", "per"),
    {"limit": said(whole(1), "So many messages."), "per": said(_DURATION, "In this time, over the whole cluster.")},
)
CHANNEL: Final = mapping(
    ("topic",),
    {
        "topic": said(_TOPIC, "Where its service reads commands."),
        "kind": said(one_of("message", "action"), "`action`: a service for `call`, not a way to reach the customer."),
        "quiet_hours": said(QUIET_HOURS, "Messages wait for the end of these."),
        "rate": said(RATE, "What is above this waits."),
        "address": said(_EXPRESSION, "The customer's address, only to notice two customers with one."),
    },
)
PURPOSE: Final = mapping(
    (),
    {
        "consent": said(one_of("required", "not_required"), "Whether it needs the customer's consent."),
        "basis": said(TEXT, "Why it needs none, for auditors."),
        "unknown": said(_VERDICT, "Of who never said: for this purpose, instead of `consent.unknown`."),
    },
)
CONSENT: Final = mapping(
    (),
    {
        "unknown": said(_VERDICT, "Of who never said.", "deny"),
        "expires": said(_DURATION, "How long a consent lasts that names no expiry itself; without it, for ever."),
    },
)
CAP: Final = mapping(
    ("id", "limit", "per"),
    {
        "id": said(_WORD, "Named in the log."),
        "limit": said(whole(0), "At most so many sends."),
        "per": said(_DURATION, "In this time; a calendar window is `1d` or `1w`."),
        "window": said(one_of("rolling", "calendar"), "`calendar`: from the customer's midnight, or Monday."),
        "channels": said(or_list(_WORD), "Only sends of these count; without it, all."),
        "purposes": said(or_list(_WORD), "Only sends for these count; without it, all."),
        "over": said(one_of("skip", "hold"), "Drop what is over, or hold it until a slot is free."),
        "max_hold": said(_DURATION, "With `hold`, required: then it is dropped."),
    },
)
SUPPRESS: Final = mapping(
    ("id", "on", "purposes", "for"),
    {
        "id": said(_WORD, "Named in the log."),
        "on": said(or_list(_EVENT), "The event types that begin it."),
        "when": said(_EXPRESSION, "Counts only where this is true."),
        "purposes": said(or_list(_WORD), "What is not sent meanwhile."),
        "for": said(_DURATION, "From the event's time."),
    },
)
EXCLUSIVE: Final = mapping(
    ("id", "journeys"),
    {
        "id": said(_WORD, "Named in messages."),
        "journeys": said(or_list(_WORD), "A customer is in one of these at a time."),
        "on_conflict": said(one_of("refuse", "preempt"), "`preempt` ends the one with lower priority."),
    },
)
DEDUPE_EVENTS: Final = mapping(
    (),
    {
        "window": said(_DURATION, "The same `event_id` again in this time changes nothing.", "24h"),
        "max": said(whole(1, 65_536), "Ids remembered for a customer.", 256),
    },
)
DEDUPE_ADDRESSES: Final = mapping(
    ("channels", "window"),
    {
        "channels": said(or_list(_WORD), "Channels to compare addresses of."),
        "window": said(_DURATION, "The same step to the same address in this time is not sent."),
    },
)
DEDUPE: Final = mapping(
    (),
    {
        "events": said(DEDUPE_EVENTS, "Repeated events."),
        "addresses": said(DEDUPE_ADDRESSES, "Two customers with one address."),
    },
)
HOLDOUT: Final = mapping(
    ("percent", "salt"),
    {
        "percent": said(number(0, 100), "So many customers are sent nothing."),
        "salt": said(TEXT, "Another salt is another choice of customers."),
        "purposes": said(or_list(_WORD), "Only for these; without it, all that need consent."),
    },
)
LIMITS: Final = mapping(
    (),
    {
        "branches": said(whole(1, 100), "Ways of a `hold_until`, `split` (without `else`) or `randomize`.", 5),
        "steps": said(whole(1, 1_000), "Steps of a journey.", 50),
        "states": said(whole(1, 1_000), "States of a journey.", 30),
        "instances_per_customer": said(whole(1, 10_000), "Active at a time, over all journeys.", 25),
        "context_bytes": said(whole(64, 1_000_000), "Of one instance's `journey.` values.", 32_768),
        "wait": said(_DURATION, "The longest wait.", "400d"),
    },
)
POLICY: Final = mapping(
    (),
    {
        "timezone": said(TEXT, "Where the profile has none.", "UTC"),
        "channels": said(named(CHANNEL), "Ways to reach the customer, and services, by name."),
        "purposes": said(named(PURPOSE), "Why customers are contacted, by name."),
        "consent": said(CONSENT, "What holds of consent."),
        "caps": said(list_of(CAP), "How much a customer gets at most."),
        "suppress": said(list_of(SUPPRESS), "Events after which purposes are silent for a time."),
        "exclusive": said(list_of(EXCLUSIVE), "Journeys that exclude each other."),
        "dedupe": said(DEDUPE, "What counts as a repeat."),
        "holdout": said(HOLDOUT, "A global control group: it walks its journeys and is sent nothing."),
        "limits": said(LIMITS, "Bounds on journeys and on what is kept of a customer."),
    },
)

EVENT_TOPIC: Final = mapping(
    ("topic",),
    {
        "topic": said(_TOPIC, "Its name."),
        "schemas": said(or_list(_EVENT), "The event types that it may carry; without it, every one that has a schema."),
    },
)
STREAMS: Final = mapping(
    ("events",),
    {
        "app": said(_WORD, "The consumer group; begins the names of the internal topics.", "journeys"),
        "partitions": said(whole(1, 100_000), "Of every topic; fixed for the life of the app.", 12),
        "events": said(list_of(EVENT_TOPIC), "The topics that events come from."),
        "outcomes": said(_TOPIC, "Where channel services report.", "journeys.outcomes"),
        "transitions": said(_TOPIC, "Every decision.", "journeys.transitions"),
        "incidents": said(_TOPIC, "What could not be taken, and alerts.", "journeys.incidents"),
        "definitions": said(_TOPIC, "Published journeys, pauses, and partitions that are stopped.", "journeys.definitions"),
        "operations": said(_TOPIC, "What operators ask for. Without it, `<app>-operations`."),
    },
)

MINIMUM: Final = mapping(
    (),
    {
        "exposures_per_arm": said(whole(0), "Not decided before so many customers saw each arm."),
        "duration": said(_DURATION, "Nor before this time."),
    },
)
EXPERIMENT: Final = mapping(
    ("experiment",),
    {
        "experiment": said(_WORD, "The name that `randomize` uses."),
        "hypothesis": said(TEXT, "What it is to show."),
        "owner": said(TEXT, "Who answers for it."),
        "metric": said(_WORD, "A goal of the journeys that use it."),
        "minimum": said(MINIMUM, "Before it may be decided."),
        "effect": said(number(0, 1), "The smallest absolute lift worth having."),
        "alpha": said(number(0.0001, 0.5), "The risk of a false alarm that is accepted.", 0.05),
    },
)


def policy_schema() -> Schema:
    """Give the schema of policy.yaml."""
    return document("Policy", "What all journeys share.", POLICY)


def streams_schema() -> Schema:
    """Give the schema of streams.yaml."""
    return document("Streams", "How the journeys are wired to Kafka.", STREAMS)


def experiments_schema() -> Schema:
    """Give the schema of experiments.yaml."""
    return document("Experiments", "Every experiment, registered before it runs.", list_of(EXPERIMENT))


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {
    "journey": journey_schema,
    "policy": policy_schema,
    "streams": streams_schema,
    "experiments": experiments_schema,
}

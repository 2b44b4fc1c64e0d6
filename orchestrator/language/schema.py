"""The JSON Schema of a journey file: what an editor completes and underlines while a journey is written.

It says which settings there are, what shape each has, what it means and what holds without it; docs/language.md has its tables
from here. What a schema cannot say, such as whether a state exists or a condition is bool, `orchestrator validate` says. A test
reads a journey with every setting and compares what the readers ask for, and their defaults, with this.
"""

from __future__ import annotations

from typing import Final

from orchestrator.language.schema_parts import (
    FLAG,
    NAME,
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

EVENT, WORD, STATE, EXPRESSION, DURATION = ref("event"), ref("name"), ref("state"), ref("expression"), ref("duration")
_DATA: Final = said(named(EXPRESSION), "Values by name, each an expression; one that is unknown is left out.")
_WHEN: Final = said(EXPRESSION, "Counts only where this is true.")

SEND: Final = mapping(
    ("channel", "template"),
    {
        "channel": said(
            or_list(WORD), "A channel of policy.yaml; `preferred`; or a list, of which the first allowed one is taken."
        ),
        "template": said(TEXT, "What the channel service is to send."),
        "data": _DATA,
        "purpose": said(WORD, "Another purpose than the journey's."),
        "expires": said(DURATION, "From the decision on; after it, the service must not send any more.", "1d"),
        "on_suppressed": said(NAME, "`continue`, `exit`, or a state to go to, where the policy says no.", "continue"),
        "urgent": said(FLAG, "Passes quiet hours."),
    },
)
RETRY: Final = mapping(
    ("on",),
    {
        "on": said(or_list(TEXT), 'Failure codes; `"*"` is any.'),
        "max_attempts": said(whole(1), "All attempts, the first included.", 3),
        "interval": said(DURATION, "Before the second attempt.", "30s"),
        "backoff": said(number(1), "What each further interval is multiplied by.", 2),
        "max_delay": said(DURATION, "No interval is longer.", "10m"),
        "jitter": said(one_of("none", "full"), "`full` takes a part of the interval, the same at every replay."),
    },
)
CALL: Final = mapping(
    ("action",),
    {
        "action": said(WORD, "What the service is to do."),
        "channel": said(WORD, "A channel of `kind: action`; needed where policy.yaml has several."),
        "data": _DATA,
        "await": said(FLAG, "Wait for the outcome.", True),
        "timeout": said(DURATION, "For the outcome of each attempt; the failure code is then `timeout`.", "1h"),
        "retry": said(list_of(RETRY), "What to try again; the first entry that has the code counts. Without it, nothing."),
        "result": said(WORD, "The name under `journey.` for the outcome's data; with `_`, not `-`."),
        "on_error": said(STATE, "Where to go when it failed for good; without it the instance parks."),
        "handoff": said(FLAG, "Add the hand-off block: who the customer is, where they stand, what was done."),
    },
)
BRANCH: Final = mapping(
    ("on",),
    {
        "on": said(EVENT, "The event type that ends the wait."),
        "when": _WHEN,
        "go": said(STATE, "Where to go; without it, to the next step."),
        "as": said(WORD, "The name under `journey.` for the event's payload; with `_`, not `-`."),
    },
)
_DAYS: Final = {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
DELAY: Final = mapping(
    (),
    {
        "until": said(EXPRESSION, "A timestamp to wait for. Either this or `at`."),
        "past": said(one_of("continue", "exit"), "What to do where `until` is over or unknown."),
        "at": said(
            {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}, "Local time of day, as `HH:MM`: its next occurrence."
        ),
        "days": said(or_list(_DAYS), "Only on these weekdays; without it, on any."),
        "timezone": said(EXPRESSION, "The name of a zone; without it the profile's, then the policy's."),
    },
)
_DELAY: Final[Schema] = {"anyOf": [DURATION, {**DELAY, "oneOf": [{"required": ["until"]}, {"required": ["at"]}]}]}
WAY: Final = mapping(
    ("when", "go"), {"when": said(EXPRESSION, "The condition of this way."), "go": said(STATE, "Where it leads.")}
)
OTHERWISE: Final = mapping(("else",), {"else": said(WORD, "Last and required: a state, or `continue` with the next step.")})
ARM: Final = mapping(
    ("arm", "weight"),
    {
        "arm": said(WORD, "The name of the arm."),
        "weight": said(whole(0, 100), "In percent; all weights sum to 100."),
        "go": said(STATE, "Where to go; without it, to the next step."),
        "holdout": said(FLAG, "From here on the instance walks silently: same way, same times, no action."),
    },
)
RANDOMIZE: Final = mapping(
    ("experiment", "branches"),
    {
        "experiment": said(WORD, "As registered in experiments.yaml."),
        "salt": said(TEXT, "Goes into the hash that chooses; without it, the experiment's name."),
        "branches": said({**list_of(ARM), "minItems": 2}, "The arms, two at least."),
    },
)
REPEAT: Final = mapping(("restart",), {"restart": said(whole(1), "At most so often.")})
START: Final = mapping(("journey",), {"journey": said(WORD, "Which one."), "data": said(_DATA, "Becomes its context.")})
ALERT: Final = mapping(
    ("message",),
    {
        "message": said(TEXT, "Fixed text for an operator."),
        "severity": said({"enum": ["info", "warning", "error", "critical"]}, "How bad it is.", "error"),
    },
)
END: Final = mapping((), {"outcome": said(WORD, "How it ended, for the log.")})
_SET: Final = {"type": "object", "patternProperties": {r"^(journey|profile)\.": EXPRESSION}, "additionalProperties": False}

BESIDE_HOLD: Final[Schema] = {
    "timeout": said(DURATION, "The longest wait; an event exactly then is in time."),
    "on_timeout": said(STATE, "Where to go then; without it, to the next step."),
    "lookback": said(
        {"anyOf": [{"enum": ["none", "since_entry"]}, DURATION]}, "Whether earlier events count, and how early.", "none"
    ),
    "include_entry": said(FLAG, "With `since_entry`: the event that started the instance counts too."),
    "match": said(one_of("first", "ranked"), "`ranked` waits to the end and takes the highest branch that matched."),
    "on_repeat": said(
        {"anyOf": [{"enum": ["ignore"]}, REPEAT]}, "`{restart: N}`: a repeat of what began the wait starts it anew.", "ignore"
    ),
    "on_late": said(STATE, "Where an instance goes whose event came in time and was handled too late."),
}

# Each verb: its own value, and what stands beside it in the step.
VERBS: Final[dict[str, tuple[Schema, Schema]]] = {
    "send": (SEND, {}),
    "call": (CALL, {}),
    "hold_until": (list_of(BRANCH), BESIDE_HOLD),
    "delay": (
        _DELAY,
        {"smooth_over": said(DURATION, "Spread customers over this span after it, each at an offset of their own.")},
    ),
    "split": (list_of({"anyOf": [WAY, OTHERWISE]}), {}),
    "randomize": (RANDOMIZE, {}),
    "set": (_SET, {}),
    "start": (START, {}),
    "alert": (ALERT, {}),
    "go": (STATE, {}),
    "end": (END, {}),
}
_NEEDED_BESIDE: Final = {"hold_until": ("timeout",)}


def _step(verb: str) -> Schema:
    own, beside = VERBS[verb]
    head: Schema = {
        "id": said(WORD, "Unique in the journey."),
        "when": said(EXPRESSION, "The step is skipped where this is not true."),
    }
    return mapping(("id", verb, *_NEEDED_BESIDE.get(verb, ())), {**head, verb: own, **beside})


AFTER: Final = mapping(
    ("after",),
    {
        "after": said(DURATION, "Again after this time; exactly then is allowed."),
        "since": said({"enum": ["entry", "exit"]}, "Counted from the last entry, or from its end whatever it was.", "exit"),
    },
)
ENTRY: Final = mapping(
    ("on",),
    {
        "on": said(or_list(EVENT), "The event types that start an instance."),
        "when": _WHEN,
        "key": said(EXPRESSION, "One instance for each customer and value of this; without it, one for each customer."),
        "reentry": said({"anyOf": [{"enum": ["never", "always"]}, AFTER]}, "Whether who was here may come again.", "never"),
        "max_age": said(DURATION, "Events that are handled later than this after their time do not start one."),
    },
)
EXIT: Final = mapping(
    ("on",),
    {
        "on": said(or_list(EVENT), "The event types that end an instance at once."),
        "when": _WHEN,
        "outcome": said(WORD, "How it ended, for the log."),
        "send": said(SEND, "A last message, with the settings of `send`."),
    },
)
GOAL: Final = mapping(
    ("id", "on", "within"),
    {
        "id": said(WORD, "Unique in the journey."),
        "on": said(or_list(EVENT), "The event types that reach it."),
        "when": _WHEN,
        "within": said(DURATION, "After entry; also after the instance has ended."),
        "primary": said(FLAG, "The one that counts most."),
    },
)
INHERITANCE: Final = mapping(
    ("version", "step", "policy"),
    {
        "version": said(whole(1), "An earlier version of this journey."),
        "step": said(WORD, "The step of that version on which the instances stand."),
        "policy": said(
            {"enum": ["stay", "move_to", "restart", "exit"]},
            "They go on as they began; go on at step `to`; begin this version anew; or end.",
        ),
        "to": said(WORD, "With `move_to`: a step of this version."),
    },
)
HANDLER: Final = mapping(
    ("event", "go"),
    {"event": said(EVENT, "The event type to act on."), "go": said(STATE, "Where to go then."), "when": _WHEN},
)
STATE_BODY: Final = mapping(
    (),
    {
        "on": said(list_of(HANDLER), "What to do about events for as long as the state lasts."),
        "steps": said(list_of({"oneOf": [_step(verb) for verb in VERBS]}), "What happens on entering, in order."),
        "final": said(FLAG, "Entering this state ends the instance."),
        "outcome": said(WORD, "Of a final state: how it ended, for the log."),
        "rest": said(FLAG, "Instances may stay here; without it a state needs a way out."),
    },
)
JOURNEY: Final = mapping(
    ("journey", "version", "purpose", "entry", "start", "states"),
    {
        "journey": said({"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"}, "Its id, in kebab-case, unique."),
        "version": said(whole(1), "A changed file needs a higher one, and the old file goes to earlier/."),
        "title": said(TEXT, "For people."),
        "owner": said(TEXT, "The team that answers for it; without one, a warning."),
        "purpose": said(WORD, "A purpose of policy.yaml, checked at entry and at every send."),
        "priority": said(whole(0, 100), "Who wins a scarce slot: the higher.", 50),
        "urgency": said({"enum": ["high", "medium", "low"]}, "Told to the channel services.", "medium"),
        "lifetime": said(DURATION, "Instances that are older end as expired; without it, none does."),
        "entry": said(ENTRY, "What starts an instance."),
        "exit": said(list_of(EXIT), "What ends it at once, whatever it waits for."),
        "context": said(named(EXPRESSION), "Values to keep as `journey.<name>`, taken from the event that starts it."),
        "goals": said(list_of(GOAL), "What success is: measured, never acted on."),
        "inherits": said(list_of(INHERITANCE), "What becomes of instances of earlier versions; those it does not name stay."),
        "start": said(STATE, "The first state."),
        "states": said({**named(STATE_BODY), "minProperties": 1}, "The states by name."),
    },
)


def journey_schema() -> Schema:
    """Give the schema of a journey file."""
    return document("Journey", "A customer journey, version 1 of the language.", JOURNEY)

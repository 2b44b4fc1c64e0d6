"""The JSON Schema of a journey file: what an editor completes and underlines while a journey is written.

It says which settings there are and what shape each has. What it cannot say, such as whether a state exists or a condition is
bool, `orchestrator validate` says. A test reads a journey with every setting and compares what the readers ask for with this.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
NAME: Final = {"type": "string", "pattern": "^[a-z][a-z0-9_-]*$", "maxLength": 64}
EVENT: Final = {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", "maxLength": 128}
EXPRESSION: Final = {
    "type": ["string", "number", "boolean"],
    "description": "A CEL expression over event, profile, journey, now.",
}
DURATION: Final = {"type": "string", "pattern": "^([0-9]+[wdhms]|P.+)$", "description": "Such as 90s, 15m, 36h, 3d, 2w or PT36H."}
TEXT: Final = {"type": "string", "minLength": 1}
FLAG: Final = {"type": "boolean"}
STATE: Final = {**NAME, "description": "A state of this journey."}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def _or_list(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema, "minItems": 1}


def _whole(low: int, high: int | None = None) -> Schema:
    return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})


def _object(required: tuple[str, ...], properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": list(required)} if required else {})


_EXPRESSIONS: Final[Schema] = {"type": "object", "additionalProperties": _ref("expression")}
_EVENT, _NAME, _STATE, _WHEN, _DURATION = _ref("event"), _ref("name"), _ref("state-name"), _ref("expression"), _ref("duration")

_SEND: Final = _object(
    ("channel", "template"),
    {
        "channel": {**_or_list(_NAME), "description": "A channel of policy.yaml, `preferred`, or a list: the first allowed one."},
        "template": TEXT,
        "data": _EXPRESSIONS,
        "purpose": _NAME,
        "expires": _DURATION,
        "on_suppressed": {**NAME, "description": "continue, exit, or a state."},
        "urgent": {**FLAG, "description": "May pass quiet hours."},
    },
)
_RETRY: Final = _object(
    ("on", "max_attempts"),
    {
        "on": {**_or_list(TEXT), "description": 'Failure codes; "*" is any.'},
        "max_attempts": {**_whole(1), "description": "All attempts, the first included."},
        "interval": _DURATION,
        "backoff": {"type": "number"},
        "max_delay": _DURATION,
        "jitter": _one_of("none", "full"),
    },
)
_CALL: Final = _object(
    ("action",),
    {
        "action": _NAME,
        "channel": _NAME,
        "data": _EXPRESSIONS,
        "await": FLAG,
        "timeout": _DURATION,
        "retry": _list(_RETRY),
        "result": _NAME,
        "on_error": _STATE,
        "handoff": FLAG,
    },
)
_BRANCH: Final = _object(("on",), {"on": _EVENT, "when": _WHEN, "go": _STATE, "as": _NAME})
_DELAY: Final[Schema] = {
    "anyOf": [
        _DURATION,
        {
            **_object(
                (),
                {
                    "until": {**EXPRESSION, "description": "A timestamp to wait for."},
                    "at": {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$", "description": "Local time of day."},
                    "past": {**_one_of("continue", "exit"), "description": "What to do where the time is past; continue."},
                    "days": _or_list(_one_of("mon", "tue", "wed", "thu", "fri", "sat", "sun")),
                    "timezone": {**EXPRESSION, "description": "Such as profile.timezone."},
                },
            ),
            "oneOf": [{"required": ["until"]}, {"required": ["at"]}],
        },
    ]
}
_SPLIT: Final = {"anyOf": [_object(("when", "go"), {"when": _WHEN, "go": _STATE}), _object(("else",), {"else": _NAME})]}
_ARM: Final = _object(
    ("arm", "weight"),
    {"arm": _NAME, "weight": _whole(0, 100), "go": _STATE, "holdout": {**FLAG, "description": "Walks silently."}},
)
_RANDOMIZE: Final = _object(
    ("experiment", "branches"), {"experiment": _NAME, "salt": TEXT, "branches": {"type": "array", "items": _ARM, "minItems": 2}}
)
_REPEAT: Final = {"anyOf": [_one_of("ignore"), _object(("restart",), {"restart": _whole(1)})]}

# Each verb: its own value, and what stands beside it in the step.
VERBS: Final[dict[str, tuple[Schema, Schema]]] = {
    "send": (_SEND, {}),
    "call": (_CALL, {}),
    "hold_until": (
        _list(_BRANCH),
        {
            "timeout": _DURATION,
            "on_timeout": _STATE,
            "lookback": {"anyOf": [_one_of("none", "since_entry"), _DURATION]},
            "include_entry": FLAG,
            "match": _one_of("first", "ranked"),
            "on_repeat": _REPEAT,
            "on_late": _STATE,
        },
    ),
    "delay": (_DELAY, {"smooth_over": _DURATION}),
    "split": (_list(_SPLIT), {}),
    "randomize": (_RANDOMIZE, {}),
    "set": ({"type": "object", "patternProperties": {r"^(journey|profile)\.": _WHEN}, "additionalProperties": False}, {}),
    "start": (_object(("journey",), {"journey": _NAME, "data": _EXPRESSIONS}), {}),
    "alert": (_object(("message",), {"message": TEXT, "severity": TEXT}), {}),
    "go": (_STATE, {}),
    "end": (_object((), {"outcome": _NAME}), {}),
}
_NEEDED_BESIDE: Final = {"hold_until": ("timeout",)}


def _step(verb: str) -> Schema:
    own, beside = VERBS[verb]
    head: Schema = {"id": _NAME, "when": {**EXPRESSION, "description": "The step is skipped where this is not true."}}
    return _object(("id", verb, *_NEEDED_BESIDE.get(verb, ())), {**head, verb: own, **beside})


_REENTRY: Final = {
    "anyOf": [
        _one_of("never", "always"),
        _object(("after",), {"after": _DURATION, "since": _one_of("entry", "exit")}),
    ]
}
_ENTRY: Final = _object(("on",), {"on": _or_list(_EVENT), "when": _WHEN, "key": _WHEN, "reentry": _REENTRY, "max_age": _DURATION})
_EXIT: Final = _object(("on",), {"on": _or_list(_EVENT), "when": _WHEN, "outcome": _NAME, "send": _SEND})
_GOAL: Final = _object(
    ("id", "on", "within"), {"id": _NAME, "on": _or_list(_EVENT), "when": _WHEN, "within": _DURATION, "primary": FLAG}
)
_STATE_BODY: Final = _object(
    (),
    {
        "on": _list(_object(("event", "go"), {"event": _EVENT, "go": _STATE, "when": _WHEN})),
        "steps": _list({"oneOf": [_step(verb) for verb in VERBS]}),
        "final": {**FLAG, "description": "Entering this state ends the instance."},
        "outcome": _NAME,
        "rest": {**FLAG, "description": "Instances may stay here; without it a state needs a way out."},
    },
)


def journey_schema() -> Schema:
    """Give the schema of a journey file."""
    head = {"$schema": DIALECT, "title": "Journey", "description": "A customer journey, version 1 of the language."}
    definitions = {
        "name": NAME,
        "event": {**EVENT, "description": "An event type, such as payment.failed."},
        "expression": EXPRESSION,
        "duration": DURATION,
        "state-name": STATE,
    }
    body = _object(
        ("journey", "version", "purpose", "entry", "start", "states"),
        {
            "journey": {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "description": "Its id."},
            "version": {**_whole(1), "description": "A changed file needs a higher one."},
            "title": TEXT,
            "owner": {**TEXT, "description": "The team that answers for it."},
            "purpose": {**NAME, "description": "A purpose of policy.yaml, checked at entry and at every send."},
            "priority": {**_whole(0, 100), "description": "Who wins a scarce slot; 50."},
            "urgency": _one_of("high", "medium", "low"),
            "lifetime": _DURATION,
            "entry": _ENTRY,
            "exit": _list(_EXIT),
            "context": _EXPRESSIONS,
            "goals": _list(_GOAL),
            "start": _STATE,
            "states": {"type": "object", "minProperties": 1, "additionalProperties": _STATE_BODY},
        },
    )
    return {**head, **body, "$defs": definitions}

"""What the JSON Schemas of all files are made of: names, durations, expressions, and how settings are put together."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
NAME: Final = {"type": "string", "pattern": "^[a-z][a-z0-9_-]*$", "maxLength": 64}
TEXT: Final = {"type": "string", "minLength": 1}
FLAG: Final = {"type": "boolean", "default": False}
DEFINITIONS: Final[dict[str, Schema]] = {
    "name": NAME,
    "event": {
        "type": "string",
        "pattern": r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$",
        "maxLength": 128,
        "description": "An event type, such as payment.failed.",
    },
    "expression": {
        "type": ["string", "number", "boolean"],
        "description": "A CEL expression over event, profile, journey, now.",
    },
    "duration": {
        "type": "string",
        "pattern": "^([0-9]+[wdhms]|P.+)$",
        "description": "Such as 90s, 15m, 36h, 3d, 2w or PT36H.",
    },
    "state": {**NAME, "description": "A state of this journey."},
}


def ref(name: str) -> Schema:
    """Refer to one of DEFINITIONS."""
    return {"$ref": f"#/$defs/{name}"}


def one_of(*words: str) -> Schema:
    """One of these words; the first is the default."""
    return {"enum": list(words), "default": words[0]}


def list_of(schema: Schema) -> Schema:
    """A list with at least one item."""
    return {"type": "array", "items": schema, "minItems": 1}


def or_list(schema: Schema) -> Schema:
    """One, or a list of them."""
    return {"anyOf": [schema, list_of(schema)]}


def named(schema: Schema) -> Schema:
    """A mapping whose keys are names that the author gives."""
    return {"type": "object", "additionalProperties": schema}


def whole(low: int, high: int | None = None) -> Schema:
    """A whole number, both bounds included."""
    return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})


def number(low: float, high: float | None = None) -> Schema:
    """A number, both bounds included."""
    return {"type": "number", "minimum": low} | ({} if high is None else {"maximum": high})


def said(schema: Schema, description: str, default: Any = None) -> Schema:
    """The same with what it means, and what holds where it is not written; a default of None leaves the one it has."""
    return {**schema, "description": description} | ({} if default is None else {"default": default})


def mapping(required: tuple[str, ...], properties: Schema) -> Schema:
    """Settings by name, and no other."""
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": list(required)} if required else {})


def document(title: str, description: str, body: Schema) -> Schema:
    """A whole file's schema."""
    return {"$schema": DIALECT, "title": title, "description": description, **body, "$defs": DEFINITIONS}

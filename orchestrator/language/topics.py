"""Names of Kafka topics, as far as a file can be wrong about them."""

from __future__ import annotations

import re

from orchestrator.language import codes
from orchestrator.language.reader import Fields

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)


def read_topic(fields: Fields, key: str, default: str = "", *, is_optional: bool = False) -> str:
    """Read a topic's name; required where there is no default, unless it is optional."""
    text = fields.text(key, default, required=not default and not is_optional)
    if text and (not _TOPIC.fullmatch(text) or text in {".", ".."}):
        message = f"`{key}` must be a topic's name: letters, digits, `.`, `_` and `-`, 249 at most, not {text[:60]!r}"
        fields.problems.error(fields.at(key), codes.BAD_NAME, message)
        return default
    return text

"""A worker of an older release: Python imports this module at its start where PYTHONPATH has this folder.

Before `late`, `held_out`, `trail` and `stood` an instance ended with `since`, and a document with `contact`. What this worker
writes has that form wherever the later fields say nothing. It reads as this release does, which is more than an older one could.
"""

from __future__ import annotations

import os
from typing import Any

KNOWN_OF_INSTANCE = 14
STOOD = 17  # of an instance; this release always writes it
KNOWN_OF_DOCUMENT = 9
INSTANCES = 1


def older(fields: list[Any]) -> list[Any]:
    """Leave out of a document's fields, and of its instances', what an older release did not know, if nothing is in it."""
    found = _shorter(fields, KNOWN_OF_DOCUMENT)
    found[INSTANCES] = [_shorter(instance[:STOOD], KNOWN_OF_INSTANCE) for instance in found[INSTANCES]]
    return found


def _shorter(fields: list[Any], known: int) -> list[Any]:
    return fields[:known] if not any(fields[known:]) else fields


def _write_older_documents() -> None:
    import msgspec

    from orchestrator.engine import storing

    written = storing._encode
    storing._encode = lambda made: msgspec.msgpack.encode(older(msgspec.msgpack.decode(written(made))))


if "OLDER_RELEASE" in os.environ:
    _write_older_documents()

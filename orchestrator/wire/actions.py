"""Actions on the wire: commands to channel services, as Avro with CloudEvents headers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson

from orchestrator.engine.handling import Action
from orchestrator.engine.outputs import ConsentUsed
from orchestrator.names import Header
from orchestrator.wire.binary import END, FALSE, NOT_NULL, NULL, TRUE, double, long, optional, text, text_map, word
from orchestrator.wire.framing import Headers
from orchestrator.wire.handlings import KeyValueHeaders
from orchestrator.wire.ours import decode_ours, our_schema
from orchestrator.wire.traces import as_traced

_KINDS: Final = {"send": 0, "call": 1, "cancel": 2}
_TYPES: Final = {kind: (Header.CE_TYPE, f"journeys.action.{kind}".encode()) for kind in _KINDS}
_URGENCIES: Final = {"high": 0, "medium": 1, "low": 2}
_TRACE: Final = frozenset({Header.TRACEPARENT, Header.TRACESTATE})
_KEPT: Final = 20_000
_JSON: Final = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z

_MILLISECONDS: Final = tuple(b".%03dZ" % number for number in range(1000))


class ActionEncoder:
    """Writes actions for one app. One a worker."""

    def __init__(self, app: str, *, is_traced: bool = False) -> None:
        """`is_traced`: spans are exported, so actions name their own as the parent of what follows."""
        self._is_traced = is_traced
        self._prefix = our_schema("Action").prefix
        self._repeated: dict[tuple[Any, ...], bytes] = {}
        self._fixed_headers = [
            (Header.CE_SPECVERSION, b"1.0"),
            (Header.CE_SOURCE, f"/{app}".encode()),
            (Header.CONTENT_TYPE, b"application/avro"),
        ]

    def encode(self, action: Action, source_headers: Headers | None = None) -> KeyValueHeaders:
        """Give (key, value, headers); the trace context of the record that caused the action is passed on."""
        customer = action.customer.encode()
        # What comes from the topology, in the order of Action.avsc: its bytes are kept.
        combination = (
            action.kind, action.journey, action.version, action.step, action.channel, action.purpose, action.template,
            action.action, action.urgency, action.urgent,
        )  # fmt: skip
        repeated = self._repeated.get(combination)
        parts = [
            self._prefix, repeated or self._remember(combination, action),
            text(action.action_id), long(len(customer)), customer, text(action.instance), optional(action.key),
            long(action.attempt), long(action.created_at), long(action.expires_at), _value_map(action.data),
            NULL if action.consent is None else NOT_NULL + _consent(action.consent),
            text_map(action.arms),
            NULL if action.handoff is None else NOT_NULL + _value_map(action.handoff),
        ]  # fmt: skip
        return customer, b"".join(parts), self._headers(action, source_headers)

    def _remember(self, combination: tuple[Any, ...], action: Action) -> bytes:
        if len(self._repeated) >= _KEPT:
            self._repeated.clear()
        found = b"".join([
            long(_KINDS[action.kind]), text(action.journey), long(action.version), text(action.step), text(action.channel),
            text(action.purpose), optional(action.template), optional(action.action), long(_URGENCIES[action.urgency]),
            TRUE if action.urgent else FALSE,
        ])  # fmt: skip
        self._repeated[combination] = found
        return found

    def _headers(self, action: Action, source_headers: Headers | None) -> list[tuple[str, bytes]]:
        headers = [
            (Header.CE_ID, command_id(action).encode()),
            _TYPES[action.kind],
            (Header.CE_TIME, _iso(action.created_at)),
            *self._fixed_headers,
        ]
        if source_headers:
            headers += [(header, value) for header, value in source_headers if header in _TRACE and value is not None]
            if self._is_traced:
                return as_traced(headers)
        return headers


def command_id(action: Action) -> str:
    """Give the id of the command: the action's own for its first attempt.

    A repeat and a cancel of an action are other commands about it, and a service that drops known CloudEvents ids must not drop
    them, so they have ids of their own.
    """
    if action.kind == "cancel":
        return f"{action.action_id}/cancel"
    return action.action_id if action.attempt == 1 else f"{action.action_id}/{action.attempt}"


def decode_action(value: bytes) -> dict[str, Any]:
    """Read one action: the fields of Action.avsc, times in ms, lists and mappings as such. Raises ValueError for others."""
    found = decode_ours("Action", value)
    for name in ("data", "handoff"):
        if found[name] is not None:
            found[name] = {key: _read_value(each) for key, each in found[name].items()}
    return found


def _read_value(value: Any) -> Any:
    return orjson.loads(value["json"]) if isinstance(value, dict) else value


def _iso(at_ms: int) -> bytes:
    seconds, rest = divmod(at_ms, 1000)
    return _second(seconds) + _MILLISECONDS[rest]


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()[:19].encode()


@lru_cache(maxsize=1024)
def _consent(consent: ConsentUsed) -> bytes:
    at = NOT_NULL + long(consent.at) if consent.at else NULL
    return text(consent.status) + at + optional(consent.source) + optional(consent.version)


def _value_map(values: Mapping[str, Any]) -> bytes:
    if not values:
        return END
    encoded = long(len(values))
    for key, value in values.items():
        encode = _VALUES.get(type(value), _json)
        encoded += word(key) + encode(value)
    return encoded + END


def _integer(value: int) -> bytes:
    return b"\x04" + long(value) if -(1 << 63) <= value < 1 << 63 else b"\x08" + text(str(value))


def _json(value: Any) -> bytes:
    try:
        found = orjson.dumps(value, default=_plain, option=_JSON).decode()
    except TypeError:  # integers beyond 64 bits; slower, but an odd value must not stop a block
        found = json.dumps(value, default=_plain, sort_keys=True)
    return b"\x0a" + text(found)


def _plain(value: Any) -> Any:
    """Give what stands for a value that JSON does not know."""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.3f}s"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


# The union in Action.avsc: null, boolean, long, double, string; Json for anything else.
_VALUES: Final[Mapping[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"\x00",
    bool: lambda value: b"\x02\x01" if value else b"\x02\x00",
    int: _integer,
    float: lambda value: b"\x06" + double(value),
    Decimal: lambda value: b"\x06" + double(float(value)),
    str: lambda value: b"\x08" + text(value),
    datetime: lambda value: b"\x08" + text(_moment(value)),
    timedelta: lambda value: b"\x08" + text(_plain(value)),
    bytes: lambda value: b"\x08" + text(_plain(value)),
}

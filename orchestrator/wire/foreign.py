"""Headers of dead letters as Kafka Connect and Spring write them, beside ours, for tools that know no others.

    connect   __connect.errors.topic, .partition, .offset, .stage, .exception.class.name ...   all UTF-8 text
    spring    kafka_dlt-original-topic, -partition (int32), -offset (int64), -timestamp (int64) ...   numbers big-endian

They come last: what stands before ours is the record's own. Nothing here reads them back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal

from orchestrator.names import Header, Reason

HeaderList = list[tuple[str, bytes | None]]
Style = Literal["connect", "spring"]

_CREATE_TIME: Final = 1  # confluent_kafka.TIMESTAMP_CREATE_TIME
_OF_THE_KEY: Final = frozenset({Reason.KEY_ABSENT, Reason.KEY_MISMATCH})


def styles_of(setting: str) -> frozenset[str]:
    """Give the styles that a setting names beside our own, `kip-1034`."""
    return frozenset(setting.split(",")) - {"kip-1034"}


def foreign(headers: Sequence[tuple[str, bytes | None]], styles: Collection[str], timestamp_type: int) -> HeaderList:
    """Give what to add to an incident's headers, nothing where it is of no record."""
    told = {name: value or b"" for name, value in headers}
    if not styles or Header.ERROR_TOPIC not in told:
        return []
    added: HeaderList = []
    if "connect" in styles:
        added += _connect(told)
    if "spring" in styles:
        added += _spring(told, timestamp_type)
    return added


def own(headers: Sequence[tuple[str, bytes | None]]) -> HeaderList:
    """Give an incident's headers without foreign ones: ours end with the severity."""
    last = max((at for at, (name, _) in enumerate(headers) if name == Header.SEVERITY), default=len(headers) - 1)
    return list(headers[: last + 1])


def _connect(told: dict[str, bytes]) -> HeaderList:
    is_gate = told[Header.INCIDENT_STAGE] == b"gate"
    of_key = told[Header.INCIDENT_REASON].decode() in _OF_THE_KEY
    stage = (b"KEY_CONVERTER" if of_key else b"VALUE_CONVERTER") if is_gate else b"TASK_PUT"
    found = {
        "topic": told[Header.ERROR_TOPIC],
        "partition": told[Header.ERROR_PARTITION],
        "offset": told[Header.ERROR_OFFSET],
        "connector.name": told[Header.APP],
        "task.id": told[Header.ERROR_PARTITION],
        "stage": stage,
        "class.name": b"orchestrator",
        "exception.class.name": told[Header.ERROR_EXCEPTION],
        "exception.message": told[Header.ERROR_MESSAGE],
    }
    return [(f"__connect.errors.{name}", value) for name, value in found.items()]


def _spring(told: dict[str, bytes], timestamp_type: int) -> HeaderList:
    found = {
        "original-topic": told[Header.ERROR_TOPIC],
        "original-partition": int(told[Header.ERROR_PARTITION]).to_bytes(4, "big", signed=True),
        "original-offset": int(told[Header.ERROR_OFFSET]).to_bytes(8, "big", signed=True),
        "original-timestamp": int(told[Header.SOURCE_TIMESTAMP]).to_bytes(8, "big", signed=True),
        "original-timestamp-type": b"CreateTime" if timestamp_type == _CREATE_TIME else b"LogAppendTime",
        "original-consumer-group": told[Header.APP],
        "exception-fqcn": told[Header.ERROR_EXCEPTION],
        "exception-message": told[Header.ERROR_MESSAGE],
    }
    return [(f"kafka_dlt-{name}", value) for name, value in found.items()]

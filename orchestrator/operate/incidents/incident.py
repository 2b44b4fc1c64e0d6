"""One incident as an operator sees it: what its headers say, and the original record that it carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from orchestrator.names import Header
from orchestrator.wire.lines import iso

HeaderList = list[tuple[str, bytes | None]]

_MARKERS: Final = frozenset({Header.REDRIVE_OF, Header.REDRIVE_ATTEMPT})
_CUTS: Final = frozenset({Header.TRUNCATED, Header.SHA256})


class Incident(Struct, frozen=True):
    """What became of one record. `source` is empty for what is no record's: an alert, a timer, a stopped partition.

    `headers` are the original record's own. `time` is that record's timestamp, `reported` the incident's, both ms UTC.
    """

    id: str
    reason: str
    stage: str
    severity: str
    message: str
    source: str
    partition: int
    offset: int
    time: int
    reported: int
    position: str
    key: bytes | None
    value: bytes | None
    headers: HeaderList
    schema: str = ""
    journey: str = ""
    journey_version: str = ""
    step: str = ""
    truncated: str = ""
    sha256: str = ""
    redrive_of: str = ""
    attempt: int = 0

    @property
    def is_of_a_record(self) -> bool:
        """Whether there is a record that could be sent again."""
        return bool(self.source) and self.partition >= 0 and self.offset >= 0


def read_incident(message: Any) -> Incident | None:
    """Read a record of the incident topic; None for one that says no id: it is not this program's."""
    headers: HeaderList = list(message.headers() or [])
    told = _Told(headers)
    if not told(Header.INCIDENT_ID):
        return None
    reported = message.timestamp()[1]
    return Incident(
        id=told(Header.INCIDENT_ID),
        reason=told(Header.INCIDENT_REASON),
        stage=told(Header.INCIDENT_STAGE),
        severity=told(Header.SEVERITY),
        message=told(Header.ERROR_MESSAGE),
        source=told(Header.ERROR_TOPIC),
        partition=told.number(Header.ERROR_PARTITION),
        offset=told.number(Header.ERROR_OFFSET),
        time=told.number(Header.SOURCE_TIMESTAMP, reported),
        reported=reported,
        position=f"{message.topic()}/{message.partition()}/{message.offset()}",
        key=message.key(),
        value=message.value(),
        headers=_own(headers),
        schema=told(Header.SCHEMA_ID),
        journey=told(Header.JOURNEY),
        journey_version=told(Header.JOURNEY_VERSION),
        step=told(Header.STEP),
        truncated=told(Header.TRUNCATED),
        sha256=told(Header.SHA256),
        redrive_of=told(Header.REDRIVE_OF),
        attempt=told.number(Header.REDRIVE_ATTEMPT, 0),
    )


class _Told:
    """What headers say; the last of a name counts, since a record's own stand before ours and may be called anything."""

    def __init__(self, headers: HeaderList) -> None:
        self._told = dict(headers)

    def __call__(self, name: str) -> str:
        return (self._told.get(name) or b"").decode(errors="replace")

    def number(self, name: str, otherwise: int = -1) -> int:
        text = self(name)
        return int(text) if text.isascii() and text.removeprefix("-").isdecimal() else otherwise


def _own(headers: HeaderList) -> HeaderList:
    """Give the record's own headers: those before the worker's, which begin with what was cut or with the exception."""
    begin = max((at for at, (name, _) in enumerate(headers) if name == Header.ERROR_EXCEPTION), default=0)
    while begin and headers[begin - 1][0] in _CUTS:
        begin -= 1
    return headers[:begin]


def marked(headers: HeaderList, incident_id: str, attempt: int) -> HeaderList:
    """Give the headers of a record that is sent again: its own, and whose redrive it is."""
    own = [(name, value) for name, value in headers if name not in _MARKERS]
    return [*own, (Header.REDRIVE_OF, incident_id.encode()), (Header.REDRIVE_ATTEMPT, str(attempt).encode())]


class Selection(Struct, frozen=True):
    """Which incidents are meant; what is empty leaves nothing out.

    Times are ms UTC of the original records, `until` not included.
    """

    ids: Sequence[str] = ()
    reasons: Sequence[str] = ()
    sources: Sequence[str] = ()
    schemas: Sequence[str] = ()
    journeys: Sequence[str] = ()
    since: int | None = None
    until: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing narrows it."""
        return self == Selection()

    def __contains__(self, incident: Incident) -> bool:
        chosen = (
            (self.ids, incident.id), (self.reasons, incident.reason), (self.sources, incident.source),
            (self.schemas, incident.schema), (self.journeys, incident.journey),
        )  # fmt: skip
        if any(wanted and value not in wanted for wanted, value in chosen):
            return False
        return (self.since is None or incident.time >= self.since) and (self.until is None or incident.time < self.until)


def _hour(incident: Incident) -> str:
    return iso(incident.time // 3_600_000 * 3_600_000)


GROUPINGS: Final[Mapping[str, Callable[[Incident], str]]] = {
    "reason": lambda incident: incident.reason,
    "source": lambda incident: f"{incident.source}/{incident.partition}" if incident.is_of_a_record else "-",
    "schema": lambda incident: incident.schema or "-",
    "journey": lambda incident: f"{incident.journey}/{incident.step}".rstrip("/") or "-",
    "hour": _hour,
}

"""The schema registry as a worker uses it: asked once for each schema that it does not know, never in the loop's thread.

What was found, and what the registry does not have, is kept; so a record costs one look-up in a dictionary, and only where its
schema is not among the local ones. A registry that is away is no fault of the record: whoever asked has to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any, Final
from uuid import UUID

from orchestrator.errors import Unreachable, UsageError
from orchestrator.observe.logs import logger
from orchestrator.wire import framing
from orchestrator.wire.schemas import EventType, SchemaSet
from orchestrator.wire.writers import SchemaRefused, writer_of

log = logger(__name__)

TIMEOUT_S: Final = 3.0
# A schema may be registered a moment before all of a registry's nodes know it.
_UNKNOWN_TRIES: Final = 3
_UNKNOWN_PAUSE_S: Final = 0.3
_MANY: Final = 50
_REMEMBERED: Final = 10_000  # unknown ones; invented ids must not fill the memory
_UNKNOWN_FOR_S: Final = 30.0  # so long a schema counts as unknown without the registry being asked again
_NOT_FOUND: Final = 404
# What the API itself says of a schema that it lacks. A registry without GUIDs, such as Apicurio 2, says 0 to them.
_NO_SCHEMA: Final = range(40400, 40500)
_NO_SUCH_CALL: Final = 0

Ref = tuple[str, bytes]  # how a record names its schema: kind, and id or GUID


def connect(conf: Mapping[str, str]) -> Any:
    """Give a client. `conf` has its settings by their own names. Raises UsageError for those that it does not take."""
    from confluent_kafka.schema_registry import SchemaRegistryClient

    settings: dict[str, Any] = {"timeout": TIMEOUT_S, "max.retries": 1, **conf}
    for name in ("timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms"):
        if name in settings:
            settings[name] = float(settings[name]) if name == "timeout" else int(settings[name])
    try:
        return SchemaRegistryClient(settings)
    except (ValueError, TypeError) as error:
        raise UsageError(f"the registry's settings cannot be used: {error}", where="registry.*") from None


class Registry:
    """A SchemaSource with answers fetched beforehand: `missing` and `resolve` are for the loop, `fetch` for another thread."""

    def __init__(self, client: Any, known: SchemaSet, where: str = "", tries: int = _UNKNOWN_TRIES) -> None:
        """`client` is a SchemaRegistryClient, or has its `get_schema` and `get_schema_by_guid`.

        `tries` is how often a schema is asked for before it counts as unknown.
        """
        self._client = client
        self._tries = tries
        self._known = known
        self._where = where
        self._found: dict[Ref, EventType] = {}
        self._unknown: dict[Ref, float] = {}  # until when it counts as unknown
        self._is_over = threading.Event()

    def give_up(self) -> None:
        """Let what is being fetched end with the answer at hand: nobody waits for the rest. From any thread, at once."""
        self._is_over.set()

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def resolve(self, ref: framing.SchemaRef) -> EventType | None:
        """Give what was fetched. Never blocks."""
        return self._found.get((ref.kind, ref.name))

    def missing(self, messages: Iterable[Any]) -> set[Ref]:
        """Give the schemas that these messages name and that must be fetched before they are handled. Never blocks."""
        return self.lacks({ref for message in messages if (ref := _named(message)) is not None})

    def lacks(self, refs: Iterable[Ref]) -> set[Ref]:
        """Give those of these schemas of which nothing is known, or not any more. Never blocks."""
        now = monotonic()
        return {ref for ref in refs if ref not in self._found and self._unknown.get(ref, 0.0) < now}

    def writers(self, messages: Iterable[Any]) -> dict[Ref, dict[str, Any]]:
        """Give the schemas, parsed, that these messages name and that were found. Never blocks."""
        refs = {ref for message in messages if (ref := _named(message)) is not None}
        return {ref: self._found[ref].schema for ref in refs if ref in self._found}

    def fetch(self, refs: Iterable[Ref]) -> None:
        """Ask for these schemas. Blocks; raises Unreachable where the registry does not answer or makes no sense."""
        left = sorted(refs)
        # Many at once are no news of one producer but bytes that look like ids: they are asked for once.
        for _ in range(self._tries if len(left) <= _MANY else 1):
            left = [ref for ref in left if not self._is_over.is_set() and not self._fetch(*ref)]
            if not left or self._is_over.wait(_UNKNOWN_PAUSE_S if self._tries > 1 else 0.0):
                return
        for kind, name in left:
            log.warning("schema_unknown", schema=_shown(kind, name), next="its records become incidents; they can be redriven")
            self._note_unknown((kind, name))

    def _fetch(self, kind: str, name: bytes) -> bool:
        """Ask for a schema and judge it; tell whether the registry has it."""
        schema = self._ask(kind, name)
        if schema is None:
            return False
        is_avro = (schema.schema_type or "AVRO") == "AVRO" and not schema.references
        try:
            self._found[kind, name] = writer_of(str(schema.schema_str) if is_avro else "", self._known)
        except SchemaRefused as error:
            why = str(error)
            log.warning(
                "schema_refused", schema=_shown(kind, name), why=why, next="its records become incidents; redrive them later"
            )
            self._note_unknown((kind, name))
        return True

    def _note_unknown(self, ref: Ref) -> None:
        if len(self._unknown) >= _REMEMBERED:
            self._unknown.clear()
        self._unknown[ref] = monotonic() + _UNKNOWN_FOR_S

    def _ask(self, kind: str, name: bytes) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            by_guid = kind == "guid"
            found = self._client.get_schema_by_guid(str(UUID(bytes=name))) if by_guid else self._client.get_schema(_number(name))
            if found.schema_str:
                return found
            why = "its answer has no schema"
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND and _is_the_apis(error.error_code, kind):
                return None
            why = f"it answers {error.http_status_code}"
        except Exception as error:  # whatever a client, a proxy or a stranger at that address may do
            why = type(error).__name__
        raise Unreachable(
            f"the schema registry does not help: {why}",
            where=self._where,
            next_step="see to the registry, or to registry.url and its credentials; records wait meanwhile",
        )


class OnDemand:
    """A SchemaSource for commands, which may wait: what is in no file, the registry is asked for there and then."""

    def __init__(self, registry: Registry | None, known: SchemaSet) -> None:
        """`registry` is None where there is none."""
        self._registry, self._known = registry, known

    def resolve(self, ref: framing.SchemaRef) -> EventType | None:
        """Give the schema, None where nobody knows it. Blocks; raises Unreachable where the registry does not help."""
        if ref.kind == "fingerprint":
            return self._known.resolve(ref)
        if self._registry is None:
            return None
        try:
            self._registry.fetch(self._registry.lacks({(ref.kind, ref.name)}))
        except Unreachable as error:
            advice = "see to the registry, or to registry.url and its credentials; then call this again"
            raise Unreachable(error.what, where=error.where, next_step=advice) from None
        return self._registry.resolve(ref)

    def close(self) -> None:
        """End the connections."""
        if self._registry is not None:
            self._registry.close()


def on_demand(conf: Mapping[str, str], known: SchemaSet) -> OnDemand:
    """Give what resolves schemas for a command; `conf` are the settings under `registry.`, none for none. Raises UsageError.

    A schema that is not there is asked for once: what a log names was registered long ago, or never.
    """
    return OnDemand(Registry(connect(conf), known, conf.get("url", ""), tries=1) if conf else None, known)


def _named(message: Any) -> Ref | None:
    """Give the id or GUID by which a message names its schema; None for any other."""
    value = message.value()
    if value is None:
        return None
    headers = message.headers()
    if headers and (guid := framing.guid_header(headers)) is not None:
        return "guid", guid
    if value[:1] == framing.CONFLUENT and len(value) >= framing.CONFLUENT_LENGTH:
        return "id", value[1 : framing.CONFLUENT_LENGTH]
    return None


def _is_the_apis(code: object, kind: str) -> bool:
    """Tell whether a 404 is about the schema. A proxy's, or that of a wrong path in `registry.url`, says nothing of it."""
    return code in _NO_SCHEMA or (kind == "guid" and code == _NO_SUCH_CALL)


def _number(name: bytes) -> int:
    return int.from_bytes(name, "big")


def _shown(kind: str, name: bytes) -> str:
    return str(framing.SchemaRef(kind, name, 0))  # type: ignore[arg-type]

"""Schemas in a registry: which subjects a topology has there, what is missing or would break, and registering it.

Event topics carry many types in one order, so their subjects are `<topic>-<record's full name>` (TopicRecordName); what the
orchestrator writes is one type a topic, `<topic>-value` (TopicName). Inputs must be readable by every later reader, because old
partitions are replayed: BACKWARD_TRANSITIVE. Outputs are read and kept by others: FULL_TRANSITIVE.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from msgspec import Struct

from orchestrator import defaults
from orchestrator.errors import RefusedByState, Unreachable
from orchestrator.language.model import Policy, Streams
from orchestrator.wire.routing import carried_types
from orchestrator.wire.schemas import EventType, SchemaSet

_NOT_FOUND: Final = 404
_OUTPUTS: Final = {"transitions": "Handling", "journal": "Journal"}

State = Literal["registered", "new subject", "new version", "BREAKS"]


class Contract(Struct, frozen=True):
    """A schema, the subject that it belongs under, and how compatible that subject's versions have to be."""

    subject: str
    schema: str
    compatibility: str


class Planned(Struct, frozen=True):
    """A contract and how it stands; `why` says what it would break."""

    contract: Contract
    state: State
    why: str = ""
    id: int = 0


def contracts(streams: Streams, policy: Policy, schemas: SchemaSet) -> list[Contract]:
    """Give every contract of a topology: what comes in, then what goes out."""
    found = [
        Contract(subject_of(topic, event), schema_text(event), "BACKWARD_TRANSITIVE")
        for topic, types in carried_types(streams, schemas.types).items()
        for event_type in sorted(types)
        if (event := schemas.get(event_type)) is not None
    ]
    outputs = {channel.topic: "Action" for channel in policy.channels.values()}
    outputs |= {str(getattr(streams, topic)): name for topic, name in _OUTPUTS.items()}
    ours = {name: (defaults.SCHEMAS / "journeys" / f"{name}.avsc").read_text(encoding="utf-8") for name in set(outputs.values())}
    return found + [Contract(f"{topic}-value", ours[name], "FULL_TRANSITIVE") for topic, name in sorted(outputs.items())]


def subject_of(topic: str, event: EventType) -> str:
    """Give the subject of an event type on a topic."""
    return f"{topic}-{event.name}"


def schema_text(event: EventType) -> str:
    """Give a schema as it is registered, with our own attributes and without the parser's."""
    return json.dumps({name: value for name, value in event.schema.items() if not name.startswith("__")})


class Subjects:
    """The subjects of a registry. Blocks; whatever it is asked raises Unreachable where the registry does not help."""

    def __init__(self, client: Any, where: str = "") -> None:
        """`client` is a SchemaRegistryClient."""
        self._client = client
        self._where = where

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def plan(self, wanted: list[Contract]) -> list[Planned]:
        """Hold contracts against the registry."""
        return [self._planned(each) for each in wanted]

    def id_of(self, contract: Contract) -> int:
        """Give the id of a schema under its subject. Raises RefusedByState where it is not registered there."""
        found = self._asked(lambda: self._client.lookup_schema(contract.subject, _avro(contract.schema), True))
        if found is None:
            raise RefusedByState(
                "the schema is not registered", where=contract.subject, next_step="orchestrator schemas register --execute"
            )
        return int(found.schema_id)

    def latest(self, contract: Contract) -> str | None:
        """Give the newest schema under a contract's subject, None where the registry has no such subject."""
        found = self._asked(lambda: self._client.get_latest_version(contract.subject))
        return None if found is None else str(found.schema.schema_str)

    def register(self, planned: list[Planned]) -> list[Planned]:
        """Register what is new, and set the subjects' compatibility. Raises RefusedByState where something would break."""
        broken = [each for each in planned if each.state == "BREAKS"]
        if broken:
            raise RefusedByState(
                f"{len(broken)} schemas would break readers", where=broken[0].contract.subject, next_step="see the plan"
            )
        done = []
        for each in planned:
            contract = each.contract
            self._asked(lambda c=contract: self._set_level(c))
            number = each.id or self._asked(lambda c=contract: self._client.register_schema(c.subject, _avro(c.schema), True))
            done.append(Planned(contract, "registered", id=int(number or 0)))
        return done

    def _set_level(self, contract: Contract) -> None:
        from confluent_kafka.schema_registry import ConfigCompatibilityLevel, ServerConfig

        level = ConfigCompatibilityLevel(contract.compatibility)
        self._client.set_config(contract.subject, ServerConfig(compatibility=level))

    def _planned(self, contract: Contract) -> Planned:
        schema = _avro(contract.schema)
        known = self._asked(lambda: self._client.lookup_schema(contract.subject, schema, True))
        if known is not None:
            return Planned(contract, "registered", id=int(known.schema_id))
        if not self._asked(lambda: self._client.get_versions(contract.subject)):
            return Planned(contract, "new subject")
        if self._asked(lambda: self._client.test_compatibility_all_versions(contract.subject, schema)):
            return Planned(contract, "new version")
        return Planned(contract, "BREAKS", f"not {contract.compatibility} with the versions that are there")

    def _asked(self, ask: Any) -> Any:
        """Give the registry's answer, None where it says that there is no such thing."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            return ask()
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            why = f"it answers {error.http_status_code}: {error.error_message}"
        except Exception as error:  # whatever a client, a proxy or a stranger at that address may do
            why = type(error).__name__
        raise Unreachable(
            f"the schema registry does not help: {why}", where=self._where, next_step="see to registry.url and its credentials"
        )


def _avro(text: str) -> Any:
    from confluent_kafka.schema_registry import Schema

    return Schema(text, "AVRO")

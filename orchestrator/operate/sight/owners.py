"""Who is at work: the group's members, the partitions of each, and where its HTTP side is reached."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import NotAllowed, Unreachable

_ASK_S: Final = 10.0
_PAUSE_S: Final = 0.2
_MOVING: Final = (
    KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE,
)  # fmt: skip
_CLIENT: Final = "orchestrator@"  # then host:port, as `JourneyApp.consumer_config` has it


class Owner(Struct, frozen=True):
    """A worker as the group knows it. `address` is "" for one that serves no HTTP."""

    worker: str
    address: str
    partitions: tuple[int, ...]


class Group(Struct, frozen=True):
    """The group of an app; `state` in Kafka's words: STABLE, PREPARING_REBALANCING, EMPTY, DEAD where there never was one..."""

    state: str
    owners: tuple[Owner, ...]

    def owner_of(self, partition: int) -> Owner | None:
        """Give who has a partition, None where nobody does just now."""
        return next((each for each in self.owners if partition in each.partitions), None)


def group_of(conf: Mapping[str, Any], app: str) -> Group:
    """Ask the group's coordinator. Blocks; raises Unreachable, NotAllowed."""
    try:
        found = _described(kafka.admin(conf), app)
    except KafkaException as error:
        if error.args[0].code() in kafka.NOT_ALLOWED:
            raise NotAllowed(
                "Kafka does not allow it to describe the group", where=app, next_step="this takes Describe on the group"
            ) from None
        raise Unreachable(f"the group cannot be described: {error.args[0].name()}", where=app) from None
    except TimeoutError:
        raise Unreachable("the group's coordinator does not answer", where=app, next_step="check the brokers") from None
    return Group(found.state.name, tuple(sorted(map(_owner, found.members), key=lambda each: each.partitions or (1 << 30,))))


def _described(client: AdminClient, app: str) -> Any:
    """Ask again while the group's coordinator is moving or loads what it knows. Raises KafkaException, TimeoutError."""
    deadline = time.monotonic() + _ASK_S
    while True:
        try:
            return client.describe_consumer_groups([app], request_timeout=_ASK_S)[app].result(_ASK_S)
        except KafkaException as error:
            if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)


def _owner(member: Any) -> Owner:
    parts = member.assignment.topic_partitions if member.assignment is not None else ()
    client = str(member.client_id)
    return Owner(
        str(member.group_instance_id or member.member_id),
        client.removeprefix(_CLIENT) if client.startswith(_CLIENT) else "",
        tuple(sorted({part.partition for part in parts})),
    )

"""What a worker's principal must be allowed to do in Kafka: the list, which of it is missing, and the ACLs that give it.

Only what is needed: READ, like WRITE, gives DESCRIBE as well. Nothing here lets a worker make or change topics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import NotAllowed, RefusedByState, Unreachable
from orchestrator.language.model import Policy, Streams

READ: Final = "READ"
WRITE: Final = "WRITE"
TOPIC: Final = "TOPIC"
GROUP: Final = "GROUP"
TRANSACTIONAL_ID: Final = "TRANSACTIONAL_ID"

_TIMEOUT_S: Final = 10.0
_TRIED: Final = "rights"  # the end of the transactional id that `tried` opens
_SAID: Final = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


class Right(Struct, frozen=True, order=True):
    """One operation on one resource; with `is_prefix` on all whose names begin so. `why` is for people."""

    resource: str
    name: str
    operation: str
    why: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource.lower()} {self.name}{'*' if self.is_prefix else ''}"


def needed(streams: Streams, policy: Policy) -> list[Right]:
    """Give every right that a worker needs, and no more."""
    read = {each.topic: "events" for each in streams.events}
    read |= {streams.outcomes: "outcomes", streams.operations: "what operators ask for"}
    read |= {streams.changelog: "restoring stores", streams.journal: "where to go on"}
    read |= {streams.definitions: "journeys, stops and releases"}
    write = {channel.topic: "actions" for channel in policy.channels.values()}
    write |= {streams.transitions: "decisions", streams.incidents: "incidents", streams.changelog: "documents"}
    write |= {streams.exports: "exports of customers"}
    write |= {streams.journal: "cycles", streams.definitions: "stops of partitions"}
    rights = [Right(TOPIC, topic, READ, why) for topic, why in read.items()]
    rights += [Right(TOPIC, topic, WRITE, why) for topic, why in write.items()]
    rights.append(Right(GROUP, streams.app, READ, "joining, committing offsets"))
    rights.append(Right(TRANSACTIONAL_ID, f"{streams.app}-", WRITE, "one id a worker", is_prefix=True))
    return rights


def missing(admin: AdminClient, rights: Sequence[Right]) -> list[Right]:
    """Give those of the rights, on topics and group, that this principal certainly lacks. Blocks; raises Unreachable.

    A broker that does not tell what is allowed takes nothing away here. Transactional ids Kafka tells nothing about: see `tried`.
    """
    topics = sorted({each.name for each in rights if each.resource == TOPIC})
    groups = sorted({each.name for each in rights if each.resource == GROUP})
    told = {
        TOPIC: _allowed(
            admin.describe_topics(TopicCollection(topics), include_authorized_operations=True, request_timeout=_TIMEOUT_S)
        ),
        GROUP: _allowed(admin.describe_consumer_groups(groups, include_authorized_operations=True, request_timeout=_TIMEOUT_S)),
    }
    return [each for each in rights if not _may(told.get(each.resource, {}).get(each.name), each)]


def _allowed(answers: Mapping[str, Future[Any]]) -> dict[str, frozenset[str] | None]:
    """What may be done by name, None where that is not known."""
    found: dict[str, frozenset[str] | None] = {}
    for name, future in answers.items():
        try:
            operations = future.result(_TIMEOUT_S).authorized_operations
            found[name] = None if operations is None else frozenset(each.name for each in operations)
        except KafkaException as error:
            found[name] = frozenset() if error.args[0].code() in _SAID else None
        except TimeoutError:
            raise Unreachable(f"Kafka did not tell within {_TIMEOUT_S:.0f} s what is allowed on {name}") from None
    return found


def _may(allowed: frozenset[str] | None, right: Right) -> bool:
    return allowed is None or right.operation in allowed


def check(admin: AdminClient, streams: Streams, policy: Policy) -> None:
    """Raise NotAllowed with every right on topics and group that is missing. Blocks."""
    if lacking := missing(admin, needed(streams, policy)):
        raise refusal(lacking)


def refusal(lacking: Sequence[Right]) -> NotAllowed:
    """Say what is missing, and how to get it."""
    return NotAllowed(
        f"this principal may not {'; '.join(map(str, lacking))}",
        next_step="`orchestrator acls create --principal User:...` shows what a worker needs and, with --execute, adds it",
    )


def tried(conf: kafka.Conf, rights: Iterable[Right]) -> list[Right]:
    """Give those of the rights on transactional ids that are refused when they are used. Blocks; raises Unreachable.

    Opens a producer under an id that no worker has, and closes it again.
    """
    refused = []
    for each in rights:
        if each.resource != TRANSACTIONAL_ID:
            continue
        producer = kafka.producer({**conf, "transactional.id": f"{each.name}{_TRIED}"})
        try:
            producer.init_transactions(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                raise Unreachable(f"Kafka gave no transactional id: {error.args[0].str()}", where=each.name) from None
            refused.append(each)
    return refused


def bindings(rights: Iterable[Right], principal: str) -> list[AclBinding]:
    """Give the ACLs that give these rights to a principal such as `User:journeys`, from any host."""
    return [
        AclBinding(
            ResourceType[each.resource],
            each.name,
            ResourcePatternType.PREFIXED if each.is_prefix else ResourcePatternType.LITERAL,
            principal,
            "*",
            AclOperation[each.operation],
            AclPermissionType.ALLOW,
        )
        for each in rights
    ]


def give(admin: AdminClient, rights: Sequence[Right], principal: str) -> None:
    """Add the ACLs; those that are there already stay. Blocks. Raises RefusedByState, Unreachable."""
    for each, future in admin.create_acls(bindings(rights, principal), request_timeout=_TIMEOUT_S).items():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
                raise NotAllowed(
                    "this principal may not add ACLs", next_step="use one that may ALTER the cluster, with --config or --set"
                ) from None
            raise RefusedByState(
                f"no ACL was added: {reason.str()}", where=each.name, next_step="does the broker have an authorizer at all?"
            ) from None
        except TimeoutError:
            raise Unreachable("Kafka did not answer while ACLs were added") from None


def command(right: Right, principal: str, server: str) -> str:
    """Give the same as a line for Kafka's own tool."""
    option = {TOPIC: "--topic", GROUP: "--group", TRANSACTIONAL_ID: "--transactional-id"}[right.resource]
    pattern = " --resource-pattern-type prefixed" if right.is_prefix else ""
    return (
        f"kafka-acls.sh --bootstrap-server {server} --add --allow-principal '{principal}'"
        f" --operation {right.operation.title()} {option} {right.name}{pattern}"
    )

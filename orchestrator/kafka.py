"""Thin functions around confluent-kafka that every room uses: make a client, see whether Kafka answers, read a topic to its end.

Settings are librdkafka's own, by its own names. librdkafka's log lines go to Python's logging as `orchestrator.librdkafka` and
nowhere else; what a person must know is raised or said by whoever called.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from orchestrator.errors import NotAllowed, NotAuthenticated, Unreachable, UsageError

Conf = Mapping[str, Any]

NOT_ALLOWED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)

# Refused passwords, tokens and certificates, of either side. To try again is of no use, and may lock an account.
_NOT_TRUSTED: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})
_TLS_ALERT: Final = "tls alert"  # the broker's, after it has seen this side's certificate or the lack of one: no code of its own
_DETAIL_CHARACTERS: Final = 300  # a token server may answer with a whole page

_PROBE_S: Final = 2.0
_PAUSE_S: Final = 0.5
_POLL_S: Final = 0.2
_BATCH: Final = 1_000
_RECONNECT_MS: Final = 1_000  # librdkafka's own 10 s keep a client away from a broker that is back

client_log: Final = logging.getLogger("orchestrator.librdkafka")
client_log.addHandler(logging.NullHandler())  # without any handler Python prints warnings to stderr


class _Sparse(logging.Filter):
    """Lets through one line about a failed connection in `every_s`: clients try each broker that is down 20 times a second."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._held, self._said_at = 0, -every_s

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if not text.startswith("FAIL "):
            return True
        now = time.monotonic()
        if now - self._said_at < self._every_s:
            self._held += 1
            return False
        if self._held:
            record.msg, record.args = f"{text} (and {self._held} lines like it before)", ()
        self._held, self._said_at = 0, now
        return True


client_log.addFilter(_Sparse(every_s=10.0))
_unheard: Final = logging.Logger("orchestrator.librdkafka.unheard")  # made by hand: it has no parent to pass lines on to
_unheard.addHandler(logging.NullHandler())


def admin(conf: Conf) -> AdminClient:
    """Make an admin client. Raises UsageError for a setting that librdkafka refuses; does not connect yet."""
    made: AdminClient = _made(AdminClient, conf)
    return made


def producer(conf: Conf) -> Producer:
    """Make a producer. Raises UsageError for a setting that librdkafka refuses; does not connect yet."""
    made: Producer = _made(Producer, conf)
    return made


def consumer(conf: Conf) -> Consumer:
    """Make a consumer. Raises UsageError for a setting that librdkafka refuses; does not connect yet."""
    made: Consumer = _made(Consumer, conf)
    return made


def _made(client: Any, conf: Conf) -> Any:
    try:
        return client({"logger": client_log, "reconnect.backoff.max.ms": _RECONNECT_MS, **conf})
    except KafkaException as error:
        raise UsageError(
            f"Kafka setting refused: {error.args[0].str()}",
            where="kafka.*",
            next_step="names are librdkafka's: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md",
        ) from None


def not_allowed(error: KafkaError, where: str) -> NotAllowed:
    """Say what to do about an error that is one of NOT_ALLOWED."""
    return NotAllowed(
        f"Kafka does not allow it: {error.name()}",
        where=where,
        next_step="give this principal what `orchestrator acls create` lists, then start the worker again: nothing is lost",
    )


def reach(conf: Conf, timeout_s: float = 10.0) -> ClusterMetadata:
    """Give the cluster's brokers and topics, asked once. Blocks up to `timeout_s`; raises Unreachable."""
    return wait_for_broker(conf, timeout_s, lambda _: None)


def wait_for_broker(conf: Conf, timeout_s: float, say: Callable[[str], None]) -> ClusterMetadata:
    """Ask for the cluster's metadata until it comes. Blocks up to `timeout_s`, then raises Unreachable; NotAuthenticated at once.

    `say` gets one line at once when the first try fails, and one when Kafka answers after that.
    """
    last: list[str] = []
    refused: list[str] = []
    # Said by `say`, once: librdkafka would log the same line for every try.

    def heard(error: KafkaError) -> None:
        is_refusal = error.code() in _NOT_TRUSTED or _TLS_ALERT in error.str()
        (refused if is_refusal else last).append(error.str())

    client = admin({"logger": _unheard, **conf, "error_cb": heard})
    server, deadline, failed = conf.get("bootstrap.servers", ""), time.monotonic() + timeout_s, False
    while True:
        left = deadline - time.monotonic()
        try:
            found: ClusterMetadata = client.list_topics(timeout=max(0.1, min(_PROBE_S, left)))
        except KafkaException as error:
            client.poll(0)
            if refused:
                raise _not_authenticated(server, refused[-1]) from None
            detail = _detail(last, error)
            if not failed:
                say(f"Kafka at {server} does not answer ({detail}); trying for {timeout_s:.0f} s")
            if deadline - time.monotonic() <= 0:
                raise _unreachable(server, timeout_s, detail) from None
            failed = True
            time.sleep(min(_PAUSE_S, max(0.0, deadline - time.monotonic())))
        else:
            if failed:
                say(f"Kafka at {server} answers")
            return found


def _detail(errors: Sequence[str], error: KafkaException) -> str:
    """Give the most telling of librdkafka's messages: the last one that is about a broker, without the times it counts."""
    for text in reversed(errors):
        if "brokers are down" not in text:
            return text.split(" (after ")[0]
    return str(error.args[0].str())


def _not_authenticated(server: str, detail: str) -> NotAuthenticated:
    text = " ".join(detail.partition(" (after ")[0].split())[:_DETAIL_CHARACTERS]
    return NotAuthenticated(
        f"Kafka and this process do not trust each other: {text}",
        where=server,
        next_step="check kafka.security.protocol, kafka.sasl.*, kafka.ssl.* with `orchestrator config show`",
    )


def _unreachable(server: str, timeout_s: float, detail: str) -> Unreachable:
    return Unreachable(
        f"Kafka did not answer within {timeout_s:.0f} s: {detail}",
        where=server,
        next_step="start the broker, or name another one with --bootstrap-server",
    )


def partition_counts(metadata: ClusterMetadata) -> dict[str, int]:
    """Give the partition count of every topic."""
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def read_partitions(
    conf: Conf, start: Sequence[TopicPartition], *, follow: bool = False, stop: Callable[[], bool] = lambda: False
) -> Iterator[Message]:
    """Give committed messages from these positions on, up to where each partition ended; with `follow` without end.

    Joins no group and commits nothing. Blocks; `stop` is asked at least every 0.2 s. Raises Unreachable when Kafka says so.
    """
    client = consumer(
        {
            "group.id": "orchestrator-reader",  # librdkafka demands one; no group is joined by assign
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            **conf,
        }
    )
    try:
        client.assign(list(start))
        open_ends = {(each.topic, each.partition) for each in start}
        while (open_ends or follow) and not stop():
            for message in client.consume(_BATCH, _POLL_S):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_ends.discard((message.topic(), message.partition()))
                elif not error.retriable():
                    raise Unreachable(f"Kafka stopped the reading: {error.str()}", where=message.topic() or "")
    finally:
        client.close()

"""One cycle into Kafka: begin, produce, offsets, commit, and what became of it.

Runs in a thread of its own, so that waiting for brokers does not stop the worker's loop. Nothing here knows what is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from time import monotonic, time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import RecordTooLarge, Unreachable, WorkerFenced
from orchestrator.observe.logs import logger
from orchestrator.stream.calls import Call
from orchestrator.stream.failpoints import Failpoint, reach
from orchestrator.stream.producing import Produce, hand_over

log = logger(__name__)

TRANSACTION_TIMEOUT_S: Final = 15
# A request that librdkafka sent again after it lost a connection may still arrive on the old one, and there end or move the next
# transaction of its epoch (KAFKA-17754). Only its log tells of the loss, under this name (a request that timed out is one too),
# and before the request is sent again; a producer that said so is not used for another transaction.
LOST_CONNECTION: Final = "FAIL"
# Right after a commit the coordinator is busy with it and refuses the next transaction; by default that is 100 ms each time.
RETRY_BACKOFF_MS: Final = 20
SLOW_S: Final = 1.0
INIT_TIMEOUT_S: Final = 30
_INIT_TRY_S: Final = 5.0  # an opening asks after each whether it is still wanted
# Without a limit this call outlasts the group membership that it speaks for, and the revocation waits for it.
OFFSETS_TIMEOUT_S: Final = 5.0
# A new producer ends the transaction as well, and at once when the brokers are back.
ABORT_TIMEOUT_S: Final = 5.0

_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)
_NOT_A_MEMBER: Final = frozenset(
    {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID, KafkaError.REBALANCE_IN_PROGRESS}
)
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_OF_RECORDS: Final = _TOO_LARGE | kafka.NOT_ALLOWED
TOO_LARGE_TRIES: Final = 3
MOST_LEFT_BEHIND: Final = 8  # each has a producer with its threads and connections
ENOUGH_BYTES: Final = 1_048_576  # the producer's limit: no record or batch of the worker is larger


def producer_config(kafka_settings: Mapping[str, Any], transactional_id: str) -> dict[str, Any]:
    """Give a worker's producer settings, by librdkafka's names: the operator's own count before these."""
    return {
        "linger.ms": 5,
        "compression.type": "lz4",
        "batch.size": 262_144,
        "message.max.bytes": ENOUGH_BYTES,
        "queue.buffering.max.messages": 1_000_000,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_S * 1000,
        **kafka_settings,
        "transactional.id": transactional_id,
    }


class Outcome(Enum):
    """What became of a transaction."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class Commit(Struct):
    """The result; `changelog` maps a partition to the changelog offset after its last document."""

    outcome: Outcome
    changelog: dict[int, int] = {}
    left_group: bool = False  # the group did not accept the offsets: this worker's assignment is over


class _Refused(Struct):
    """A record that was not taken: why, how large it is, and for which topic it was."""

    error: KafkaError
    size: int
    topic: str


class Interrupted(Exception):
    """What was waited for has not come, and the worker stops or has lost what it was for."""


class _Listener:
    """Where a client's log lines go: on to the log of all clients, and to who asks for lost connections."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def log(self, level: int, text: str, facility: str, *rest: str) -> None:
        """Take a line as confluent-kafka gives it."""
        if facility == LOST_CONNECTION:
            self._on_lost()
        kafka.client_log.log(level, text, facility, *rest)


class TransactionalProducer:
    """The worker's one producer. All methods block and belong to one thread at a time; they end early once `is_stopped`."""

    def __init__(self, config: Mapping[str, Any], changelog_topic: str, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self._config = {
            **config, "retry.backoff.ms": RETRY_BACKOFF_MS, "error_cb": self._on_error,
            "logger": _Listener(self._on_lost_connection), "log.connection.close": True,
        }  # fmt: skip
        self._changelog_topic = changelog_topic
        self._is_stopped = is_stopped
        self._producer: Any = None
        self._is_worn = False  # not to be used for another transaction
        self._left_behind: list[Call] = []
        self._began = 0.0  # wall time at which the latest transaction began
        self._too_large = 0  # how many runs on end failed for a record's size
        self._is_watching = False  # the latest run failed: each record of the next says what became of it, not only the last ones
        self._refused: _Refused | None = None  # what the latest run refused

    def _on_lost_connection(self) -> None:
        self._is_worn = True

    def _on_error(self, error: KafkaError) -> None:
        self._is_worn = self._is_worn or error.code() == KafkaError._ALL_BROKERS_DOWN

    def open(self, patience_s: float = math.inf) -> None:
        """Make a new producer and end whatever transaction its predecessor left open.

        Goes on trying for `patience_s` while no broker answers. Raises Unreachable, WorkerFenced, Interrupted.
        """
        self._producer = None  # the old one: gone, whatever becomes of the new
        opened = kafka.producer(self._config)
        deadline = monotonic() + patience_s
        while True:
            try:
                opened.init_transactions(min(_INIT_TRY_S, patience_s))
                break
            except KafkaException as error:
                self._check_opening(error, deadline)
        opened.poll(0)  # hears what went wrong on the way here, which is over
        self._producer = opened
        self._is_worn = False

    def open_if_closed(self) -> None:
        """Open where `close` was called. Raises as `open`."""
        if self._producer is None:
            self.open()

    def _check_opening(self, error: KafkaException, deadline: float) -> None:
        """Return where a failed opening is worth another try."""
        kafka_error = error.args[0]
        if kafka_error.code() in _FENCED:
            raise WorkerFenced(
                "another worker with the same id has started", next_step="give each worker its own --worker-id"
            ) from error
        if kafka_error.code() in kafka.NOT_ALLOWED:
            raise kafka.not_allowed(kafka_error, str(self._config["transactional.id"])) from error
        if kafka_error.retriable() and monotonic() < deadline:
            if self._is_stopped():
                raise Interrupted from error
            log.warning("producer_waits", why=kafka_error.name())
            return
        raise Unreachable(
            f"Kafka did not open a transaction: {kafka_error.str()}",
            where=str(self._config.get("bootstrap.servers", "")),
            next_step="check that the cluster is up",
        ) from error

    def run(self, records: Sequence[Produce], offsets: Sequence[TopicPartition], group: Any) -> Commit:
        """Produce and commit one cycle.

        Raises WorkerFenced where another producer took over, RecordTooLarge where a limit refused it three times, Interrupted,
        Unreachable.
        """
        try:
            self._producer.poll(0)  # hears of connections that were lost
        except (KafkaException, SystemError) as error:
            log.warning("producer_broken", error=_reason(error).name())
            self._is_worn = True
        if self._is_worn:
            # It may wait for a broker that it has struck off, see `_send_offsets`, or have a request under way: LOST_CONNECTION.
            self.open()
        started, self._began = monotonic(), time()
        changelog: dict[int, int] = {}
        may_have_landed = False
        try:
            self._producer.begin_transaction()
            reach(Failpoint.TRANSACTION_BEGUN)
            self._produce(records, changelog)
            self._send_offsets(offsets, group)
            may_have_landed = True
            reach(Failpoint.OFFSETS_SENT)
            self._producer.flush(TRANSACTION_TIMEOUT_S)
            self._commit()
        except (KafkaException, SystemError) as error:
            return self._failed(self._told(_reason(error)), started, may_have_landed)
        except TimeoutError:
            log.warning("commit_hangs", seconds=round(monotonic() - started, 1))
            self._is_worn = True
            return Commit(Outcome.UNKNOWN)
        self._too_large, self._is_watching = 0, False
        if monotonic() - started >= SLOW_S:
            log.info("commit_slow", seconds=round(monotonic() - started, 1))
        return Commit(Outcome.COMMITTED, changelog)

    def _produce(self, records: Sequence[Produce], changelog: dict[int, int]) -> None:
        def delivered(error: Any, message: Any) -> None:
            if error is None:
                changelog[message.partition()] = message.offset() + 1
            else:
                self._note_refused(error, message)

        self._refused = None
        told: list[Any] = [self._note_refused if self._is_watching else None] * len(records)
        # Only a partition's last document needs its offset, and records keep their order.
        last = {r.partition: i for i, r in enumerate(records) if r.topic == self._changelog_topic}
        for index in last.values():
            told[index] = delivered
        half = len(records) // 2
        hand_over(self._producer, records[:half], told[:half], self._note_not_taken)
        reach(Failpoint.HALF_PRODUCED)
        hand_over(self._producer, records[half:], told[half:], self._note_not_taken)
        reach(Failpoint.ALL_PRODUCED)

    def _note_refused(self, error: KafkaError | None, message: Any) -> None:
        if error is None or error.code() not in _OF_RECORDS:
            return
        size = len(message.value() or b"")
        if self._refused is None or size > self._refused.size:
            self._refused = _Refused(error, size, message.topic())

    def _told(self, error: KafkaError) -> KafkaError:
        """Give the reason of a failure that librdkafka tells only of the records that failed."""
        return self._refused.error if self._refused and error.code() == KafkaError._INCONSISTENT else error

    def _note_not_taken(self, record: Produce, error: KafkaException) -> None:
        self._refused = _Refused(error.args[0], len(record.value or b""), record.topic)

    def _send_offsets(self, offsets: Sequence[TopicPartition], group: Any) -> None:
        """Add the offsets to the transaction within a limit. Raises KafkaException, TimeoutError where no answer came.

        librdkafka does not keep the limit it is given (its issues 5456 and 5511): where the group's coordinator was struck off
        the list of brokers, as the only one is while it starts, the call waits for ever and lets no other call in. So it
        gets a thread of its own, which is left behind: a new producer fences whatever the old one may still do.
        """
        send = self._producer.send_offsets_to_transaction
        call = Call("send-offsets", lambda: send(list(offsets), group, OFFSETS_TIMEOUT_S))
        if not call.is_over(OFFSETS_TIMEOUT_S + 1):
            self._leave_behind(call)
            raise TimeoutError

    def _leave_behind(self, call: Call) -> None:
        """Note a call that never came back. Raises Unreachable where there are too many: only the process's end frees them."""
        self._left_behind = [each for each in self._left_behind if each.is_alive()] + [call]
        if len(self._left_behind) > MOST_LEFT_BEHIND:
            raise Unreachable(
                f"{len(self._left_behind)} calls of librdkafka hang",
                where=str(self._config.get("bootstrap.servers", "")),
                next_step="check the brokers; start the worker again, it goes on from the last commit",
            )

    def _commit(self) -> None:
        deadline = monotonic() + TRANSACTION_TIMEOUT_S
        while True:
            try:
                self._producer.commit_transaction(max(0.1, deadline - monotonic()))
                self._producer.poll(0)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or monotonic() >= deadline:
                    raise

    def _failed(self, error: Any, started: float, may_have_landed: bool) -> Commit:
        log.warning("commit_failed", error=error.name(), seconds=round(monotonic() - started, 1))
        self._is_worn = self._is_watching = True
        self._check_fenced(error, started)
        if error.code() in kafka.NOT_ALLOWED:
            refused, anything = self._refused, "a topic that the worker writes, its transactional id, or its group"
            raise kafka.not_allowed(error, refused.topic if refused and refused.error.code() == error.code() else anything)
        left_group = error.code() in _NOT_A_MEMBER
        # A refused size is of a record, so that no commit was asked for; else only the offsets tell.
        outcome = Outcome.UNKNOWN if may_have_landed and error.code() not in _TOO_LARGE else self._given_up(started)
        if error.code() in _TOO_LARGE:
            self._check_size(error)
        return Commit(outcome, left_group=left_group)

    def _check_fenced(self, error: KafkaError, started: float) -> None:
        if error.code() not in _FENCED:
            return
        # By both clocks: a host that slept stops the one, and whoever sets the time moves the other.
        seconds = max(monotonic() - started, time() - self._began)
        raise WorkerFenced(
            f"Kafka refused the transaction: {error.name()}",
            next_step="look for a second worker with this --worker-id",
            is_own_doing=seconds * 1000 >= int(self._config.get("transaction.timeout.ms", TRANSACTION_TIMEOUT_S * 1000)),
        )

    def _given_up(self, started: float) -> Outcome:
        try:
            self._producer.abort_transaction(ABORT_TIMEOUT_S)
        except KafkaException as error:
            log.warning("abort_failed", error=error.args[0].name())
            self._check_fenced(error.args[0], started)
            return Outcome.UNKNOWN
        return Outcome.ABORTED

    def _check_size(self, error: KafkaError) -> None:
        """Count a failure for a record's size, and raise RecordTooLarge at the third on end: it will not fit the next time."""
        self._too_large += 1
        if self._too_large < TOO_LARGE_TRIES:
            return
        size, topic = (self._refused.size, self._refused.topic) if self._refused else (0, "")
        enough = max(int(self._config.get("message.max.bytes", 0)), ENOUGH_BYTES)
        raise RecordTooLarge(
            f"a record of {size} bytes, or the batch it went in, was refused {self._too_large} times: {error.str()}",
            where=topic,
            next_step=f"set the topic's max.message.bytes to {enough} or more, and kafka.message.max.bytes where it is set",
        )

    def close(self) -> None:
        """Let go of the producer; its destructor ends the connections."""
        self._producer = None


def _reason(error: KafkaException | SystemError) -> Any:
    """Give Kafka's error. Raises what is none.

    After an error that ends a producer, confluent-kafka calls `error_cb` while its exception is set already; the first call that
    is made in there then fails with a SystemError, whose cause is the exception.
    """
    cause = error.__cause__ if isinstance(error, SystemError) else error
    if not isinstance(cause, KafkaException):
        raise error
    return cause.args[0]

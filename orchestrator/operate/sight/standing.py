"""How things stand: the group, who owns which partitions, how far behind they are, and what each worker says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import OrchestratorError, Unreachable, WorkerRefuses
from orchestrator.language.model import Streams
from orchestrator.operate import partitions
from orchestrator.operate.sight.asking import Asker
from orchestrator.operate.sight.owners import Owner, group_of
from orchestrator.stream.desk import OVERDUE, STATUS

_ASK_S: Final = 10.0
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]
NO_ANSWER: Final = "does not answer"
_SAYS: Final = ("ready", "awaiting_registry", "release", "program", "since", "restoring", "incidents", "counts", "journeys")
PARKING: Final = ("action_failed", "loop", "context_too_large", "version_missing", "handler_error")


class WorkerStanding(Struct, frozen=True):
    """One worker. `says` is what it answers of itself, empty where it was not asked or did not answer; then `silent` says why."""

    worker: str
    address: str
    partitions: tuple[int, ...]
    says: dict[str, Any] = {}
    silent: str = ""


class PartitionStanding(Struct, frozen=True):
    """One partition. `lag` counts records of all source topics, None where the group has no position yet.

    From `timers` on by its worker.
    """

    partition: int
    worker: str
    lag: int | None
    stopped_at: str = ""
    timers: int | None = None
    overdue: int | None = None
    store_bytes: int | None = None
    restoring: int | None = None


class Standing(Struct, frozen=True):
    """How everything stands. `incidents` and `parked` are counts of what the workers met with since each of them began.

    `parked_now` are the instances that stand parked, by journey, step and why; None where nobody asked for it.
    """

    app: str
    state: str
    workers: tuple[WorkerStanding, ...]
    partitions: tuple[PartitionStanding, ...]
    journeys: tuple[str, ...]
    incidents: dict[str, int]
    parked: int
    programs: tuple[str, ...]
    parked_now: dict[str, int] | None = None

    @property
    def is_well(self) -> bool:
        """Whether every partition has an owner that is ready, and none is stopped, overdue or waiting for the registry.

        A worker that serves no HTTP, or does not take the token, is believed to be well; one that does not answer is not.
        """
        for worker in self.workers:
            if worker.silent == NO_ANSWER or not worker.says.get("ready", True) or worker.says.get("awaiting_registry"):
                return False
        return all(part.worker and not part.stopped_at and not part.overdue and not part.restoring for part in self.partitions)


def standing(conf: Mapping[str, Any], streams: Streams, asker: Asker) -> Standing:
    """Look once. Blocks, up to 10 s for a worker that does not answer. Raises Unreachable, NotAllowed, TopicMismatch."""
    group = group_of(conf, streams.app)
    with ThreadPoolExecutor(8) as pool:
        workers = tuple(pool.map(lambda owner: _asked(owner, asker), group.owners))
    says = [each.says for each in workers if each.says]
    incidents: dict[str, int] = {}
    for each in says:
        for reason, count in each["incidents"].items():
            incidents[reason] = incidents.get(reason, 0) + count
    return Standing(
        app=streams.app,
        state=group.state,
        workers=tuple(_without_partitions(each) for each in workers),
        partitions=tuple(_partitions(conf, streams, workers)),
        journeys=tuple(sorted({f"{j['journey']} {j['version']}" for each in says for j in each["journeys"]})),
        incidents=incidents,
        parked=sum(incidents.get(reason, 0) for reason in PARKING),
        programs=tuple(sorted({each["program"] for each in says})),
    )


def overdue(conf: Mapping[str, Any], streams: Streams, asker: Asker) -> list[dict[str, Any]]:
    """List up to 100 customers a worker whose timer should have fired, as hashes; the longest overdue first.

    Blocks; raises Unreachable where a worker does not answer, WorkerRefuses.
    """
    owners = [each for each in group_of(conf, streams.app).owners if each.address]
    found = [one | {"worker": owner.worker} for owner in owners for one in asker.ask(owner.address, OVERDUE)["overdue"]]
    return sorted(found, key=lambda each: str(each["due"]))


def _asked(owner: Owner, asker: Asker) -> WorkerStanding:
    known = WorkerStanding(owner.worker, owner.address, owner.partitions)
    if not owner.address:
        return WorkerStanding(owner.worker, "", owner.partitions, silent="serves no HTTP")
    try:
        return WorkerStanding(known.worker, known.address, known.partitions, asker.ask(owner.address, STATUS))
    except WorkerRefuses:
        silent = "refuses this token" if asker.token else "needs a token"
    except OrchestratorError:
        silent = NO_ANSWER
    return WorkerStanding(known.worker, known.address, known.partitions, silent=silent)


def _without_partitions(worker: WorkerStanding) -> WorkerStanding:
    says = {name: value for name, value in worker.says.items() if name in _SAYS}
    return WorkerStanding(worker.worker, worker.address, worker.partitions, says, worker.silent)


def _partitions(conf: Mapping[str, Any], streams: Streams, workers: Sequence[WorkerStanding]) -> Iterator[PartitionStanding]:
    lags = lag_of(conf, streams)
    stops = {
        stop.partition: f"offset {stop.offset} of {stop.topic}/{stop.partition}" for stop in partitions.stopped(conf, streams)
    }
    owner = {number: worker.worker for worker in workers for number in worker.partitions}
    told = {part["partition"]: part for worker in workers for part in worker.says.get("partitions", ())}
    restoring = {int(number): left for worker in workers for number, left in worker.says.get("restoring", {}).items()}
    for number in range(streams.partitions):
        part = told.get(number, {})
        # At the end of a log may stand transaction markers, which nobody will ever handle: its worker knows.
        lag = 0 if part.get("caught_up") else lags.get(number)
        yield PartitionStanding(
            number, owner.get(number, ""), lag, stops.get(number, ""),
            part.get("timers"), part.get("overdue"), part.get("store_bytes"), restoring.get(number),
        )  # fmt: skip


def lag_of(conf: Mapping[str, Any], streams: Streams) -> dict[int, int]:
    """Give by partition how many records of its source topics are not handled; a partition without a position is left out."""
    parts = [TopicPartition(topic, number) for topic in streams.sources for number in range(streams.partitions)]
    client = kafka.admin(conf)  # held until the answers are there
    try:
        request = ConsumerGroupTopicPartitions(streams.app, parts)
        asked: Any = client.list_consumer_group_offsets([request], request_timeout=_ASK_S)[streams.app]
        ends = client.list_offsets(
            dict.fromkeys(parts, _LATEST), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ASK_S
        )
        committed = {(tp.topic, tp.partition): tp.offset for tp in asked.result(_ASK_S).topic_partitions}
        reached = {(tp.topic, tp.partition): answer.result(_ASK_S).offset for tp, answer in ends.items()}
    except (KafkaException, TimeoutError) as error:
        name = error.args[0].name() if isinstance(error, KafkaException) else "no answer"
        raise Unreachable(f"the group's positions cannot be asked: {name}", where=streams.app) from None
    found: dict[int, int] = {}
    for (topic, number), end in reached.items():
        position = committed.get((topic, number), -1)
        if position >= 0:
            found[number] = found.get(number, 0) + max(0, end - position)
    return found

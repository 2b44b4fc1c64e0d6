"""The worker's desk: what it answers over HTTP about itself and its customers.

Questions come in threads of the HTTP side. What concerns state is asked of the loop, which answers between two turns: a store is
one thread's at a time, and may close in a rebalance. So a question costs the loop microseconds, and only when somebody asks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from threading import Thread
from typing import Any, Final, TypeVar

from orchestrator import __version__
from orchestrator.engine.portrait import instant, portrait
from orchestrator.errors import OrchestratorError
from orchestrator.observe import metrics, tally
from orchestrator.observe.http import Answer, Request, Route
from orchestrator.observe.logs import customer_ref, logger
from orchestrator.stream.auditing import Reading, note_reveal
from orchestrator.stream.counting import Counting
from orchestrator.stream.partition import Partition
from orchestrator.stream.sampling import Sampling
from orchestrator.wire.partitioning import partition_for

log = logger(__name__)
T = TypeVar("T")

LIVE: Final = "/health/live"
READY: Final = "/health/ready"
STARTUP: Final = "/health/startup"
STATUS: Final = "/status"
INSPECT: Final = "/inspect"
REVEAL: Final = "/reveal"
OVERDUE: Final = "/overdue"
COUNT: Final = "/count"
ANSWER_S: Final = 5.0  # how long the loop may take to have a turn for a question
MOST_OVERDUE: Final = 100
NOTED_S: Final = 4.0  # how long brokers may take for the audit's record: the connection is closed after ten seconds
LONGEST: Final = 500  # letters of a reason that go into the audit


class Desk:
    """Knows the worker once that has begun; until then it is alive and not ready. `is_asked`: somebody may read the metrics."""

    def __init__(self, *, is_asked: bool = False) -> None:
        self._worker: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_asked = is_asked
        self._was_ready = False
        self._began = time.time()
        self._counting = Counting(lambda *of: self.ask(lambda: self._page(*of)))

    def attach(self, worker: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Answer for this worker from now on."""
        self._worker, self._loop = worker, loop
        if self._is_asked:
            sampling = Sampling(worker, self.ask)
            Thread(target=sampling.run, name="sampling", daemon=True).start()

    def routes(self) -> dict[str, Route]:
        """Give what is answered where. Health and metrics are for anybody who reaches the address."""
        return {
            LIVE: Route(lambda _: Answer({"status": "alive"})),
            READY: Route(self._ready),
            STARTUP: Route(self._startup),
            metrics.PATH: Route(metrics.page),
            STATUS: Route(self._status, "read"),
            OVERDUE: Route(self._overdue, "read"),
            COUNT: Route(self._count, "read", "POST"),
            INSPECT: Route(lambda request: self._inspect(request, reveal=False), "read", "POST"),
            REVEAL: Route(lambda request: self._inspect(request, reveal=True), "reveal", "POST"),
        }

    def ask(self, question: Callable[[], T]) -> T:
        """Have the loop answer between two turns. Blocks up to 5 s; raises TimeoutError where it has no turn for it."""
        if self._loop is None:
            raise TimeoutError

        async def answer() -> T:
            return question()

        # Named as what it is, because the loop may be closed: a coroutine that nobody awaits would warn.
        coroutine: Coroutine[Any, Any, T] = answer()
        try:
            asked = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise TimeoutError from None
        try:
            return asked.result(ANSWER_S)
        except concurrent.futures.TimeoutError:
            asked.cancel()
            raise TimeoutError from None

    # Health

    @property
    def _is_ready(self) -> bool:
        is_ready = self._worker is not None and bool(self._worker.is_ready)
        self._was_ready = self._was_ready or is_ready
        return is_ready

    def _ready(self, _: Request) -> Answer:
        if self._is_ready:
            return Answer({"status": "ready"})
        return Answer({"status": "not ready", "why": self._why_not()}, HTTPStatus.SERVICE_UNAVAILABLE)

    def _startup(self, _: Request) -> Answer:
        """Answer yes once all that was first assigned was open, and for ever after."""
        if self._is_ready or self._was_ready:
            return Answer({"status": "started"})
        return Answer({"status": "starting", "why": self._why_not()}, HTTPStatus.SERVICE_UNAVAILABLE)

    def _why_not(self) -> str:
        if self._worker is None:
            return "waiting for Kafka"
        left = restoring()
        return f"restoring: {sum(left.values()):,} changelog offsets to go" if left else "waiting for partitions"

    # State

    def _status(self, _: Request) -> Answer:
        if self._worker is None:
            return _busy("the worker has not begun yet")
        try:
            partitions = self.ask(lambda: [_told(each) for _, each in sorted(self._worker.partitions.items())])
        except TimeoutError:
            return _busy()
        config = self._worker.config
        journeys = sorted({(j.id, j.version) for j in config.topology.journeys})
        return Answer(
            {
                "worker": config.identity.id,
                "release": __version__,
                "program": config.program,
                "journeys": [{"journey": journey, "version": version} for journey, version in journeys],
                "ready": self._is_ready,
                "since": instant(int(self._began * 1000)),
                "partitions": partitions,
                "awaiting_registry": awaiting_registry(),
                "restoring": {str(partition): left for partition, left in restoring().items()},
                "incidents": {reason: count for (reason,), count in tally.totals("incidents").items()},
                "counts": {each.name: sum(tally.totals(each.name).values()) for each in tally.DECISIONS},
            }
        )

    def _overdue(self, _: Request) -> Answer:
        """List whose timers should have fired, the longest overdue first, under the hashes that the log has, too."""
        try:
            found = self.ask(lambda: {number: each.overdue(MOST_OVERDUE) for number, each in self._worker.partitions.items()})
        except TimeoutError:
            return _busy()
        listed = [
            {"partition": number, "customer": customer_ref(customer.decode()), "due": instant(due)}
            for number, entries in found.items()
            for due, customer in entries
        ]
        return Answer({"overdue": sorted(listed, key=lambda each: str(each["due"]))[:MOST_OVERDUE]})

    def _count(self, request: Request) -> Answer:
        """Count where the instances of a partition stand, as far as one page goes."""
        partition, after = request.body.get("partition"), request.body.get("after", "")
        if not isinstance(partition, int) or not isinstance(after, str):
            return Answer({"error": 'name the partition: {"partition": 0}'}, HTTPStatus.BAD_REQUEST)
        try:
            page = self._counting.page(partition, after)
        except TimeoutError:
            return _busy()
        if page is None:
            return Answer({"error": "another worker has the partition, or the page is forgotten"}, HTTPStatus.MISDIRECTED_REQUEST)
        return Answer({"worker": self._worker.config.identity.id, "counts": page.counts, "after": page.after})

    def _page(self, number: int, after: bytes, limit: int) -> list[tuple[bytes, bytes]] | None:
        partition = None if self._worker is None else self._worker.partitions.get(number)
        return None if partition is None else partition.store.page(after, limit)

    def _inspect(self, request: Request, *, reveal: bool) -> Answer:
        customer = request.body.get("customer")
        if not isinstance(customer, str) or not customer:
            return Answer({"error": 'name the customer: {"customer": "..."}'}, HTTPStatus.BAD_REQUEST)
        try:
            is_here, stored = self.ask(lambda: self._stored(customer))
        except TimeoutError:
            return _busy()
        if not is_here:
            return Answer({"error": "another worker has this customer's partition"}, HTTPStatus.MISDIRECTED_REQUEST)
        if reveal and not self._is_noted(request, customer):
            return Answer({"error": "it could not be noted who asks, so it is not shown"}, HTTPStatus.SERVICE_UNAVAILABLE)
        document = None if stored is None else portrait(stored, reveal=reveal)
        return Answer({"worker": self._worker.config.identity.id, "document": document})

    def _is_noted(self, request: Request, customer: str) -> bool:
        """Write to the audit topic, and to the log, who has this customer's values shown. Blocks this thread alone."""
        caller = request.caller.name if request.caller is not None else ""
        config = self._worker.config
        reading = Reading(customer, f"POST {REVEAL}", str(request.body.get("reason") or "")[:LONGEST], caller or "nobody")
        try:
            note_reveal(config.kafka, config.topology.streams, reading, timeout_s=NOTED_S)
        except OrchestratorError as error:
            log.error("reveal_not_noted", caller=caller, error=type(error).__name__)
            return False
        log.warning("customer_revealed", caller=caller, customer=customer_ref(customer))
        return True

    def _stored(self, customer: str) -> tuple[bool, bytes | None]:
        if self._worker is None:
            raise TimeoutError
        number = partition_for(customer.encode(), self._worker.config.topology.streams.partitions)
        partition = self._worker.partitions.get(number)
        if partition is None:
            return False, None
        (stored,) = partition.store.get_many([customer.encode()])
        return True, stored


def restoring() -> dict[int, int]:
    """Give the changelog offsets that partitions have yet to read."""
    (family,) = metrics.RESTORE_REMAINING.collect()
    return {int(sample.labels["partition"]): int(sample.value) for sample in family.samples if sample.value > 0}


def awaiting_registry() -> int:
    """Give how many partitions stand still until the schema registry answers."""
    (family,) = metrics.AWAITING_REGISTRY.collect()
    return int(family.samples[0].value)


def _told(partition: Partition) -> Mapping[str, Any]:
    position = partition.store.position
    return {
        "partition": partition.number,
        "cycle": position.cycle,
        "newest": instant(partition.clock.newest),
        "caught_up": partition.clock.caught_up,
        "stopped": partition.breaker.is_open,
        "next": dict(position.sources),
        "timer_next": instant(partition.calendar.earliest),
        "timers": _sampled(metrics.TIMERS_PENDING, partition.number),
        "overdue": _sampled(metrics.OVERDUE, partition.number),
        "store_bytes": partition.store.size_bytes,
    }


def _sampled(gauge: Any, partition: int) -> int | None:
    value = metrics.REGISTRY.get_sample_value(gauge._name, {"partition": str(partition)})
    return None if value is None else int(value)


def _busy(why: str = "the worker is busy with a long turn; ask again") -> Answer:
    return Answer({"error": why}, HTTPStatus.SERVICE_UNAVAILABLE)

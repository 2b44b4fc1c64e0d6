"""The demo from start to end: broker, records, worker, channel service, and the wait until everything is done.

All records are produced before the worker starts. Their times are decades old, and a worker that had caught up with the producer
would go by the wall clock (rule T4): every wait would be over at once.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console

from orchestrator.errors import RunFailed, UsageError
from orchestrator.language.model import Topology
from orchestrator.names import Kind
from orchestrator.operate.demo import cohort, dataset, live, story
from orchestrator.operate.demo.advice import EVENTS_FILE, commands, program_name
from orchestrator.operate.demo.broken import Broken, broken
from orchestrator.operate.demo.events import write_lines
from orchestrator.operate.demo.feed import SETTINGS, feed, interleaved
from orchestrator.operate.demo.processes import Child, Interrupts, stop_all
from orchestrator.operate.demo.progress import Snapshot, View, view_on
from orchestrator.operate.demo.summary import Result, render
from orchestrator.operate.demo.tally import Tally
from orchestrator.operate.demo.watch import Kept, Topics, Watcher
from orchestrator.wire.lines import EventLine

STUCK_S: Final = 30.0
_LOOK_S: Final = 0.1
# With no news for so long, nobody waits for a timer that is due (journeys may rest), nor for a call's next attempt.
_QUIET_S: Final = 2.0
_RETRY_S: Final = 15.0
LIVE_FILE: Final = "live.jsonl"
_OWN_FILES: Final = frozenset({EVENTS_FILE, LIVE_FILE, "actions.jsonl", "decisions.jsonl", "worker.log", "channels.log"})


class Options(Struct, frozen=True):
    """What the user asked for. `keep` is a directory for events, decisions, actions and logs; None keeps nothing."""

    topologies: Path
    keep: Path | None = None


def run(options: Options, out: Console, progress: Console) -> None:
    """Run the demo and print the summary on `out`. Blocks for 10 to 60 s.

    Raises KeyboardInterrupt after a signal, RunFailed when a process ends or nothing moves for 30 s, InvalidTopology,
    UsageError for a directory that cannot be used; by then every process and every temporary file is gone.
    """
    began = time.monotonic()
    with Interrupts() as interrupts, ExitStack() as stack, view_on(progress) as view:
        demo = _Demo(options, interrupts, view, stack)
        demo.prepare()
        demo.produce()
        demo.start_services()
        demo.wait()
        demo.go_live()
        seconds = time.monotonic() - began
        demo.show("stopping the processes")
        stack.close()
    render(demo.result(seconds), out)


class _Demo:
    """One run, step by step. Everything that must be undone is on the stack."""

    def __init__(self, options: Options, interrupts: Interrupts, view: View, stack: ExitStack) -> None:
        self._options = options
        self._interrupts = interrupts
        self._view = view
        self._stack = stack
        self._produced = 0
        self._live: list[EventLine] = []
        self._events_per_s: float | None = None
        self._children: list[Child] = []
        self._events: list[EventLine] = []
        self._broken: list[Broken] = []
        self._tally = Tally(lambda customer: customer.startswith("u"))

    def show(self, phase: str) -> None:
        """Show how far the run is. Raises KeyboardInterrupt if somebody asked to stop."""
        self._interrupts.check()
        tally = self._tally
        self._view.show(
            Snapshot(
                phase=phase,
                total=len(self._events) + len(self._broken) + len(self._live),
                produced=self._produced,
                handled=self._handled if self._children else 0,
                events_per_s=self._pace,
                entries=sum(tally.entries.values()),
                actions=tally.emitted,
                reported=sum(tally.outcomes.values()),
                incidents=sum(tally.incidents.values()),
                waiting=tally.active,
            )
        )

    def prepare(self) -> None:
        """Read the topology, make the events, start the broker with its topics."""
        from orchestrator.operate.embedded import EmbeddedBroker
        from orchestrator.operate.topics import plan
        from orchestrator.workspace import Workspace

        self.show("reading journeys, unpacking purchases")
        topology = Workspace.load(self._options.topologies).topology
        self._streams, self._topics = topology.streams, _topics(topology)
        self._directory = self._stack.enter_context(_directory(self._options.keep))
        # The broker keeps nothing, so neither must the stores: the next run begins anew.
        self._state = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrator-state-"))
        self._events = [*dataset.purchases(), *cohort.cohort()]
        self._kept: Kept | None = None
        if self._options.keep:
            write_lines(self._events, self._directory / EVENTS_FILE)
            self._kept = self._stack.enter_context(closing(Kept(self._directory)))
        self.show("starting a broker")
        topics = {spec.name: spec.partitions for spec in plan(topology.streams, topology.policy)}
        self._bootstrap = self._stack.enter_context(EmbeddedBroker(topics)).bootstrap

    def produce(self) -> None:
        """Put all records into Kafka."""
        from orchestrator.operate.produce import Encoder, EventProducer
        from orchestrator.wire.schemas import load_schemas

        schemas = load_schemas()

        def encode(event: EventLine) -> bytes:
            schema = schemas.get(event.event)
            if schema is None:
                raise LookupError(f"no shipped schema for {event.event}")
            return schema.encode(event.customer, event.id, event.at, event.data)

        def progress(delivered: int) -> None:
            self._produced = delivered
            self.show("producing events")

        self._broken = broken(encode)
        self._encoder = Encoder(schemas, self._streams)
        producer = EventProducer({"bootstrap.servers": self._bootstrap, **SETTINGS}, self._encoder)
        feed(producer, self._topics.events, interleaved(self._events, self._broken), progress)

    def start_services(self) -> None:
        """Start the worker and the channel service, and begin to watch what they write."""
        self._interrupts.check()
        broker = ["--bootstrap-server", self._bootstrap]
        actions = [argument for topic in self._topics.actions for argument in ("--actions", topic)]
        worker = ["-m", "orchestrator", "worker", *broker, "--topologies", str(self._options.topologies), "--worker-id", "demo"]
        worker += ["--set", "log_format=text"]
        channels = ["-m", "orchestrator.operate.demo.channels", *broker, "--outcomes", self._topics.outcomes, *actions]
        self._watcher = Watcher(self._bootstrap, self._topics, self._tally, self._kept)
        self._stack.callback(stop_all, self._children)
        self._stack.callback(self._watcher.stop)
        self._children.append(Child("worker", [*worker, "--state-dir", self._state], self._directory / "worker.log"))
        self._children.append(Child("channel service", channels, self._directory / "channels.log"))
        self._watcher.start()

    def wait(self) -> None:
        """Wait until every event is handled, every wait is over, every action reported on, and every report handled."""
        moved, seen = time.monotonic(), self._mark()
        while True:
            self.show(self._phase())
            for child in self._children:
                child.check()
            if self._watcher.failure is not None:
                raise self._watcher.failure
            now, mark = time.monotonic(), self._mark()
            if mark != seen:
                seen, moved = mark, now
            if self._is_answered() and (self._tally.active == 0 or now - moved > self._patience_s):
                return
            if now - moved > STUCK_S:
                raise self._stuck()
            time.sleep(_LOOK_S)

    def go_live(self) -> None:
        """Let some payments be refused now, and wait until the case desk has answered for each."""
        from orchestrator.operate.produce import EventProducer

        self._events_per_s = self._watcher.pace.events_per_s
        self._live = live.refusals(time.time_ns() // 1_000_000)
        if self._options.keep:
            write_lines(self._live, self._directory / LIVE_FILE)
        before = self._produced

        def progress(delivered: int) -> None:
            self._produced = before + delivered
            self.show("all that is past is handled; now payments fail for the fourth time")

        feed(EventProducer({"bootstrap.servers": self._bootstrap}, self._encoder), self._topics.events, self._live, progress)
        self.wait()

    @property
    def _pace(self) -> float | None:
        """Events a second, of the past only: in the present they come as they come."""
        return self._events_per_s or (self._watcher.pace.events_per_s if self._children else None)

    @property
    def _handled(self) -> int:
        return self._tally.handled(self._topics.events)

    def _phase(self) -> str:
        if self._tally.cycles == 0:
            return "starting a worker"
        if self._live:
            return "live: the case desk is asked, and asked again where it was busy"
        return "handling events" if self._handled < self._produced else "all events handled; the last timers and reports"

    @property
    def _patience_s(self) -> float:
        """How long no news means that nothing comes any more: a call may be between two attempts."""
        return _QUIET_S if self._tally.calls_open == 0 else _RETRY_S

    def _mark(self) -> tuple[int, int, int, int]:
        """Something that changes whenever the run gets on; cycles and decisions do not count, as a worker may repeat itself."""
        tally = self._tally
        return self._handled, tally.handled(self._topics.outcomes), tally.emitted, sum(tally.outcomes.values())

    def _is_answered(self) -> bool:
        """Whether all events are handled, all actions reported on, and all reports handled."""
        tally, reported = self._tally, sum(self._watcher.outcome_ends.values())
        emitted = tally.decisions[Kind.ACTION_EMITTED]
        return self._handled >= self._produced and emitted == tally.emitted == reported == tally.handled(self._topics.outcomes)

    def _stuck(self) -> RunFailed:
        tally = self._tally
        facts = {
            "events not handled": self._produced - self._handled,
            "instances waiting": tally.active,
            "actions decided": tally.decisions[Kind.ACTION_EMITTED],
            "actions seen": tally.emitted,
            "reports seen": sum(tally.outcomes.values()),
            "reports handled": tally.handled(self._topics.outcomes),
        }
        told = ", ".join(f"{what} {count:,}" for what, count in facts.items())
        return RunFailed(
            f"nothing moved for {STUCK_S:.0f} s: {told}; the worker's last lines:\n{self._children[0].tail()}",
            next_step="run the demo again with --keep DIR and look at worker.log there",
        )

    def result(self, seconds: float) -> Result:
        """Give what the summary shows."""
        customer = story.choose(self._tally)
        return Result(
            events=len(self._events) + len(self._live),
            broken=len(self._broken),
            seconds=seconds,
            events_per_s=self._pace,
            tally=self._tally,
            story=story.tell(customer, self._events, self._tally) if customer else None,
            commands=commands(program_name(), self._options.topologies, self._options.keep, customer),
        )


def _topics(topology: Topology) -> Topics:
    streams, policy = topology.streams, topology.policy
    return Topics(
        events=streams.events[0].topic,
        actions=tuple(sorted({channel.topic for channel in policy.channels.values()})),
        outcomes=streams.outcomes,
        transitions=streams.transitions,
        incidents=streams.incidents,
        journal=streams.journal,
        partitions=streams.partitions,
    )


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """Give the directory for logs and kept files: the user's own, or one that goes away. Raises UsageError."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="orchestrator-demo-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        foreign = sorted({path.name for path in keep.iterdir()} - _OWN_FILES)
    except OSError as error:
        raise UsageError(f"the directory cannot be used: {error.strerror}", where=str(keep), next_step="name another") from None
    if foreign:
        raise UsageError(f"it holds other files ({foreign[0]})", where=str(keep), next_step="give --keep a new directory")
    yield keep

"""Which program a worker runs: that of its folder until something is published, from then on what the definitions topic says.

A worker takes a new revision between two cycles, for all its partitions at once. Each then closes a cycle, with or without
records, whose journal record names the new program: that record's offsets are where the version became live there (rule V4).
"""

from __future__ import annotations

from fractions import Fraction

from msgspec.structs import replace

from orchestrator.engine.engine import Engine
from orchestrator.programs import check_wiring, load_program
from orchestrator.stream.config import WorkerConfig
from orchestrator.stream.outbox import Outbox
from orchestrator.stream.partition import Parts
from orchestrator.stream.quarantine import Quarantine
from orchestrator.stream.trial import Brief, schemas_of
from orchestrator.wire.gate import Gate
from orchestrator.wire.programs import ProgramBoard

Ready = tuple[WorkerConfig, Parts]  # a program that a worker can run


def parts_of(config: WorkerConfig, quarantine: Quarantine) -> Parts:
    """Compile a program for all partitions of a worker. Takes a while."""
    streams = config.topology.streams
    engine = Engine(config.topology, share=Fraction(1, streams.partitions))
    gate = Gate(config.schemas, streams, engine.hears, config.limits, config.registry, engine.reads)
    return Parts(
        engine, gate, config.wall, config.identity.id, config.program, streams.partitions, quarantine.deadly, config.breaker,
        config.paused, config.freezes,
    )  # fmt: skip


def outbox_of(config: WorkerConfig) -> Outbox:
    """Give where a program's cycles put what they say."""
    return Outbox(config.topology, config.wall, config.header_styles, config.tracer)


def brief_of(config: WorkerConfig) -> Brief:
    """Give what trials must know of a program."""
    return Brief(config.topology, schemas_of(config.schemas), config.limits, config.topology.streams.sources)


class Versions:
    """Makes of the latest revision what the worker needs. Blocks for as long as compiling takes; one thread at a time."""

    def __init__(self, config: WorkerConfig, board: ProgramBoard, quarantine: Quarantine) -> None:
        """`board` is brought up to date by others; `config` is what the worker was started with."""
        self._config = config
        self._board = board
        self._quarantine = quarantine
        self._taken = 0
        self._refused = 0

    def newest(self) -> Ready | None:
        """Give the latest revision, ready to run; None where it was given before, or nothing was ever published.

        Raises InvalidTopology where it does not fit this worker's event schemas, NotPublishable where not its topics or version.
        """
        if self._board.newest <= self._taken:
            return None
        self._refused = self._board.newest
        revision = self._board.latest
        assert revision is not None
        program = load_program(self._board, revision, self._config.catalog)
        check_wiring(program.topology.streams, self._config.topology.streams)
        config = replace(
            self._config, topology=program.topology, program=program.name, paused=program.paused, freezes=program.freezes
        )
        parts = parts_of(config, self._quarantine)
        self._taken = revision.number
        return config, parts

    @property
    def is_behind(self) -> bool:
        """Whether there is a revision that was neither taken nor found not to fit."""
        return self._board.newest > max(self._taken, self._refused)

    @property
    def is_published(self) -> bool:
        """Whether the worker runs what was published, and no longer its folder."""
        return self._taken > 0

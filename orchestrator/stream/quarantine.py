"""Finding the record that kills the process: what several processes died at is tried in another one first.

    deaths at a block ──► third: its records are handled in a process of its own, one by one (`trial`)
                              │ it dies, and once more at the same record: that record is refused, reason `crashed_worker`
                              └ it lives: the records are handled like any others

Nothing is written before the worker handles the block itself: the refusal becomes an incident in the cycle's own transaction.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, Final

from orchestrator.errors import RunFailed
from orchestrator.observe.logs import logger
from orchestrator.stream.attempts import Attempts
from orchestrator.stream.blocks import Block
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.partition import Partition
from orchestrator.stream.registry import Registry
from orchestrator.stream.trial import Brief, SuspectRecord, Suspects

log = logger(__name__)

CONDEMNED_AT: Final = 2  # so many trials must die at a record: one may have been killed for another reason
SILENCE_S: Final = 90.0  # a trial that says nothing for so long hangs
_ASK_S: Final = 0.5


class Quarantine:
    """Decides which records of suspected blocks must not be handled. Blocks while it tries them; one thread at a time."""

    def __init__(
        self, attempts: Attempts, brief: Brief, is_stopped: Callable[[], bool], registry: Registry | None = None
    ) -> None:
        """`brief` has what all trials of this worker share; it changes with the program."""
        self._registry = registry
        self.deadly: set[tuple[str, int, int]] = set()  # topic, partition and offset of records that must not be handled
        self.brief = brief
        self._attempts = attempts
        self._is_stopped = is_stopped
        self._tried: dict[tuple[str, int], int] = {}  # offset up to which a partition's suspects were tried

    def awaits(self, block: Block) -> bool:
        """Tell whether a block must be tried before the worker handles it."""
        if not self._attempts.suspicions or not block:
            return False
        first, after = block[0].offset(), block[-1].offset() + 1
        if self._tried.get((block.topic, block.partition), -1) >= after:
            return False
        return self._attempts.suspected(block.topic, block.partition, first, after)

    def examine(self, block: Block, partition: Partition) -> None:
        """Try a block's records and note those that are deadly. The partition must stand where the block begins.

        Raises Interrupted when the worker stops, RunFailed where no trial can be started.
        """
        records = [SuspectRecord.of(message) for message in block]
        writers = {} if self._registry is None else self._registry.writers(block)
        log.warning("suspects_tried", topic=block.topic, partition=block.partition, first=records[0].offset, records=len(records))
        deaths = Counter[int]()
        while True:
            died_at = self._try(Suspects(records, partition.number, partition.clock.newest, self.deadly, writers), partition)
            if died_at is None:
                break
            deaths[died_at] += 1
            if deaths[died_at] == CONDEMNED_AT:
                offset = records[died_at].offset
                self.deadly.add((block.topic, block.partition, offset))
                log.error("record_quarantined", topic=block.topic, partition=block.partition, offset=offset)
        self._tried[block.topic, block.partition] = records[-1].offset + 1

    def _try(self, suspects: Suspects, partition: Partition) -> int | None:
        """Give the index of the record at which a trial died, None where it lived."""
        ours, theirs = Pipe()
        child = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.stream.trial", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=_environment(os.environ),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,  # a traceback may show data
        )  # fmt: skip
        theirs.close()
        try:
            return self._attend(ours, suspects, partition)
        finally:
            ours.close()
            child.kill()
            child.wait()

    def _attend(self, pipe: Connection, suspects: Suspects, partition: Partition) -> int | None:
        """Answer what a trial asks until it ends."""
        at: int | None = None
        try:
            pipe.send(self.brief)
            pipe.send(suspects)
            while True:
                told, what = self._hear(pipe)
                if told == "documents":
                    pipe.send(partition.documents(what))
                elif told == "begins":
                    at = what
                elif told == "lived":
                    return None
        except (EOFError, OSError, TimeoutError) as error:
            if at is None:
                raise RunFailed(
                    "the process that tries suspect records did not start",
                    next_step="see whether this host lets the worker start processes; then start the worker again",
                ) from error
            return at

    def _hear(self, pipe: Connection) -> Any:
        deadline = monotonic() + SILENCE_S
        while not pipe.poll(_ASK_S):
            if self._is_stopped():
                raise Interrupted
            if monotonic() > deadline:
                raise TimeoutError
        return pipe.recv()


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """What kills the worker on purpose must not kill a trial: it would blame the record."""
    return {name: value for name, value in own.items() if name != "ORCHESTRATOR_FAILPOINT"}

"""The workers of a run: started, killed, started again as a supervisor would, and watched for an end that nothing explains."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orchestrator.errors import WorkerFenced
from orchestrator.stream.failpoints import VARIABLE
from tests.contract.stage import Stage, WorkerProcess
from tests.faults.schedule import SESSION_TIMEOUT_S, TRANSACTION_TIMEOUT_S

STOP_LIMIT_S: Final = 30.0
SETTINGS: Final = (
    f"kafka.session.timeout.ms={SESSION_TIMEOUT_S * 1000:.0f}",
    f"kafka.heartbeat.interval.ms={SESSION_TIMEOUT_S * 250:.0f}",
    f"kafka.transaction.timeout.ms={TRANSACTION_TIMEOUT_S * 1000:.0f}",
)
_ENDED_BY_A_FAILPOINT: Final = "failpoint_reached"


class Fleet:
    """Workers by number, from 0. Their names and state directories may change, their numbers do not."""

    def __init__(self, stage: Stage, workers: int, settings: Iterable[str] = SETTINGS) -> None:
        self.ends = Counter[str]()  # why workers ended by themselves and were started again
        self.troubles: list[str] = []  # ends that nothing explains
        self._stage = stage
        self._settings = [word for setting in settings for word in ("--set", setting)]
        self._names = [f"w{number + 1}" for number in range(workers)]
        self._used = {*self._names}  # every name whose state directory may exist
        self._running: dict[int, WorkerProcess] = {}
        self._twins: list[WorkerProcess] = []
        for number in range(workers):
            self.start(number)

    def __len__(self) -> int:
        return len(self._names)

    def start(self, number: int, armed: str = "") -> WorkerProcess:
        """Start a worker; `armed` names failpoints."""
        environment = {VARIABLE: armed} if armed else {}
        self._running[number] = self._stage.worker(self._names[number], *self._settings, **environment)
        return self._running[number]

    def process(self, number: int) -> WorkerProcess:
        return self._running[number]

    def rename(self, number: int) -> None:
        """Give a worker that is down a name and a state directory that it never had."""
        self._names[number] = f"w{number + 1}-{len(self._used)}"
        self._used.add(self._names[number])

    def kill(self, number: int) -> None:
        """SIGKILL."""
        process = self._running.pop(number, None)
        if process is not None and not self._has_ended(process):
            process.kill()

    def end(self, number: int) -> None:
        """SIGTERM. A worker that is not gone in 30 s, or not with 0, is a trouble; one that had ended before is not."""
        process = self._running.pop(number, None)
        if process is None or self._has_ended(process):
            return
        self._end(process)

    def _end(self, process: WorkerProcess) -> None:
        process.send(signal.SIGTERM)
        self._await_end(process, time.monotonic() + STOP_LIMIT_S)

    def _await_end(self, process: WorkerProcess, deadline: float) -> None:
        try:
            status = process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.troubles.append(f"{process.log.name}: still there {STOP_LIMIT_S:.0f} s after SIGTERM:\n{process.tail()}")
            process.kill()
            return
        if status != 0:
            self._note_end(process)

    def forget_state(self, number: int) -> None:
        """Delete the state directory of a worker that is down; its name, which is given to it, stays."""
        shutil.rmtree(self._stage.state_of(self._names[number]), ignore_errors=True)

    def start_twin(self, number: int) -> None:
        """Start a second worker of the same name in a state directory of its own: one of the two must lose."""
        folder = f"{self._names[number]}-twin{len(self._used)}"
        self._used.add(folder)
        self._twins.append(self._stage.worker(folder, *self._settings, "--worker-id", self._names[number]))

    def end_twins(self) -> None:
        """SIGTERM to those that are left of them."""
        for twin in self._twins:
            if not self._has_ended(twin):
                self._end(twin)
        self._twins.clear()

    def tend(self) -> None:
        """Start again whoever ended, as a supervisor would."""
        for number, process in tuple(self._running.items()):
            if self._has_ended(process):
                self.start(number)
        for number in range(len(self)):
            if number not in self._running:
                self.start(number)

    def _has_ended(self, process: WorkerProcess) -> bool:
        if process.exit_code is None:
            return False
        self._note_end(process)
        return True

    def _note_end(self, process: WorkerProcess) -> None:
        said = process.tail()
        if _ENDED_BY_A_FAILPOINT in process.log.read_text(encoding="utf-8", errors="replace"):
            self.ends["failpoint"] += 1
        elif WorkerFenced.code in said:
            self.ends["fenced"] += 1
        else:
            self.troubles.append(f"{process.log.name}: ended with {process.exit_code}:\n{said}")

    def end_all(self) -> None:
        """SIGTERM to all at once; together they have 30 s."""
        self.end_twins()
        deadline = time.monotonic() + STOP_LIMIT_S
        ending = [process for process in self._running.values() if not self._has_ended(process)]
        self._running.clear()
        for process in ending:
            process.send(signal.SIGTERM)
        for process in ending:
            self._await_end(process, deadline)

    @property
    def state_dirs(self) -> list[Path]:
        """Every state directory that some worker left behind."""
        return [path for name in sorted(self._used) if (path := self._stage.state_of(name)).exists()]

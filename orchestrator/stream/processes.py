"""Several processes as one worker: each a member of the group with its own partitions, begun, watched and ended together.

Python computes on one core at a time, and partitions share nothing: so it takes processes to use a machine. One that ends
unasked ends all, as a thread would; whoever started the worker starts it again, and it goes on from the last commits.

    processes.run(processes.shares(settings, worker_id), command)
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import FrameType
from typing import Final

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.names import ExitCode
from orchestrator.observe.logs import logger
from orchestrator.settings import Settings
from orchestrator.stream.ending import SIGNALS, STOP_TIMEOUT_S

log = logger(__name__)

_LONGER_S: Final = 1.5  # than each process gives itself, so that it can say what it was waiting for
_ADDRESSES: Final = ("http_address", "metrics_address", "advertised")


class Share(Struct, frozen=True):
    """What one of the processes is told beside what all are: its number, and the settings that are its own, as text."""

    number: int
    settings: dict[str, str]


def shares(settings: Settings, worker_id: str) -> list[Share]:
    """Give each process a state directory, an id, and ports: the named ones for the first, the next ones for the next.

    Raises UsageError for an address without a port.
    """
    return [
        Share(
            number,
            {
                "processes": "1",
                "state_dir": str(settings.state_dir / f"process-{number}"),
                "worker_id": f"{worker_id}-{number}",
                **{name: _moved(name, address, number) for name in _ADDRESSES if (address := getattr(settings, name))},
            },
        )
        for number in range(settings.processes)
    ]


def _moved(name: str, address: str, by: int) -> str:
    host, colon, port = address.rpartition(":")
    if not port.isdecimal():
        raise UsageError("it is not host:port", where=f"{name}={address}", next_step="name a port, such as 9400")
    return f"{host}{colon}{int(port) + by if int(port) else 0}"  # 0 is any free one, for each


def warn_of_idle(processes: int, partitions: int) -> None:
    """Say it where some will have nothing to do, if no others of the group leave them any."""
    if processes > partitions:
        log.warning("worker_processes_idle", processes=processes, partitions=partitions, next=f"{partitions} are enough")


def run(given: Sequence[Share], command: Callable[[Share], Sequence[str]]) -> int:
    """Run a process for each share until SIGTERM, SIGINT or the end of one; give the exit status. Blocks.

    Terminals send Ctrl-C to all processes of a session, so each has a session of its own, and is told by this one alone. Each has
    the end of a pipe as its standard input, see `ending.leave_with_parent`: a kill -9 of this process ends all, too.
    """
    group, lifeline = _Group(), os.pipe()
    for number in SIGNALS:
        signal.signal(number, group.when_told)
    for share in given:
        group.start(share, command(share), lifeline[0])
    os.close(lifeline[0])
    return group.watch()


class _Group:
    """The processes, each with a thread that waits for its end."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._untold: list[subprocess.Popen[bytes]] = []
        self._ended: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self._is_told = self._is_complete = False

    def start(self, share: Share, command: Sequence[str], lifeline: int) -> None:
        process = subprocess.Popen(command, stdin=lifeline, start_new_session=True)
        self._processes.append(process)
        self._untold.append(process)
        threading.Thread(target=lambda: self._ended.put((share.number, process.wait())), daemon=True).start()

    def when_told(self, number: int, frame: FrameType | None) -> None:
        """Tell all to end in order; at a second signal leave at once, which ends them at once."""
        if self._is_told:
            os._exit(ExitCode.INTERRUPTED)
        self._is_told = True
        if self._is_complete:
            self._tell()

    def watch(self) -> int:
        """Wait until all have ended; give the first status that is not 0."""
        self._is_complete = True
        if self._is_told:
            self._tell()
        found = 0
        for _ in self._processes:
            number, status = self._ended.get()
            found = found or (status if status >= 0 else int(ExitCode.NO))
            if self._untold:
                log.error("worker_process_ended", process=number, exit=status, next="the others end, too; start the worker again")
                self._tell()
        return found

    def _tell(self) -> None:
        """Tell those that are not told yet."""
        while self._untold:
            self._untold.pop().terminate()
        late = threading.Timer(STOP_TIMEOUT_S + _LONGER_S, self._kill)
        late.daemon = True
        late.start()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()

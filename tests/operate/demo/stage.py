"""The demo as a process under test: its output as it comes, and everything that it started, by a mark in their environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import IO, Final

_MARK: Final = "DEMO_UNDER_TEST"
_DEADLINE_S: Final = 240.0
_POLL_S: Final = 0.02


def _read(stream: IO[str], into: list[str]) -> None:
    with stream:
        for line in stream:
            into.append(line)


class Stage:
    """One run of `orchestrator demo` in a session and a temporary directory of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.temporary = directory / "temporary"
        self.temporary.mkdir()
        self._mark = uuid.uuid4().hex
        self._progress: list[str] = []
        self._output: list[str] = []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "demo", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=directory, start_new_session=True,
            env={**environment, _MARK: self._mark, "TMPDIR": str(self.temporary), "COLUMNS": "80"},
        )  # fmt: skip
        pairs = ((self._process.stderr, self._progress), (self._process.stdout, self._output))
        self._readers = [threading.Thread(target=_read, args=pair, daemon=True) for pair in pairs]
        for reader in self._readers:
            reader.start()

    @property
    def progress(self) -> str:
        """What came on standard error so far."""
        return "".join(self._progress)

    def wait_for(self, phase: str) -> None:
        """Wait until the progress tells of a phase."""
        deadline = time.monotonic() + _DEADLINE_S
        while phase not in self.progress:
            assert self._process.poll() is None, f"ended before {phase!r}:\n{self.progress}"
            assert time.monotonic() < deadline, f"no {phase!r} after {_DEADLINE_S} s:\n{self.progress}"
            time.sleep(_POLL_S)

    def interrupt(self) -> None:
        """What Ctrl-C in a terminal does: SIGINT to the process group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Wait for the end; gives exit status and standard output."""
        self._process.wait(timeout=_DEADLINE_S)
        for reader in self._readers:
            reader.join(timeout=5)
        return self._process.returncode, "".join(self._output)

    def members(self) -> dict[int, str]:
        """Every living process of this run: pid and command line."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    environment = (folder / "environ").read_bytes()
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue  # it ended meanwhile, or is somebody else's
                if f"{_MARK}={self._mark}".encode() in environment:
                    found[int(folder.name)] = command
        return found

    def leftovers(self) -> list[str]:
        """Processes and temporary files that are still there."""
        return [*self.members().values(), *(path.name for path in self.temporary.iterdir())]

    def clean_up(self) -> None:
        """Kill what a failed test left."""
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)

"""The demo's helpers as processes of their own, and Ctrl-C as a flag: whatever happens, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from orchestrator.errors import RunFailed

TAIL_LINES: Final = 12
_STOP_S: Final = 10.0
_SETTINGS: Final = "ORCHESTRATOR_"
_DEBUG: Final = "ORCHESTRATOR_DEBUG"


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into a flag, so that no exception strikes between starting a process and noting it.

    A context manager for the main thread. Within it, `check` raises KeyboardInterrupt once a signal has come; the clean-up that
    follows is not disturbed by further ones.
    """

    SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._came = False
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Raise KeyboardInterrupt if somebody asked to stop."""
        if self._came:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True

    def __enter__(self) -> Self:
        """Listen."""
        # What is ignored, as by nohup, stays ignored.
        heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Child:
    """A process with a log file. Started at once, in a session of its own, so that Ctrl-C reaches only its parent."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Run `python <arguments>`; both its outputs go to `log`. The user's ORCHESTRATOR_ settings are not for it."""
        self.name = name
        self._log = log
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_SETTINGS) or key == _DEBUG}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=kept,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise RunFailed, with the last lines of the log, if the process has ended."""
        status = self._process.poll()
        if status is not None:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
            raise RunFailed(
                f"the {self.name} {how}; its last lines:\n{self.tail()}", next_step="run the demo again with --keep DIR"
            )

    def tail(self) -> str:
        """Give the last lines of the log, indented."""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"

    def stop(self) -> None:
        """Ask it to end, insist after 10 s; returns when it is gone. Safe to call twice."""
        self.ask_to_end()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask_to_end(self) -> None:
        """Send SIGTERM; does not wait."""
        if self._process.poll() is None:
            self._process.terminate()


def stop_all(children: Sequence[Child]) -> None:
    """Ask all to end at once, then wait for each."""
    for child in children:
        child.ask_to_end()
    for child in children:
        child.stop()

"""How a worker process ends: at SIGTERM in order and in bounded time, at a second one at once, and never by kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

from orchestrator.names import ExitCode
from orchestrator.observe.logs import logger

log = logger(__name__)

# Faust can hang while stopping, and so can a client whose brokers are away. Kubernetes kills after 30 s.
STOP_TIMEOUT_S: Final = 27.0
_LAST_WORDS_S: Final = 2.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_repeats_mean_nothing: Final = threading.Event()


def end_now(code: ExitCode, event: str, **fields: Any) -> None:
    """Say why and end the process. What is not committed is not lost, only done again by the next start."""
    _timer(_LAST_WORDS_S, lambda: os._exit(code))  # the lock of the logs may be held by what is stuck
    log.error(event, exit=int(code), next="start it again; it goes on from the last commit", **fields)
    os._exit(code)


def bound_the_stop(loop: asyncio.AbstractEventLoop | None = None) -> threading.Timer:
    """End the process where stopping takes too long, and say what the loop's tasks wait for; give what calls that off."""

    def end() -> None:
        tasks: list[str] = []
        with suppress(Exception):  # the loop may still turn meanwhile; whatever comes of it, the process has to end
            tasks = [] if loop is None else waiting(loop)
        end_now(ExitCode.NO, "stop_timed_out", seconds=STOP_TIMEOUT_S, tasks=tasks)

    return _timer(STOP_TIMEOUT_S, end)


def waiting(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Give where each task of a loop stands, outermost first: files, lines and functions, nothing of what they hold."""
    return sorted(" > ".join(_frames(task.get_coro())) for task in asyncio.all_tasks(loop))


def _frames(awaited: object) -> list[str]:
    found = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            found.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return found


def leave_at_sigterm() -> None:
    """End at once when told to, as long as nothing is begun. As the first process of a container none would end without this."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ExitCode.OK))


def leave_with_parent() -> None:
    """Be one of several processes of a worker: end at once when standard input ends, as the worker at its other end has ended.

    At once, so that a worker that is started again finds the state directories free. A second signal does not mean that for such
    a process: systemd tells every process of a service, and the worker tells its own again.
    """
    _repeats_mean_nothing.set()

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(ExitCode.INTERRUPTED)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def on_signals(stop: Callable[[], None], loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Call `stop` from a thread at the first SIGTERM or SIGINT, and end the process at the second. For the process's whole life.

    Not by the loop's own handlers: they wait for the loop, which may be what is stuck.
    """
    heard, said = socket.socketpair()
    said.setblocking(False)
    signal.set_wakeup_fd(said.fileno(), warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _heard_by_the_thread)
    threading.Thread(target=_listen, args=(heard, said, stop, loop), name="signals", daemon=True).start()


def _heard_by_the_thread(number: int, frame: FrameType | None) -> None:
    """Do nothing: without a handler of Python's the number would not reach the thread."""


def _listen(heard: socket.socket, said: socket.socket, stop: Callable[[], None], loop: asyncio.AbstractEventLoop | None) -> None:
    """`said` is held here, so that it stays open."""
    asked = False
    while said.fileno() >= 0:
        for number in heard.recv(16):
            if number not in SIGNALS:
                continue
            if not asked:
                asked = True
                bound_the_stop(loop)
                stop()
            elif not _repeats_mean_nothing.is_set():
                os._exit(ExitCode.INTERRUPTED)


def _timer(seconds: float, work: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()
    return timer

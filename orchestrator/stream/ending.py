"""How a worker process ends: at SIGTERM in order and in bounded time, at a second one at once, and never by kill -9."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from orchestrator.names import ExitCode
from orchestrator.observe.logs import logger

log = logger(__name__)

# Faust can hang while stopping, and so can a client whose brokers are away. Kubernetes kills after 30 s.
STOP_TIMEOUT_S: Final = 27.0
_LAST_WORDS_S: Final = 2.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def end_now(code: ExitCode, event: str, **fields: Any) -> None:
    """Say why and end the process. What is not committed is not lost, only done again by the next start."""
    _timer(_LAST_WORDS_S, lambda: os._exit(code))  # the lock of the logs may be held by what is stuck
    log.error(event, exit=int(code), next="start it again; it goes on from the last commit", **fields)
    os._exit(code)


def bound_the_stop() -> threading.Timer:
    """End the process where stopping takes too long; give what calls that off."""
    return _timer(STOP_TIMEOUT_S, lambda: end_now(ExitCode.NO, "stop_timed_out", seconds=STOP_TIMEOUT_S))


def leave_at_sigterm() -> None:
    """End at once when told to, as long as nothing is begun. As the first process of a container none would end without this."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ExitCode.OK))


def on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` from a thread at the first SIGTERM or SIGINT, and end the process at the second. For the process's whole life.

    Not by the loop's own handlers: they wait for the loop, which may be what is stuck.
    """
    heard, said = socket.socketpair()
    said.setblocking(False)
    signal.set_wakeup_fd(said.fileno(), warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _heard_by_the_thread)
    threading.Thread(target=_listen, args=(heard, said, stop), name="signals", daemon=True).start()


def _heard_by_the_thread(number: int, frame: FrameType | None) -> None:
    """Do nothing: without a handler of Python's the number would not reach the thread."""


def _listen(heard: socket.socket, said: socket.socket, stop: Callable[[], None]) -> None:
    """`said` is held here, so that it stays open."""
    asked = False
    while said.fileno() >= 0:
        for number in heard.recv(16):
            if number not in SIGNALS:
                continue
            if asked:
                os._exit(ExitCode.INTERRUPTED)
            asked = True
            bound_the_stop()
            stop()


def _timer(seconds: float, work: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()
    return timer

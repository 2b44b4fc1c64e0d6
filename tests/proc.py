"""What Linux says of a process in /proc: whether it runs, what it has started, how much of the processor it had."""

from __future__ import annotations

import os
from pathlib import Path


def state(pid: int) -> str:
    """Its state as one letter: R, S, D, T for stopped by a signal, Z for ended and not waited for. Raises FileNotFoundError."""
    return _fields(pid)[0]


def is_alive(pid: int) -> bool:
    """Running, and not a zombie that whoever started it has yet to collect."""
    try:
        return state(pid) != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """The processes that its main thread has started and that are not collected yet."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def cpu_seconds(pid: int) -> float:
    """The processor time that it and its children have had so far, in user and system mode, of all their threads."""
    user, system = _fields(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") + sum(map(cpu_seconds, children(pid)))


def _fields(pid: int) -> list[str]:
    """What `stat` has after the name, which may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()

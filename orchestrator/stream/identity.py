"""Who this worker is: an id that outlives restarts, and a state directory that nobody else uses meanwhile.

The id gives `transactional.id` and `group.instance.id`. Kept stable, a restart ends its own old transaction at once, instead of
leaving read_committed readers to wait for its time-out.
"""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from pathlib import Path
from typing import IO, Final

from orchestrator.errors import StateLocked, UsageError

_LEGAL_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class WorkerIdentity:
    """Holds the lock on a state directory for as long as the process lives."""

    def __init__(self, state_dir: Path, worker_id: str = "") -> None:
        """Take the directory. Raises StateLocked where another process has it, UsageError for an illegal id."""
        if worker_id and not _LEGAL_ID.fullmatch(worker_id):
            raise UsageError("a worker id is 1 to 64 letters, digits, dots, underscores and dashes", where="--worker-id")
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (state_dir / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the state directory cannot be used: {error.strerror}", where=str(state_dir)) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise StateLocked(
                "another worker uses this state directory", where=str(state_dir), next_step="give each worker its own --state-dir"
            ) from error
        self.state_dir = state_dir
        self.id = worker_id or _kept_id(state_dir / "worker-id")

    def release(self) -> None:
        """Let another process have the directory."""
        self._lock.close()


def _kept_id(path: Path) -> str:
    if path.exists():
        kept = path.read_text(encoding="utf-8").strip()
        if _LEGAL_ID.fullmatch(kept):
            return kept
    fresh = uuid.uuid4().hex[:12]
    path.write_text(fresh + "\n", encoding="utf-8")
    os.sync()
    return fresh

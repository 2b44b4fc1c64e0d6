"""Quix Streams 3: the job as a streaming dataframe, exactly once, state in RocksDB; in an environment of its own.

It needs an older confluent-kafka than ours. `requirements.txt` pins what it needs, compiled from `requirements.in`:
uv pip compile --universal --no-annotate --no-emit-index-url --no-header --python-version 3.11 requirements.in -o requirements.txt
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.w1 import raw_loop
from benchmarks.w1.contestant import CannotRun, Job, Process
from benchmarks.w1.oracle import Sent
from benchmarks.w1.workload import SCHEMAS
from tests.brokers.download import cache

NAME = "quix"
ONE_IN = 1

_JOB = Path(__file__).with_name("job.py")
_PINNED = Path(__file__).with_name("requirements.txt")
_BUILD_TIMEOUT_S = 600


def prepare() -> None:
    """Build its environment if it is not there."""
    interpreter()


def start(job: Job) -> Process:
    """Make its topic and start it; the changelog it makes itself."""
    job.make_actions_topic()
    python = str(interpreter())
    commands = (
        [python, str(_JOB), job.broker.bootstrap, job.topic, job.name, str(job.folder / f"state-{number}"), str(SCHEMAS)]
        for number in range(job.processes)
    )
    return Process(job.folder / "log", *commands)


def actions(job: Job) -> list[Sent]:
    """Read what it sent, the raw loop's JSON."""
    return raw_loop.actions(job)


def interpreter() -> Path:
    """Give the Python of its environment, which is built once and kept outside the tree. Raises CannotRun."""
    pins = hashlib.sha256(_PINNED.read_bytes() + sys.version.encode()).hexdigest()[:8]
    folder = cache().with_name(f"quix-{pins}")
    ready = folder / ".ready"  # an environment cannot be moved once it is whole, as a folder of jars can
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", str(folder / "bin/python"), "-r", str(_PINNED))
            ready.touch()
    return folder / "bin/python"


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"its environment was not built in {_BUILD_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise CannotRun(f"its environment cannot be built: {(done.stderr or done.stdout).strip()[-500:]}")

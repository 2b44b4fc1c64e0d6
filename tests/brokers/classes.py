"""The classes of a Kafka broker, loaded and verified once and kept beside its jars: it then starts in 2 s, not in 5 or more.

This is Java's class data sharing. An archive that does not fit, after an upgrade of Java say, is passed over by Java itself.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.brokers.download import cache


def options() -> list[str]:
    """What Java is told, so that it takes the archive; nothing while there is none."""
    archive = _archive()
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable"] if archive.is_file() and archive.stat().st_size else []


def keep(run_broker: Callable[[str], None]) -> None:
    """Make the archive if there is none: have a broker run with an option that writes it. A Java that cannot is asked once."""
    archive = _archive()
    if archive.is_file():
        return
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.is_file():
            return
        made = archive.with_suffix(".new")
        made.unlink(missing_ok=True)
        run_broker(f"-XX:ArchiveClassesAtExit={made}")
        made.touch()
        made.rename(archive)


def _archive() -> Path:
    """One for each Java, known by its place and age."""
    java = Path(shutil.which("java") or "java").resolve()
    age = int(java.stat().st_mtime) if java.exists() else 0
    return cache().with_name(f"{cache().name}-{java.parent.parent.name}-{age:x}.classes")

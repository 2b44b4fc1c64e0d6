"""Apache Kafka's own jars, fetched once with Maven into a cache outside the tree."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

KAFKA_VERSION: Final = "4.1.1"
POM: Final = Path(__file__).with_name("pom.xml")
DOWNLOAD_TIMEOUT_S: Final = 600


class KafkaUnavailable(Exception):
    """No real Kafka can be had here; the text says why and what to do about it."""


def cache() -> Path:
    """The folder that holds the jars of this Kafka version, there or not."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "journey-orchestrator" / f"kafka-{KAFKA_VERSION}"


def missing(folder: Path | None = None) -> str:
    """Why what `folder` holds (Kafka's jars) cannot be run from Maven here, or an empty text."""
    if not shutil.which("java"):
        return "there is no java (17 or newer)"
    if not (folder or cache()).is_dir() and not shutil.which("mvn"):
        return "there is no mvn to download it with"
    return ""


def jars() -> Path:
    """The folder with Kafka's jars, downloaded if need be (112 MB, once); several processes may ask at the same time."""
    return downloaded(cache(), POM, "kafka_*")


def downloaded(folder: Path, pom: Path, main_jar: str) -> Path:
    """The folder with the jars that a pom names, downloaded if need be; `main_jar` is a pattern for one that must be there."""
    if reason := missing(folder):
        raise KafkaUnavailable(reason)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _download(folder, pom, main_jar)
    return folder


def _download(folder: Path, pom: Path, main_jar: str) -> None:
    """Fill a folder beside the wanted one and rename it, so that a broken download is never taken for a whole one."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="download-") as work:
        shutil.copy(pom, work)
        command = ["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
        try:
            done = subprocess.run(
                [*command, f"-Dkafka.version={KAFKA_VERSION}"],
                cwd=work,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaUnavailable(f"Maven did not finish downloading Kafka {KAFKA_VERSION} in {DOWNLOAD_TIMEOUT_S} s") from error
        if done.returncode != 0 or not any(Path(work, "jars").glob(f"{main_jar}-{KAFKA_VERSION}.jar")):
            raise KafkaUnavailable(f"Maven could not download Kafka {KAFKA_VERSION}:\n{(done.stdout + done.stderr)[-2000:]}")
        Path(work, "jars").rename(folder)

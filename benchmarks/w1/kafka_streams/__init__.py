"""Kafka Streams: the job in Java on the Processor API, its jars from Maven, compiled with javac; both kept outside the tree."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.w1 import raw_loop
from benchmarks.w1.contestant import Job, Process
from benchmarks.w1.oracle import Sent
from benchmarks.w1.workload import SCHEMAS
from tests.brokers.download import KAFKA_VERSION, KafkaUnavailable, cache, downloaded

NAME = "kafka_streams"
ONE_IN = 1
_HERE = Path(__file__).parent
_POM = _HERE / "pom.xml"


def prepare() -> None:
    """Download its jars and compile it."""
    class_path()


def start(job: Job) -> Process:
    """Make its topic and start it; the changelog it makes itself."""
    job.make_actions_topic()
    arguments = [job.broker.bootstrap, job.topic, job.name, str(job.folder / "state"), str(SCHEMAS), str(job.processes)]
    return Process(job.folder / "log", ["java", "-cp", class_path(), "w1.Main", *arguments])


def actions(job: Job) -> list[Sent]:
    """Read what it sent, the raw loop's JSON."""
    return raw_loop.actions(job)


def class_path() -> str:
    """What Java needs, downloaded and compiled if need be. Raises KafkaUnavailable where that cannot be."""
    name = f"streams-{KAFKA_VERSION}-{_digest([_POM])}"
    libraries = downloaded(cache().with_name(name), _POM, "kafka-streams")
    sources = sorted(_HERE.glob("*.java"))
    classes = cache().with_name(f"{name}-{_digest(sources)}.classes")
    if not classes.is_dir():
        _compile(sources, libraries, classes)
    return f"{classes}:{libraries}/*"


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]


def _compile(sources: list[Path], libraries: Path, classes: Path) -> None:
    """Compile into a folder beside the wanted one and rename it, so that half of the classes are never taken for all."""
    if not shutil.which("javac"):
        raise KafkaUnavailable("there is no javac (17 or newer)")
    with tempfile.TemporaryDirectory(dir=classes.parent, prefix="compile-") as work:
        command = ["javac", "-Xlint:all,-processing", "-Werror", "--release", "17", "-cp", f"{libraries}/*"]
        command += ["-d", f"{work}/classes", *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"the contestant does not compile:\n{done.stderr}"
        try:
            Path(work, "classes").rename(classes)
        except OSError:
            if not classes.is_dir():  # where it is, another process was first
                raise

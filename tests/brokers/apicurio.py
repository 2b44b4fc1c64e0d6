"""A real schema registry, Apicurio, as a process that tests start, stop, pause and end; fetched once with Maven."""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, Self

from tests.brokers.download import DOWNLOAD_TIMEOUT_S, KafkaUnavailable, cache, missing

VERSION: Final = "2.6.13.Final"
API: Final = "/apis/ccompat/v7"  # where it speaks as Confluent's registry does
START_TIMEOUT_S: Final = 120.0


def _folder() -> Path:
    """The folder that holds it, downloaded if need be (142 MB, once)."""
    folder = cache().parent / f"apicurio-{VERSION}"
    if folder.is_dir():
        return folder
    if reason := missing():
        raise KafkaUnavailable(reason)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "download-apicurio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _download(folder)
    return folder


def _download(folder: Path) -> None:
    """Fill a folder beside the wanted one and rename it, so that a broken download is never taken for a whole one."""
    artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="download-") as work:
        command = ["mvn", "--batch-mode", "--quiet", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={work}"]
        try:
            done = subprocess.run(
                command,
                cwd=work,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaUnavailable(f"Maven did not finish downloading Apicurio in {DOWNLOAD_TIMEOUT_S} s") from error
        packed = next(Path(work).glob("*.tar.gz"), None)
        if done.returncode != 0 or packed is None:
            raise KafkaUnavailable(f"Maven could not download Apicurio {VERSION}:\n{(done.stdout + done.stderr)[-2000:]}")
        with tarfile.open(packed) as tar:
            tar.extractall(Path(work, "whole"), filter="data")
        Path(work, "whole").rename(folder)


class Apicurio:
    """One registry of its own, in memory; a context manager. It never outlives the process that started it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        jar = next(_folder().glob("*-runner.jar"))
        options = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dquarkus.http.port={port}"]
        options += ["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.log.level=WARN"]
        java = shutil.which("java") or "java"
        self._process = subprocess.Popen(
            [java, *options, "-jar", str(jar)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._guard = subprocess.Popen(["/bin/sh", "-c", f"read -r _; kill -9 {self._process.pid}"], stdin=subprocess.PIPE)
        self.url = f"http://127.0.0.1:{port}{API}"
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/subjects", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(f"Apicurio did not answer within {START_TIMEOUT_S:.0f} s") from None
                time.sleep(0.1)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._guard is not None
        self._process.kill()
        self._process.wait(30)
        self._guard.kill()
        self._guard.communicate()

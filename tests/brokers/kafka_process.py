"""A real Apache Kafka in KRaft mode, alone or a node of a cluster, as a process that tests start, break and stop."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.brokers import classes
from tests.brokers.download import KAFKA_VERSION, KafkaUnavailable, jars
from tests.brokers.topics import create_topic, fill, read_to_end

START_TIMEOUT_S: Final = 120.0
# For brokers that live for seconds: their start is what takes the time, half as long like this. Not for measuring throughput.
SHORT_LIVED: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LONG_LIVED: Final = ("-XX:+UseG1GC",)
STOP_TIMEOUT_S: Final = 20.0
CLUSTER_ID: Final = "4L6g3nShT-eMCtK--X86sw"

# Small internal topics, no waiting for more members, hung transactions looked for each second rather than each ten,
# and a killed broker may register again after 3 s rather than 9.
SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


# Of its own: tests seed the common one, and several processes look for ports at once.
_dice: Final = random.SystemRandom()


class Listeners(NamedTuple):
    """The ports of one node on 127.0.0.1. Clients of `proxied` are told to come to `proxy`, where another program must listen."""

    node: int
    direct: int
    controller: int
    proxied: int = 0
    proxy: int = 0

    @property
    def voter(self) -> str:
        return f"{self.node}@127.0.0.1:{self.controller}"

    def settings(self) -> dict[str, str]:
        """Those of a broker that is alone; a cluster names all its voters instead."""
        ports = {"PLAINTEXT": self.direct, **({"PROXIED": self.proxied} if self.proxied else {})}
        told = {**ports, **({"PROXIED": self.proxy} if self.proxied else {})}
        return {
            "node.id": str(self.node),
            "listeners": _endpoints({**ports, "CONTROLLER": self.controller}),
            "advertised.listeners": _endpoints(told),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": self.voter,
        }


def _endpoints(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


class KafkaBroker:
    """One Kafka of its own: start, stop, kill, pause, resume, and start again on the same ports and data; a context manager.

    It never outlives the process that started it: a small shell waits for that end, kills the broker and removes its folder.
    """

    kind: Final = "kafka"

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        heap: str = "768m",
        java: Sequence[str] = SHORT_LIVED,
        listeners: Listeners | None = None,
    ) -> None:
        """Take settings of the broker that differ from `SETTINGS`, Java's heap and options, and ports unless any will do."""
        self._settings = dict(settings or {})
        self._java_options = list(java)
        self._writes_classes = any(option.startswith("-XX:ArchiveClasses") for option in java)
        self._listeners = listeners
        self._heap = heap
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.bootstrap = ""

    @property
    def pid(self) -> int | None:
        """The broker's process id, None while it is down."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path:
        """What the broker has printed, over all its starts."""
        return self._home() / "broker.log"

    def start(self) -> Self:
        """Start (or start again, with the same ports and data) and wait until it answers, about 2 s."""
        fresh = self._folder is None
        try:
            self.launch()
            self.await_answer()
        except BaseException:
            self.kill()
            if fresh:
                self.remove()
            raise
        return self

    def launch(self) -> None:
        """Start it without waiting: a node of a cluster answers only once most of the others are up."""
        assert self._process is None, "this broker is running"
        libraries = jars()
        if self._folder is None:
            if not self._writes_classes:
                classes.keep(_run_once)
            self._prepare(libraries)
        self._launch(libraries)

    def _launch(self, libraries: Path) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java(libraries, "kafka.Kafka", "server.properties", heap=self._heap),
                cwd=self._home(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Out of the terminal's process group: Ctrl-C must not take the broker away before the tests have ended.
                start_new_session=True,
            )
        self._guard = _guard(self._process.pid, self._home())

    def stop(self) -> None:
        """Shut down as an operator would (SIGTERM, then SIGKILL after 20 s); the data stay for the next start."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._gone()

    def kill(self) -> None:
        """SIGKILL: the broker has no chance to tidy up; the data stay for the next start."""
        if self._process is not None:
            self._process.kill()
            self._gone()

    def pause(self) -> None:
        """SIGSTOP: the broker keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop, and delete ports, data and log for good."""
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def keep_log(self, folder: Path) -> Path:
        """Copy the broker's log into a folder and give the copy's path."""
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(self.log, folder / f"{self._home().name}.log"))

    def create_topic(self, name: str, partitions: int, **config: str) -> None:
        """Make a topic; `config` are its settings, with `_` for `.` (retention_ms="-1")."""
        create_topic(self.bootstrap, name, partitions, **config)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _home(self) -> Path:
        assert self._folder is not None, "this broker was never started"
        return self._folder

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _gone(self) -> None:
        """Wait for the end that was asked for, and call off the guard first, for the process id will be free for others."""
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.wait()
            assert guard.stdin is not None
            guard.stdin.close()
        if process is not None:
            process.wait()

    def _prepare(self, libraries: Path) -> None:
        """A folder of its own with free ports, settings and formatted storage."""
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        if self._listeners is None:
            with free_ports(2) as (direct, controller):
                self._listeners = Listeners(1, direct, controller)
        self.bootstrap = f"127.0.0.1:{self._listeners.direct}"
        settings = {**SETTINGS, **self._listeners.settings(), "log.dirs": str(self._folder / "data"), **self._settings}
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self._folder / "server.properties").write_text(text, encoding="utf-8")
        command = self._java(
            libraries, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties", heap="128m"
        )
        done = subprocess.run(command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(self._folder)
            self._folder = None
            raise KafkaUnavailable(f"Kafka {KAFKA_VERSION} could not format its storage:\n{(done.stdout + done.stderr)[-2000:]}")

    def _java(self, libraries: Path, *arguments: str, heap: str) -> list[str]:
        logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"
        shared = [] if self._writes_classes else classes.options()
        return ["java", f"-Xmx{heap}", *self._java_options, *shared, *logging, "-cp", f"{libraries}/*", *arguments]

    def await_answer(self) -> None:
        """Wait until it answers after `launch`. Raises KafkaUnavailable with the end of its log."""
        deadline = time.monotonic() + START_TIMEOUT_S
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise KafkaUnavailable(f"Kafka ended while starting:\n{self._log_end()}")
            with contextlib.suppress(KafkaException):
                if client.list_topics(timeout=0.5).brokers:
                    return
        raise KafkaUnavailable(f"Kafka did not answer within {START_TIMEOUT_S:.0f} s:\n{self._log_end()}")

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def _run_once(option: str) -> None:
    """Start a broker with a further Java option, use it a little, and stop it."""
    with KafkaBroker(java=(*SHORT_LIVED, option)) as broker:
        broker.create_topic("classes", 1)
        fill(broker.bootstrap, "classes", [{"value": b"1"}])
        read_to_end(broker.bootstrap, "classes")


def _guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """A shell that sleeps on a pipe from this process, and kills the broker and removes its folder when the pipe breaks.

    Rejected: PR_SET_PDEATHSIG, which fires when the *thread* that started the broker ends, and leaves the folder.
    """
    script = 'read -r _; kill -9 "$1" 2>/dev/null; sleep 0.2; rm -rf "$2"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "guard", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.sep,
        start_new_session=True,
    )


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Different ports that nobody listens on; all are held until the block ends, so that none is given twice.

    Below those that clients get: between this block and the broker's start, some connection might be given the port.
    """
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            _bind_somewhere(each)
        yield [each.getsockname()[1] for each in sockets]


def _bind_somewhere(each: socket.socket) -> None:
    while True:
        with contextlib.suppress(OSError):
            return each.bind(("127.0.0.1", _dice.randrange(10_000, 32_000)))

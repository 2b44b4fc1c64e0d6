"""The embedded broker: librdkafka's mock Kafka cluster in a process of its own, for the demo and for tests without a real Kafka.

It speaks the Kafka protocol on a free port of 127.0.0.1 and keeps everything in memory. What it is not:

- it keeps nothing when it stops, and at most `PARTITION_BYTES` of record batches a partition: older batches are then dropped, and
  a reader behind them is told that its offset is out of range (compress what is produced to fit more);
- it has no CreateTopics request: topics are made through `EmbeddedBroker.create_topic`, or by the first metadata request that
  names them, then with `DEFAULT_PARTITIONS` partitions; topic settings do not exist;
- `send_offsets_to_transaction` is answered but forgotten, so a group's committed offsets never move;
- read_committed is not applied: records of aborted and open transactions are seen by every reader, and nobody is fenced;
- it describes no groups.

All this was measured with librdkafka 2.16; tests/operate/test_embedded.py notices when it changes.

The process ends when its standard input closes, when its parent dies, or on SIGTERM or SIGINT; it never outlives who started it.

    $ python -m orchestrator.operate.embedded --topic customer.events:12
    127.0.0.1:39481

Rejected: `Producer({"test.mock.num.brokers": 1})`, which starts the same cluster without any C call, but gives every topic four
partitions and makes every group wait three seconds for its first assignment.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from orchestrator.errors import InvalidTopology, RefusedByState, Unreachable, UsageError

DEFAULT_PARTITIONS: Final = 4
PARTITION_BYTES: Final = 5 * 1024 * 1024
START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 3.0

_RD_KAFKA_PRODUCER: Final = 0
_ERROR_TEXT_BYTES: Final = 512
_PARENT_CHECK_S: Final = 1.0


class EmbeddedBroker:
    """Start, fill with topics, and stop the broker's process; a context manager. Not for several threads at once."""

    def __init__(self, topics: Mapping[str, int] | None = None, *, brokers: int = 1) -> None:
        """Take the topics to begin with, as name to partition count, and the number of brokers of the cluster."""
        self._topics = dict(topics or {})
        self._brokers = brokers
        self._process: subprocess.Popen[str] | None = None
        self.bootstrap: str = ""

    @property
    def pid(self) -> int | None:
        """The broker's process id, None while it is not running."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start the process and wait for its address (about 0.1 s). Raises Unreachable when it does not come up in 15 s."""
        if self._process is not None:
            raise RefusedByState("the embedded broker is already running", where=self.bootstrap, next_step="call stop() first")
        command = [sys.executable, "-m", "orchestrator.operate.embedded", "--brokers", str(self._brokers)]
        for name, partitions in self._topics.items():
            command += ["--topic", f"{name}:{partitions}"]
        # A session of its own: Ctrl-C in the terminal reaches whoever runs the broker, who stops it last.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        try:
            self.bootstrap = self._answer()
        except BaseException:
            self.stop()
            raise
        return self

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic with exactly so many partitions. Raises RefusedByState when it exists already."""
        process = self._running()
        if process.stdin is None:
            raise Unreachable("the embedded broker takes no commands")
        try:
            process.stdin.write(f"{name}:{partitions}\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise Unreachable("the embedded broker has ended", where=self.bootstrap, next_step="start it again") from error
        answer = self._answer()
        if answer != "ok":
            raise RefusedByState(f"the embedded broker made no topic {name}: {answer}", where=self.bootstrap)

    def stop(self) -> None:
        """End the process; returns once it is gone. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended by itself, and did not read the last command
                process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop it."""
        self.stop()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RefusedByState("the embedded broker is not running", next_step="call start() first")
        return self._process

    def _answer(self) -> str:
        """The next line the process prints; it answers each command with one."""
        output = self._running().stdout
        if output is None:
            raise Unreachable("the embedded broker has no output to read")
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            answered = bool(selector.select(START_TIMEOUT_S))
        line = output.readline().strip() if answered else ""
        if not line:
            raise Unreachable(
                "the embedded broker did not answer" if not answered else "the embedded broker ended unexpectedly",
                next_step="run `python -m orchestrator.operate.embedded` to see why",
            )
        return line


class MockCluster:
    """librdkafka's mock cluster, called in the library that the confluent-kafka wheel brings. Lives until the process ends."""

    def __init__(self, brokers: int) -> None:
        """Start so many brokers on free ports of 127.0.0.1. Raises Unreachable when the library cannot do it."""
        self._library = _librdkafka()
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client(), brokers)
        if not self._cluster:
            raise Unreachable("librdkafka could not start its mock cluster", next_step="check that 127.0.0.1 has free ports")
        # Nobody else is coming: a group's first assignment need not wait the usual three seconds.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        # With a controller, admin requests that the cluster does not know are refused at once instead of timing out.
        self._library.rd_kafka_mock_set_controller_id(self._cluster, 1)

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, `host:port` with commas."""
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def create_topic(self, name: str, partitions: int) -> str:
        """Make a topic; an empty text, or librdkafka's reason why not."""
        error = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        return str(self._library.rd_kafka_err2str(error).decode()) if error else ""

    def _client(self) -> int:
        """The librdkafka client that the cluster hangs on; it connects to nothing itself."""
        text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"3", text, len(text))
        client = self._library.rd_kafka_new(_RD_KAFKA_PRODUCER, settings, text, len(text))
        if not client:
            raise Unreachable(f"librdkafka could not start: {text.value.decode()}")
        return int(client)


def _librdkafka() -> ctypes.CDLL:
    """Load the library inside the confluent-kafka wheel, or the system's where the wheel was built from source."""
    spec = importlib.util.find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise Unreachable("confluent-kafka is not installed", next_step="run `make setup`")
    package = Path(spec.origin).parent
    bundled = sorted(package.with_name("confluent_kafka.libs").glob("librdkafka*")) + sorted(package.glob(".dylibs/librdkafka*"))
    name = str(bundled[0]) if bundled else "librdkafka.so.1"
    try:
        library = ctypes.CDLL(name)
        _declare(library)
    except (OSError, AttributeError) as error:
        raise Unreachable(
            f"no librdkafka with a mock cluster was found: {error}",
            where=name,
            next_step="install confluent-kafka from its binary wheel, or use a real Kafka with --bootstrap-server",
        ) from error
    return library


def _declare(library: ctypes.CDLL) -> None:
    """Say what the C functions take and give; pointers would be cut to 32 bits otherwise."""
    pointer, text, size, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, size]),
        ("rd_kafka_new", pointer, [number, pointer, text, size]),
        ("rd_kafka_err2str", text, [number]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_set_controller_id", None, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def _topic(text: str) -> tuple[str, int]:
    """Split `name:partitions`."""
    name, _, partitions = text.strip().rpartition(":")
    if not name or not partitions.isdecimal() or int(partitions) < 1:
        raise UsageError(f"{text.strip()!r} is no topic", next_step="write name:partitions, for example customer.events:12")
    return name, int(partitions)


def _needed(topologies: Path | None) -> dict[str, int]:
    if topologies is None:
        return {}
    from orchestrator.operate.topics import plan
    from orchestrator.operate.wiring import load_wiring

    wiring = load_wiring(topologies)
    return {spec.name: spec.partitions for spec in plan(wiring.streams, wiring.policy)}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _obey(cluster: MockCluster) -> None:
    """Make the topics that standard input names, until it closes or the parent is gone."""
    parent = os.getppid()
    pending = b""
    # The default selector of Linux refuses files and /dev/null as standard input.
    with selectors.SelectSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        while os.getppid() == parent:
            if not selector.select(_PARENT_CHECK_S):
                continue
            received = os.read(0, 65536)
            if not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                try:
                    _say(cluster.create_topic(*_topic(line.decode())) or "ok")
                except UsageError as error:
                    _say(error.what)


def _leave(number: int, frame: FrameType | None) -> None:
    # Asked to go: nothing is kept, so there is nothing to close.
    os._exit(0)


def main() -> None:
    """Run the broker in the foreground: print its address, then answer each `name:partitions` on standard input with a line."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    parser = argparse.ArgumentParser(prog="python -m orchestrator.operate.embedded", description="A Kafka broker in memory.")
    parser.add_argument("--brokers", type=int, default=1, help="brokers of the cluster (1)")
    parser.add_argument("--topic", action="append", default=[], metavar="NAME:PARTITIONS", help="a topic to begin with")
    parser.add_argument("--topologies", type=Path, metavar="DIR", help="begin with every topic that this folder needs")
    arguments = parser.parse_args()
    try:
        cluster = MockCluster(arguments.brokers)
        for text in arguments.topic:
            cluster.create_topic(*_topic(text))
        for name, partitions in _needed(arguments.topologies).items():
            cluster.create_topic(name, partitions)
    except (Unreachable, UsageError, InvalidTopology) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    _say(cluster.bootstrap)
    _obey(cluster)
    os._exit(0)


if __name__ == "__main__":
    main()

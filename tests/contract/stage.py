"""A stage for worker processes: a topology with topic names of its own, its topics, its events, and what came out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rocksdict import Options, Rdict

from orchestrator.operate.produce import Encoder, EventProducer
from orchestrator.operate.topics import TopicOptions, plan
from orchestrator.wire.actions import decode_action
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.journal import JournalRecord, decode_journal
from orchestrator.wire.schemas import load_schemas
from orchestrator.workspace import Workspace
from tests.brokers import Broker, Row, read_to_end, unique
from tests.oracle.winback import ExpectedAction

SHIPPED = Path(__file__).parents[2] / "topologies"


class WorkerProcess:
    """One `orchestrator worker`; its log is kept for the message of a failing test."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", "worker", *arguments],
                stdout=out,
                stderr=out,
                env=os.environ | {"ORCHESTRATOR_LOG_FORMAT": "json"} | dict(environment or {}),
                start_new_session=True,  # Ctrl-C is for who started it, who then ends it
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.wait(30)

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, and the exit status."""
        self.send(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        return self._process.wait(timeout_s)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-80:])

    def end(self) -> None:
        if self._process.poll() is None:
            self.kill()


class Stage:
    """A topology of the test's own on a broker. Topic names are unique, so that tests can share the broker."""

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        *,
        journeys: Sequence[str] = ("winback",),
        partitions: int = 4,
        own: Mapping[str, str] | None = None,
        address: str = "",
    ) -> None:
        """`own` has files of the test's own by their path among the topologies, instead of shipped ones or beside them.

        `address` is where workers find the brokers, if not where the tests do.
        """
        self.broker = broker
        self._address = address or broker.bootstrap
        self.folder = folder
        self.topologies = folder / "topologies"
        self._write_topologies(journeys, partitions, own or {})
        self.workspace = Workspace.load(self.topologies)
        self.topology = self.workspace.topology
        streams = self.topology.streams
        for spec in plan(streams, self.topology.policy, TopicOptions(retention_ms=-1)):
            config = {name.replace(".", "_"): value for name, value in self._config(spec.config).items()}
            broker.create_topic(spec.name, spec.partitions, **config)
        self.events = streams.events[0].topic
        self._workers: list[WorkerProcess] = []

    @staticmethod
    def _config(config: Mapping[str, str]) -> dict[str, str]:
        """Nothing is compacted away here: the whole journal and changelog are evidence (invariant I1)."""
        return {"retention.ms": "-1"} | ({} if config.get("cleanup.policy") == "compact" else dict(config))

    def _write_topologies(self, journeys: Sequence[str], partitions: int, own: Mapping[str, str]) -> None:
        app = unique("app")
        (self.topologies / "journeys").mkdir(parents=True)
        for name in journeys:
            (self.topologies / "journeys" / f"{name}.yaml").write_text((SHIPPED / "journeys" / f"{name}.yaml").read_text())
        for name, text in {"policy.yaml": (SHIPPED / "policy.yaml").read_text(), **own}.items():
            (self.topologies / name).write_text(text.replace("journeys.actions.", f"{app}.actions."))
        streams = (SHIPPED / "streams.yaml").read_text()
        streams = streams.replace("app: journeys ", f"app: {app} ").replace("partitions: 4 ", f"partitions: {partitions} ")
        streams = streams.replace("customer.events", f"{app}.events").replace(" journeys.", f" {app}.")
        (self.topologies / "streams.yaml").write_text(streams)

    # Doing

    def produce(self, lines: Iterable[Any]) -> int:
        producer, count = self.producer(), 0
        for line in lines:
            producer.send(line)
            count += 1
        producer.close()
        return count

    def producer(self, **settings: Any) -> EventProducer:
        client = {"bootstrap.servers": self.broker.bootstrap, "compression.type": "lz4", **settings}
        return EventProducer(client, Encoder(load_schemas(), self.topology.streams))

    def worker(self, name: str = "w0", *more: str, **environment: str) -> WorkerProcess:
        """Start a worker; the same name again is the same worker, with its state."""
        worker = WorkerProcess(
            [
                "--topologies", str(self.topologies), "--bootstrap-server", self._address,
                "--state-dir", str(self.state_of(name)), "--worker-id", name, *more,
            ],
            self.folder / f"{name}-{len(self._workers)}.log",
            environment,
        )  # fmt: skip
        self._workers.append(worker)
        return worker

    def state_of(self, name: str) -> Path:
        return self.folder / f"state-{name}"

    def close(self) -> None:
        for worker in self._workers:
            worker.end()

    # Seeing

    def rows(self, topic: str) -> list[Row]:
        return read_to_end(self.broker.bootstrap, topic)

    def actions(self) -> list[dict[str, Any]]:
        found = []
        for topic in sorted({c.topic for c in self.topology.policy.channels.values()}):
            found += [decode_action(row.value or b"") for row in self.rows(topic)]
        return found

    def winback_actions(self) -> list[ExpectedAction]:
        """The e-mails of the win-back journey in the oracle's terms, each customer's in the topic's order."""
        return [
            ExpectedAction(a["created_at"], a["customer"], a["template"], a["instance"], a["action_id"]) for a in self.actions()
        ]

    def handlings(self) -> list[dict[str, Any]]:
        return [decode_handling(row.value or b"") for row in self.rows(self.topology.streams.transitions)]

    def journal(self) -> list[tuple[JournalRecord, bytes]]:
        return [(decode_journal(row.value or b""), row.value or b"") for row in self.rows(self.topology.streams.journal)]

    def incidents(self) -> list[Row]:
        return self.rows(self.topology.streams.incidents)

    def handled_records(self) -> int:
        """Source records behind the partitions' latest journal records."""
        latest: dict[int, JournalRecord] = {}
        for record, _ in self.journal():
            latest[record.partition] = record
        return sum(sum(record.sources.values()) for record in latest.values())

    def timers_fired_before(self) -> int:
        """The instant before which every partition has fired its timers; 0 while some partition never swept."""
        latest = dict.fromkeys(range(self.topology.streams.partitions), 0)
        for record, _ in self.journal():
            for run in record.runs:
                if not run.topic:
                    latest[record.partition] = max(latest[record.partition], run.clock)
        return min(latest.values())

    def changelog_documents(self) -> dict[bytes, bytes]:
        """The compacted view of the changelog."""
        view: dict[bytes, bytes] = {}
        for row in self.rows(self.topology.streams.changelog):
            if row.value is None:
                view.pop(row.key or b"", None)
            else:
                view[row.key or b""] = row.value
        return view

    def stored_documents(self, name: str) -> dict[bytes, bytes]:
        """What the stores of a worker that has stopped hold."""
        found: dict[bytes, bytes] = {}
        for path in (self.state_of(name) / "partitions").iterdir():
            if not path.name.isdecimal():
                continue  # one that was moved aside
            database = Rdict(str(path), Options(raw_mode=True))
            found |= {key[1:]: value for key, value in database.items(from_key=b"d") if key.startswith(b"d")}
            database.close()
        return found

    def wait_until(self, what: str, is_true: Callable[[], bool], timeout_s: float = 120.0, every_s: float = 0.2) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_true():
            dead = [w for w in self._workers if w.exit_code not in (None, 0, -signal.SIGKILL)]
            assert not dead, f"a worker ended with {dead[0].exit_code} while waiting until {what}:\n{dead[0].tail()}"
            assert time.monotonic() < deadline, f"not in {timeout_s:.0f} s: {what}\n{self._workers[-1].tail()}"
            time.sleep(every_s)

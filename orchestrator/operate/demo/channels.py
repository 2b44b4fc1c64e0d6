"""A channel service, simulated: reads the commands of the action topics, carries each out once, and reports what became of it.

What every real channel service has to do, it does: it reads committed commands only, in a group of its own; it recognises a
repeated command by `action_id` and `attempt`; it does not carry out what has expired; it reports to the outcomes topic, keyed by
the customer. What it does not do is send anything.

The demo's commands were decided for moments long past, so "now" is for each command its own `created_at` plus the time that the
service takes for it: against that `expires_at` is honoured, and that is when the outcome occurred. Its record time is the
command's `created_at`: a report must not carry a partition's clock past events that are still on their way. All chance comes from
the action id and the attempt: a repeated run, and a repeated command, give the same report.

The case desk, which answers calls, is often busy. Messages fail only where that makes no difference to what is sent next: one
that does not arrive gives its cap slot back, and in a backlog it is not certain at which moment of the journey that is.

    python -m orchestrator.operate.demo.channels --bootstrap-server HOST:PORT --outcomes TOPIC --actions TOPIC [--actions TOPIC]
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from hashlib import sha256
from types import FrameType
from typing import Any, Final

from msgspec import Struct

from orchestrator.names import ACTION_OUTCOME
from orchestrator.operate.demo.events import MINUTE, SECOND
from orchestrator.wire.partitioning import PARTITIONER

_BATCH: Final = 1_000
_POLL_S: Final = 0.2
_FLUSH_S: Final = 10.0
_PER_MILLE: Final = 1_000

# Of a thousand messages of a purpose: how many bounce, how many fail. The addresses of 1997 are old.
_BOUNCES: Final = {"winback": 18, "service": 4}
_FAILURES: Final = {"winback": 4, "service": 9}
_BUSY: Final = 400  # of a thousand calls
_SLOWEST: Final = {"email": 5 * MINUTE, "sms": 20 * SECOND, "case-desk": 2 * SECOND}


class Report(Struct, frozen=True):
    """What became of one action. `at` is the record's time, `occurred_at` when the service was done, both in ms UTC."""

    event_id: str
    customer: str
    at: int
    occurred_at: int
    action_id: str
    status: str
    code: str | None
    data: dict[str, Any] = {}


def report_of(action: dict[str, Any]) -> Report:
    """Carry out one command (a plain Action record) and give what is reported about it."""
    digest = sha256(f"{action['action_id']} {action['attempt']}".encode()).digest()
    luck = int.from_bytes(digest[:4], "big") % _PER_MILLE
    took = SECOND + int.from_bytes(digest[4:8], "big") % _SLOWEST.get(action["channel"], MINUTE)
    done = action["created_at"] + took
    status, code = ("failed", "expired") if done >= action["expires_at"] else _CARRY_OUT[action["kind"]](action, luck)
    # Whoever opens a case gives its number, which the journey keeps and quotes to the customer.
    data = {"number": f"C-{int.from_bytes(digest[8:10], 'big'):05}"} if status == "succeeded" else {}
    event_id = f"outcome-{action['action_id']}-{action['attempt']}"
    return Report(event_id, action["customer"], action["created_at"], done, action["action_id"], status, code, data)


def _send(action: dict[str, Any], luck: int) -> tuple[str, str | None]:
    bounces, failures = _BOUNCES.get(action["purpose"], 0), _FAILURES.get(action["purpose"], 0)
    if luck < bounces:
        return "bounced", "address_unknown"
    return ("failed", "gateway_refused") if luck < bounces + failures else ("delivered", None)


def _call(action: dict[str, Any], luck: int) -> tuple[str, str | None]:
    return ("failed", "busy") if luck < _BUSY else ("succeeded", None)


# What is no message and no call, such as a cancel, is left alone.
_CARRY_OUT: Final[dict[str, Callable[[dict[str, Any], int], tuple[str, str | None]]]] = {"send": _send, "call": _call}


class Inbox:
    """Remembers which commands were carried out."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()

    def take(self, action: dict[str, Any]) -> Report | None:
        """Carry a command out and give its report, None for a repeat and for what is neither message nor call."""
        if action["kind"] not in _CARRY_OUT:
            return None
        identity = (action["action_id"], action["attempt"])
        if identity in self._seen:
            return None
        self._seen.add(identity)
        return report_of(action)


class ChannelService:
    """The simulator on Kafka. `run` blocks until `stop` is called from a signal handler or another thread."""

    def __init__(self, bootstrap: str, actions: list[str], outcomes: str) -> None:
        """Connect; `actions` are the topics to read, `outcomes` the one to report to."""
        from confluent_kafka import Consumer, Producer

        from orchestrator.wire.schemas import load_schemas

        self._outcomes = outcomes
        self._schema = load_schemas().get(ACTION_OUTCOME)
        self._inbox = Inbox()
        self._stopping = False
        # murmur2 as everywhere: a report must land in the partition of its customer.
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": PARTITIONER, "compression.type": "lz4", "linger.ms": 5}
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "demo-channel-service",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "partition.assignment.strategy": "range",
            }
        )
        self._consumer.subscribe(actions)

    def stop(self) -> None:
        """Ask `run` to return after the batch at hand."""
        self._stopping = True

    def run(self) -> None:
        """Read, carry out, report, and only then commit: a crash in between repeats reports, which the engine recognises."""
        parent = os.getppid()
        try:
            while not self._stopping and os.getppid() == parent:
                messages = [each for each in self._consumer.consume(_BATCH, _POLL_S) if each.error() is None]
                if messages:
                    self._report(messages)
                    self._consumer.commit(asynchronous=True)
        finally:
            self._producer.flush(_FLUSH_S)
            self._consumer.close()

    def _report(self, messages: list[Any]) -> None:
        from orchestrator.wire.actions import decode_action

        for message in messages:
            report = self._inbox.take(decode_action(message.value()))
            if report is not None:
                self._produce(report)
        if self._producer.flush(_FLUSH_S) > 0:
            raise TimeoutError(f"the broker took no outcomes for {_FLUSH_S:.0f} s")

    def _produce(self, report: Report) -> None:
        if self._schema is None:
            raise LookupError(f"no schema for {ACTION_OUTCOME}")
        fields = {"action_id": report.action_id, "status": report.status, "code": report.code, "data": report.data}
        value = self._schema.encode(report.customer, report.event_id, report.occurred_at, fields)
        while True:
            try:
                self._producer.produce(self._outcomes, key=report.customer, value=value, timestamp=report.at)
                return
            except BufferError:
                self._producer.poll(0.1)


def main() -> None:
    """Run the simulator until SIGTERM, SIGINT, or the end of the process that started it."""
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.operate.demo.channels", description="A simulated channel service."
    )
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--outcomes", required=True, metavar="TOPIC")
    parser.add_argument("--actions", required=True, action="append", metavar="TOPIC")
    arguments = parser.parse_args()
    service = ChannelService(arguments.bootstrap_server, arguments.actions, arguments.outcomes)

    def leave(number: int, frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    service.run()


if __name__ == "__main__":
    main()

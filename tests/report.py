"""What became of the tests on a real Kafka, over all processes of a run: said at its end, held against a run that needed them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator import compiled
from tests.brokers import KafkaBroker
from tests.brokers.shared import SharedKafka

REQUIRE_KAFKA: Final = "ORCHESTRATOR_REQUIRE_KAFKA"
LONG: Final = "LONG_TESTS"  # "0" leaves the tests marked `long` out
FAST_LIMIT_S: Final = 300  # on two slow cores
LOGS: Final = Path(__file__).parent.parent / "build" / "logs"


def on_kafka(item: pytest.Item) -> bool:
    """Whether a test needs a real Kafka."""
    return item.get_closest_marker("kafka") is not None


def is_left_out(item: pytest.Item) -> bool:
    """Whether a test is left out for its length."""
    return os.environ.get(LONG) == "0" and item.get_closest_marker("long") is not None


def is_for_sources(item: pytest.Item) -> bool:
    """Whether a test replaces parts of what is compiled here: `tests/test_compiled.py` runs it, from the sources."""
    return compiled.is_used() and item.get_closest_marker("interpreted") is not None


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


class Seen:
    """What only the process that collects and runs tests can see; a worker of pytest-xdist sends it to the leader as it ends."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.deselected = self.left_out = 0
        self.kept_logs: list[str] = []

    def keep_log_of_failure(self, session: pytest.Session, broker: object) -> None:
        """Keep the broker's log if some test failed so far."""
        if session.testsfailed and isinstance(broker, KafkaBroker):
            self.kept_logs.append(str(broker.keep_log(LOGS)))

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        """Those that `-m` or `-k` left out, and those that are long."""
        for item in items:
            if is_left_out(item):
                self.left_out += 1
            elif on_kafka(item):
                self.deselected += 1

    def pytest_sessionfinish(self) -> None:
        """Hand over what was seen."""
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["seen"] = (self.deselected, self.left_out, self.kept_logs)


class Leader:
    """Says plainly what was skipped, fails a run that required Kafka and went without, and has the Kafka that workers share."""

    def __init__(self, seen: Seen) -> None:
        self.required = os.environ.get(REQUIRE_KAFKA) == "1"
        self.seen = seen
        self.shared: SharedKafka | None = None
        self.selected = 0
        self.skipped = Counter[str]()
        self.skipped_on_kafka = Counter[str]()
        self.fast_s: float | None = None
        self._started = time.monotonic()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a new worker whom to ask for Kafka."""
        self.shared = self.shared or SharedKafka()
        node.workerinput["shared_kafka"] = self.shared.address

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker saw; one that crashed says nothing."""
        deselected, left_out, kept_logs = getattr(node, "workeroutput", {}).get("seen", (0, 0, []))
        self.seen.deselected = max(self.seen.deselected, deselected)
        self.seen.left_out = max(self.seen.left_out, left_out)
        self.seen.kept_logs += kept_logs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count, note when the fast part was over, and keep the reason of each test that was skipped."""
        kafka = "kafka" in report.keywords
        if kafka and report.when == "setup":
            self.selected += 1
            if self.fast_s is None:
                self.fast_s = time.monotonic() - self._started
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            (self.skipped_on_kafka if kafka else self.skipped)[reason.removeprefix("Skipped: ")] += 1

    def missed(self) -> str:
        """What stands against a run that required Kafka, or an empty text."""
        if not self.required:
            return ""
        if self.skipped_on_kafka:
            return f"{REQUIRE_KAFKA}=1, but {_tests(self.skipped_on_kafka.total())} on a real Kafka were skipped"
        return "" if self.selected else f"{REQUIRE_KAFKA}=1, but no test ran on a real Kafka"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A green run must mean that Kafka was there, where it was required."""
        if self.shared is not None:
            self.seen.keep_log_of_failure(session, self.shared.broker)
        if session.exitstatus == pytest.ExitCode.OK and self.missed():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """End the shared Kafka: all workers are gone."""
        if self.shared is not None:
            self.shared.remove()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in one place what a reader must know before believing the last line."""
        line = terminalreporter.write_line
        if self.fast_s is not None and self.fast_s > FAST_LIMIT_S:
            line(f"the fast tests took {self.fast_s:.0f} s, more than the {FAST_LIMIT_S} s they may")
        for reason, count in self.skipped.items():
            line(f"skipped: {_tests(count)}, because {reason}", yellow=True)
        for reason, count in self.skipped_on_kafka.items():
            line(f"NOT TESTED on a real Kafka: {_tests(count)} skipped, because {reason}", yellow=True)
        if self.seen.deselected:
            line(f"NOT TESTED on a real Kafka: {_tests(self.seen.deselected)} left out by -m or -k", yellow=True)
        if self.seen.left_out:
            left_out = _tests(self.seen.left_out)
            line(f"NOT RUN: {left_out} that take long; `make test LONG=1` runs them, as CI does", yellow=True)
        for log in self.seen.kept_logs:
            line(f"the broker's log: {log}")
        if self.missed():
            line(f"FAILED: {self.missed()}", red=True)

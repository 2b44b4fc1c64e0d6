"""What every test may ask for: brokers, and an honest report of what was skipped and why."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import pytest
from hypothesis import settings

from tests.brokers import Broker, KafkaBroker, KafkaUnavailable, start_embedded, start_kafka
from tests.brokers.download import jars

REQUIRE_KAFKA: Final = "ORCHESTRATOR_REQUIRE_KAFKA"
KAFKA_FIXTURES: Final = frozenset({"kafka", "kafka_alone", "kafka_from_maven"})
FAST_LIMIT_S: Final = 120
LOGS: Final = Path(__file__).parent.parent / "build" / "logs"

# No time limit for one example: the machine is shared. A failure prints the blob that repeats it.
settings.register_profile("orchestrator", deadline=None, print_blob=True)
settings.load_profile("orchestrator")

_kept_logs: Final = pytest.StashKey[list[Path]]()


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A real Apache Kafka, shared by the session: take topic and group names from `tests.brokers.unique`."""
    broker = _kafka_or_skip()
    yield broker
    _keep_log_of_failure(request, broker)
    broker.remove()


@pytest.fixture(scope="session")
def kafka_from_maven() -> None:
    """For tests that start Kafka processes themselves: skips them where that cannot be done."""
    try:
        jars()
    except KafkaUnavailable as error:
        _no_kafka(f"{error}; a test that breaks its broker needs one that it started itself")


@pytest.fixture
def kafka_alone(request: pytest.FixtureRequest, kafka_from_maven: None) -> Iterator[KafkaBroker]:
    """A real Kafka for one test, which may kill, pause, stop and start it."""
    broker = KafkaBroker().start()
    yield broker
    _keep_log_of_failure(request, broker)
    broker.remove()


@pytest.fixture(scope="session")
def embedded() -> Iterator[Broker]:
    """The broker in memory, shared by the session: take topic and group names from `tests.brokers.unique`."""
    broker = start_embedded()
    yield broker
    broker.remove()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Both brokers in turn: a test that asks for it is a contract that both must keep."""
    chosen: Broker = request.getfixturevalue(request.param)
    return chosen


def _kafka_or_skip() -> Broker:
    try:
        return start_kafka()
    except KafkaUnavailable as error:
        _no_kafka(str(error))


def _no_kafka(reason: str) -> NoReturn:
    if os.environ.get(REQUIRE_KAFKA) == "1":
        pytest.fail(f"{REQUIRE_KAFKA}=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def _keep_log_of_failure(request: pytest.FixtureRequest, broker: Broker) -> None:
    if request.session.testsfailed and isinstance(broker, KafkaBroker):
        request.config.stash[_kept_logs].append(broker.keep_log(LOGS))


def pytest_configure(config: pytest.Config) -> None:
    """Watch what becomes of the Kafka tests."""
    config.stash[_kept_logs] = []
    config.pluginmanager.register(KafkaTests(config), "kafka-tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The fast tests first, those on a real Kafka last; a test that takes a Kafka fixture is marked so, said or not."""
    for item in items:
        if KAFKA_FIXTURES.intersection(getattr(item, "fixturenames", ())) and not _on_kafka(item):
            item.add_marker(pytest.mark.kafka)
    items.sort(key=_on_kafka)


def _on_kafka(item: pytest.Item) -> bool:
    return item.get_closest_marker("kafka") is not None


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


class KafkaTests:
    """Counts the tests on a real Kafka, says plainly what was skipped, and fails a run that required them and went without."""

    def __init__(self, config: pytest.Config) -> None:
        self.required = os.environ.get(REQUIRE_KAFKA) == "1"
        self.kept_logs = config.stash[_kept_logs]
        self.selected = 0
        self.deselected = 0
        self.skipped = Counter[str]()
        self.skipped_on_kafka = Counter[str]()
        self.fast_s: float | None = None
        self._started = time.monotonic()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Those that `-m` or `-k` left out."""
        self.deselected += sum(map(_on_kafka, items))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Count, and note when the fast part was over."""
        if _on_kafka(item):
            self.selected += 1
            if self.fast_s is None:
                self.fast_s = time.monotonic() - self._started

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reason of each one that was skipped."""
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            skipped = self.skipped_on_kafka if "kafka" in report.keywords else self.skipped
            skipped[reason.removeprefix("Skipped: ")] += 1

    def missed(self) -> str:
        """What stands against a run that required Kafka, or an empty text."""
        if not self.required:
            return ""
        if self.skipped_on_kafka:
            return f"{REQUIRE_KAFKA}=1, but {_tests(self.skipped_on_kafka.total())} on a real Kafka were skipped"
        return "" if self.selected else f"{REQUIRE_KAFKA}=1, but no test ran on a real Kafka"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A green run must mean that Kafka was there, where it was required."""
        if session.exitstatus == pytest.ExitCode.OK and self.missed():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in one place what a reader must know before believing the last line."""
        line = terminalreporter.write_line
        if self.fast_s is not None and self.fast_s > FAST_LIMIT_S:
            line(f"the fast tests took {self.fast_s:.0f} s, more than the {FAST_LIMIT_S} s they may")
        for reason, count in self.skipped.items():
            line(f"skipped: {_tests(count)}, because {reason}", yellow=True)
        for reason, count in self.skipped_on_kafka.items():
            line(f"NOT TESTED on a real Kafka: {_tests(count)} skipped, because {reason}", yellow=True)
        if self.deselected:
            line(f"NOT TESTED on a real Kafka: {_tests(self.deselected)} left out by -m or -k", yellow=True)
        for log in self.kept_logs:
            line(f"the broker's log: {log}")
        if self.missed():
            line(f"FAILED: {self.missed()}", red=True)

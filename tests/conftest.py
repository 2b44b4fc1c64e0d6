"""What every test may ask for: brokers. And what every run does: the fast tests first, an honest report at the end."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.brokers import Broker, KafkaBroker, KafkaUnavailable, start_embedded, start_kafka
from tests.brokers.download import jars
from tests.brokers.shared import ask_for_kafka
from tests.report import REQUIRE_KAFKA, Leader, Seen, is_for_sources, is_left_out, on_kafka

KAFKA_FIXTURES: Final = frozenset({"kafka", "kafka_alone", "kafka_from_maven"})

# Hundreds of processes: each would compile the project and its libraries anew, which takes longer than most of what they do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A run in the background of a script has it ignored, and so would the commands that tests press Ctrl-C on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No time limit for one example: the machine is shared. A failure prints the blob that repeats it.
settings.register_profile("orchestrator", deadline=None, print_blob=True)
settings.load_profile("orchestrator")

_BLOCK: Final = re.compile(r"\[[^\]]*\.md:\d+\]$")
_seen: Final = pytest.StashKey[Seen]()


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A real Apache Kafka, shared by the whole run: take topic and group names from `tests.brokers.unique`."""
    leader = getattr(request.config, "workerinput", {}).get("shared_kafka")
    try:
        broker = ask_for_kafka(leader) if leader else start_kafka()
    except KafkaUnavailable as error:
        _no_kafka(str(error))
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


def _no_kafka(reason: str) -> NoReturn:
    if os.environ.get(REQUIRE_KAFKA) == "1":
        pytest.fail(f"{REQUIRE_KAFKA}=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def _keep_log_of_failure(request: pytest.FixtureRequest, broker: Broker) -> None:
    request.config.stash[_seen].keep_log_of_failure(request.session, broker)


def pytest_configure(config: pytest.Config) -> None:
    """Watch what becomes of the Kafka tests."""
    seen = config.stash[_seen] = Seen(config)
    config.pluginmanager.register(seen, "kafka-seen")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Leader(seen), "kafka-leader")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` is: one more than the cores, because the tests on a real Kafka mostly wait."""
    return (os.cpu_count() or 1) + 1


class Documents(LoadScopeScheduling):
    """Gives out tests one by one in their order, but a document's blocks, `...[docs/errors.md:7]`, all to one process.

    So are those of the folders that share a server of their own.

    Rejected: `--dist loadgroup`: seen to spread the blocks all the same.
    """

    def _split_scope(self, nodeid: str) -> str:
        for folder in ("tests/security", "tests/registry"):
            if nodeid.startswith(f"{folder}/"):
                return folder
        return nodeid.rpartition(":")[0] if _BLOCK.search(nodeid) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Documents:
    """Which process gets which test."""
    return Documents(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The fast tests first, then those on a real Kafka, the longest of them first so that no process is left alone with one.

    Those marked `long` are left out where the environment says so. A test that takes a Kafka fixture is marked so, said or not.
    A group (`xdist_group`) stays together, with its slowest part.
    """
    for item in items:
        if KAFKA_FIXTURES.intersection(getattr(item, "fixturenames", ())) and not on_kafka(item):
            item.add_marker(pytest.mark.kafka)
    left_out = [item for item in items if is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not is_left_out(item)]
    items[:] = [item for item in items if not is_for_sources(item)]
    late = {_group(item) for item in items if on_kafka(item)}
    slow = {_group(item) for item in items if _is_slow(item)}
    items.sort(key=lambda item: (_group(item) in late, _group(item) in late and _group(item) not in slow))


def _group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return mark.kwargs["name"] if mark else item.nodeid


def _is_slow(item: pytest.Item) -> bool:
    """Marked so; workers and brokers of a test's own take their time."""
    is_whole_system = item.path.parent.name in {"contract", "faults"} or "kafka_alone" in getattr(item, "fixturenames", ())
    return is_whole_system or item.get_closest_marker("slow") is not None

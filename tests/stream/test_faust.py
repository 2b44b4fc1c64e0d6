"""What of Faust and mode the stream room relies on beyond their documentation: a new version must fail here first, and loudly."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points, version
from typing import Any

import faust
import pytest
from faust import streams
from faust.tables import TableManager
from faust.tables.table import Table
from faust.transport import base
from faust.types import TP, ConsumerMessage
from mode import Service

from orchestrator.stream import transport
from orchestrator.stream.customers import CustomerTable, CustomerTables

PINNED = "0.15.3"


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("faust-streaming") == PINNED


def test_the_transport_is_found_by_its_scheme() -> None:
    (found,) = entry_points(group="faust.transports", name="librdkafka")
    assert found.load() is transport.Transport
    assert faust.transport.by_url("librdkafka://localhost:9092") is transport.Transport


OVERRIDDEN: dict[type, tuple[type, set[str]]] = {
    transport.Consumer: (
        base.Consumer,
        {
            "on_start", "on_stop", "subscribe", "assignment", "topic_partitions", "commit", "_commit", "perform_seek",
            "seek_to_committed", "_seek", "seek_wait", "position", "highwater", "earliest_offsets", "highwaters",
            "key_partition", "create_topic", "_getmany", "_new_topicpartition", "consumer_stopped_errors",
        },
    ),
    transport.Fetcher: (base.Fetcher, {"_fetcher"}),
    transport.Producer: (base.Producer, {"send", "flush", "create_topic", "key_partition"}),
    transport.Transport: (base.Transport, {"Consumer", "Producer", "Fetcher"}),
    CustomerTable: (Table, {"__getitem__", "__setitem__", "__delitem__", "on_start"}),
    CustomerTables: (
        TableManager,
        {"on_start", "on_stop", "on_partitions_revoked", "on_rebalance", "wait_until_recovery_completed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("ours", OVERRIDDEN, ids=lambda ours: ours.__name__)
def test_what_is_replaced_exists_in_what_it_replaces(ours: type) -> None:
    theirs, names = OVERRIDDEN[ours]
    for name in names:
        assert hasattr(theirs, name), f"{theirs.__name__}.{name} is gone: what is overridden in its place is called no more"
        assert name in vars(ours), f"{ours.__name__} does not override {name} any more: take it off this list"


SIGNATURES: list[tuple[Any, tuple[str, ...]]] = [
    (base.Consumer.on_partitions_assigned, ("self", "assigned", "generation_id")),
    (base.Consumer.on_partitions_revoked, ("self", "revoked")),
    (base.Consumer.subscribe, ("self", "topics")),
    (base.Consumer.resume_flow, ("self",)),
    (TableManager.on_rebalance, ("self", "assigned", "revoked", "newly_assigned", "generation_id")),
    (TableManager.on_partitions_revoked, ("self", "revoked")),
    (TableManager.on_actives_ready, ("self",)),
    (TableManager.on_standbys_ready, ("self",)),
    (faust.App.on_rebalance_start, ("self",)),
    (faust.App.on_rebalance_end, ("self",)),
    (faust.App.finalize, ("self",)),
    (Service.add_runtime_dependency, ("self", "service")),
    (Service.crash, ("self", "reason")),
    (Service.wait_until_stopped, ("self",)),
]


@pytest.mark.parametrize(("function", "parameters"), SIGNATURES, ids=lambda x: getattr(x, "__qualname__", ""))
def test_what_is_called_takes_what_it_is_given(function: Any, parameters: tuple[str, ...]) -> None:
    assert tuple(inspect.signature(function).parameters) == parameters


def test_a_crash_reaches_who_waits_for_the_app() -> None:
    """The runner tells by these two whether the app ended by itself and why."""
    source = inspect.getsource(Service._execute_task)
    assert "except BaseException as exc" in source
    assert "await self.crash(exc)" in source
    assert isinstance(Service.crash_reason, property)
    assert isinstance(Service.should_stop, property)


def test_a_message_carries_its_generation_and_a_stale_one_is_skipped_in_silence() -> None:
    names = list(inspect.signature(ConsumerMessage).parameters)
    assert names[:12] == [
        "topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key", "value", "checksum",
        "serialized_key_size", "serialized_value_size", "tp",
    ]  # fmt: skip
    assert "generation_id" in names
    assert "message.generation_id != self.app.consumer_generation_id" in inspect.getsource(streams)
    assert TP("t", 1) == ("t", 1)


def test_the_table_manager_has_the_events_that_faust_waits_for() -> None:
    source = inspect.getsource(TableManager)
    for name in ("_tables_finalized", "_tables_registered", "_recovery_started", "on_rebalance_complete"):
        assert name in source + inspect.getsource(faust.App), name


def test_the_app_has_what_a_rebalance_needs() -> None:
    app_source = inspect.getsource(faust.App)
    for name in ("flow_control", "consumer", "on_rebalance_complete"):
        assert name in app_source, name


SETTINGS = (
    "broker", "store", "version", "autodiscover", "datadir", "topic_partitions", "topic_allow_declare", "topic_disable_leader",
    "stream_wait_empty", "stream_recovery_delay", "web_enabled", "broker_session_timeout", "worker_redirect_stdouts", "Table",
    "TableManager",
)  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_the_settings_are_still_known(name: str) -> None:
    assert name in faust.Settings.SETTINGS or hasattr(faust.Settings, name)

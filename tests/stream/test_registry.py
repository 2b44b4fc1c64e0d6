"""The registry as the worker sees it: what it says is kept, and what it does not say is nobody's fault."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Message

from orchestrator.errors import Unreachable, UsageError
from orchestrator.operate.contract.subjects import schema_text
from orchestrator.stream import registry as room
from orchestrator.stream.registry import Registry, connect
from orchestrator.wire import framing
from tests.stream.stub import Stub
from tests.wire.messages import NOW, SCHEMAS

REF = ("id", (7).to_bytes(4, "big"))
RESOLVED = framing.SchemaRef("id", REF[1], 5)


def message(value: bytes | None, headers: Any = None) -> Message:
    return Message(topic="t", partition=0, offset=0, key=b"c", value=value, headers=headers, timestamp=(1, NOW))


def schema() -> str:
    event = SCHEMAS.get("purchase.made")
    assert event is not None
    return schema_text(event)


def test_b1_only_what_names_a_registrys_schema_is_asked_for(stub: Stub) -> None:
    guid = ("__value_schema_id", b"\x01" + bytes(16))
    asked = stub.registry().missing(
        [
            message(None),
            message(b"\xc3\x01" + bytes(9)),
            message(b"\x00\x00"),
            message(b"\x00\x00\x00\x00\x07x"),
            message(b"x", [guid]),
        ]
    )
    assert asked == {REF, ("guid", bytes(16))}


def test_b1_a_schema_is_asked_for_once(stub: Stub) -> None:
    stub.answer = lambda: (200, {"schema": schema()})
    registry = stub.registry()
    assert registry.resolve(RESOLVED) is None, "never blocks"
    registry.fetch({REF})
    found = registry.resolve(RESOLVED)
    assert found is not None
    assert (found.type, stub.asked) == ("purchase.made", 1)
    assert registry.missing([message(b"\x00\x00\x00\x00\x07x")]) == set()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((404, {"error_code": 40403, "message": "none"}), id="unknown"),
        pytest.param((200, {"schema": '{"type": "record"}'}), id="no Avro"),
        pytest.param((200, {"schema": '{"type": "object"}', "schemaType": "JSON"}), id="JSON Schema"),
        pytest.param((200, {"schema": '"string"'}), id="no record"),
        pytest.param((200, {"schema": "[" * 100_000}), id="nested"),
    ],
)
def test_b1_what_the_registry_does_not_have_or_nobody_should_decode_by_is_unknown_for_a_while(
    stub: Stub, answer: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer = lambda: answer
    registry = stub.registry()
    registry.fetch({REF})
    assert registry.resolve(RESOLVED) is None
    assert registry.missing([message(b"\x00\x00\x00\x00\x07x")]) == set()
    now = time.monotonic()
    monkeypatch.setattr(room, "monotonic", lambda: now + room._UNKNOWN_FOR_S + 1)
    assert registry.missing([message(b"\x00\x00\x00\x00\x07x")]) == {REF}, "then it is asked again"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((500, {"error_code": 500, "message": "secret-of-c1"}), id="500"),
        pytest.param((503, b"<html>"), id="503"),
        pytest.param((401, {"error_code": 401, "message": "who?"}), id="401"),
        pytest.param((302, b""), id="redirect"),
        pytest.param((404, b"<html>nginx</html>"), id="a proxy's 404"),
        pytest.param((404, {"error_code": 0, "message": "RESTEASY003210"}), id="404 of a wrong path"),
        pytest.param((200, b"not json"), id="garbage"),
        pytest.param((200, {"nothing": 1}), id="no schema in it"),
    ],
)
def test_b1_a_registry_that_does_not_help_is_no_fault_of_the_record(stub: Stub, answer: tuple[int, Any]) -> None:
    stub.answer = lambda: answer
    registry = stub.registry()
    with pytest.raises(Unreachable) as caught:
        registry.fetch({REF})
    assert "secret" not in str(caught.value)
    assert registry.missing([message(b"\x00\x00\x00\x00\x07x")]) == {REF}


def test_b1_a_registry_that_knows_no_guids_has_not_the_schema(stub: Stub) -> None:
    stub.answer = lambda: (404, {"error_code": 0, "message": "RESTEASY003210"})
    registry = stub.registry()
    registry.fetch({("guid", bytes(16))})
    assert registry.missing([message(b"x", [("__value_schema_id", b"\x01" + bytes(16))])]) == set()


def test_b1_neither_is_one_that_is_slow_or_away(stub: Stub) -> None:
    stub.answer = lambda: (time.sleep(3), (200, {"schema": schema()}))[1]
    with pytest.raises(Unreachable):
        stub.registry().fetch({REF})
    with pytest.raises(Unreachable):
        Registry(connect({"url": "http://127.0.0.1:1", "max.retries": "0"}), SCHEMAS).fetch({REF})


def test_settings_that_the_client_does_not_take_are_the_users_fault() -> None:
    with pytest.raises(UsageError):
        connect({"url": "http://127.0.0.1:1", "no.such.setting": "x"})


def test_b1_a_fetch_that_nobody_waits_for_ends_early(stub: Stub) -> None:
    stub.answer = lambda: (200, {"schema": schema()})
    registry = stub.registry()
    registry.give_up()
    registry.fetch({REF})
    assert (registry.resolve(RESOLVED), stub.asked) == (None, 0)
    assert registry.missing([message(b"\x00\x00\x00\x00\x07x")]) == {REF}, "nothing was learned of it"

"""The proxy does what its rules say, to the one message that they are about, and to nothing else."""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from kafka.protocol.api_header import RequestHeader
from kafka.protocol.api_key import ApiKey
from kafka.protocol.producer import TxnOffsetCommitResponse

from tests.faults.answers import with_error
from tests.faults.proxy import HOST, Deed, Proxy, Request, Rule, Side

QUIET_S = 0.4  # nothing that was to come comes in this time


class FakeBroker:
    """Answers every request with its correlation id and its last bytes, and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[int, bytes]] = []  # api key, body
        self.ended: list[str] = []
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line:
            try:
                while frame := receive(line):
                    request, body = Request.of(frame), frame[-4:]
                    self.got.append((request.api, body))
                    send(line, struct.pack(">i", request.correlation) + body)
                self.ended.append("fin")
            except ConnectionResetError:
                self.ended.append("rst")

    def close(self) -> None:
        self._server.close()


def send(line: socket.socket, frame: bytes) -> None:
    line.sendall(struct.pack(">i", len(frame)) + frame)


def receive(line: socket.socket) -> bytes:
    """One frame; nothing at the end."""
    size = line.recv(4, socket.MSG_WAITALL)
    return line.recv(struct.unpack(">i", size)[0], socket.MSG_WAITALL) if size else b""


class Client:
    """A client of the proxy that numbers its requests."""

    def __init__(self, proxy: Proxy, name: str = "worker") -> None:
        self.line = socket.create_connection((HOST, proxy.port))
        self.line.settimeout(10)
        self._name = name
        self._sent = 0

    def ask(self, api: ApiKey, body: bytes) -> None:
        self._sent += 1
        name = self._name.encode()
        send(self.line, struct.pack(">hhih", api, 1, self._sent, len(name)) + name + body)

    def hears(self) -> bytes:
        """The body of the next answer, which must be to the request of that number."""
        return receive(self.line)[4:]

    def hears_nothing(self) -> bool:
        self.line.settimeout(QUIET_S)
        try:
            return receive(self.line) == b"nothing"
        except TimeoutError:
            return True
        finally:
            self.line.settimeout(10)


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    made = FakeBroker()
    yield made
    made.close()


@pytest.fixture
def proxy(broker: FakeBroker) -> Iterator[Proxy]:
    with Proxy(broker.port) as made:
        yield made


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients and hangs up for them."""
    with ExitStack() as held:

        def make(proxy: Proxy, name: str = "worker") -> Client:
            made = Client(proxy, name)
            held.enter_context(made.line)
            return made

        yield make


@pytest.fixture
def client(proxy: Proxy, connect: Connect) -> Client:
    return connect(proxy)


def test_the_header_is_read_as_kafkas_clients_write_it() -> None:
    header = RequestHeader(request_api_key=26, request_api_version=1, correlation_id=99, client_id="wörker")
    assert Request.of(header.encode() + b"rest") == Request(26, 1, 99, "wörker")


def test_without_rules_everything_passes_in_order(client: Client, broker: FakeBroker) -> None:
    for number in range(20):
        client.ask(ApiKey.Produce, b"%04d" % number)
    assert [client.hears() for _ in range(20)] == [b"%04d" % number for number in range(20)]


def test_a_large_message_passes_whole(client: Client, broker: FakeBroker) -> None:
    client.ask(ApiKey.Produce, b"x" * 3_000_000 + b"tail")
    assert client.hears() == b"tail"


def test_a_dropped_request_never_reaches_the_broker_and_the_connection_stays(
    client: Client, proxy: Proxy, broker: FakeBroker
) -> None:
    rule = proxy.add(Rule(ApiKey.EndTxn, Side.REQUEST, Deed.DROP))
    client.ask(ApiKey.EndTxn, b"lost")
    client.ask(ApiKey.EndTxn, b"next")
    assert client.hears() == b"next"
    assert broker.got == [(26, b"next")]
    assert rule.done.is_set()


def test_a_dropped_answer_was_asked_for_all_the_same(client: Client, proxy: Proxy, broker: FakeBroker) -> None:
    proxy.add(Rule(ApiKey.EndTxn, Side.ANSWER, Deed.DROP))
    client.ask(ApiKey.EndTxn, b"done")
    assert client.hears_nothing()
    assert broker.got == [(26, b"done")]


def test_a_rule_counts_matches_by_api_and_client_only(proxy: Proxy, broker: FakeBroker, connect: Connect) -> None:
    rule = proxy.add(Rule(ApiKey.Heartbeat, Side.REQUEST, Deed.DROP, nth=2, count=2, client="w1"))
    one, other = connect(proxy, "app-w1"), connect(proxy, "app-w2")
    for number in range(5):
        one.ask(ApiKey.Fetch, b"f--%d" % number)
        one.ask(ApiKey.Heartbeat, b"one%d" % number)
        other.ask(ApiKey.Heartbeat, b"two%d" % number)
    assert [other.hears() for _ in range(5)] == [b"two%d" % number for number in range(5)]
    heard = [one.hears() for _ in range(8)]
    assert [each for each in heard if each.startswith(b"one")] == [b"one0", b"one3", b"one4"]
    assert rule.seen == 5


def test_a_rule_for_ever_holds_for_ever(client: Client, proxy: Proxy, broker: FakeBroker) -> None:
    proxy.add(Rule(ApiKey.JoinGroup, Side.REQUEST, Deed.DROP, count=math.inf))
    for _ in range(50):
        client.ask(ApiKey.JoinGroup, b"join")
    client.ask(ApiKey.Fetch, b"last")
    assert client.hears() == b"last"
    assert len(broker.got) == 1


def test_a_cut_at_the_answer_ends_both_connections_after_the_broker_did_its_work(
    client: Client, proxy: Proxy, broker: FakeBroker, connect: Connect
) -> None:
    proxy.add(Rule(ApiKey.EndTxn, Side.ANSWER, Deed.CUT))
    client.ask(ApiKey.EndTxn, b"done")
    assert client.hears() == b""
    assert broker.got == [(26, b"done")]
    assert _comes(lambda: broker.ended == ["fin"])
    again = connect(proxy)
    again.ask(ApiKey.EndTxn, b"more")
    assert again.hears() == b"more"


def test_a_reset_is_a_reset(client: Client, proxy: Proxy, broker: FakeBroker) -> None:
    proxy.add(Rule(ApiKey.Produce, Side.REQUEST, Deed.RESET))
    client.ask(ApiKey.Produce, b"lost")
    with pytest.raises(ConnectionResetError):
        client.hears()
    assert _comes(lambda: broker.ended == ["rst"])
    assert broker.got == []


def test_a_delay_keeps_the_order(client: Client, proxy: Proxy, broker: FakeBroker) -> None:
    proxy.add(Rule(ApiKey.TxnOffsetCommit, Side.REQUEST, Deed.DELAY, seconds=0.5))
    started = time.monotonic()
    client.ask(ApiKey.TxnOffsetCommit, b"slow")
    client.ask(ApiKey.EndTxn, b"then")
    assert [client.hears(), client.hears()] == [b"slow", b"then"]
    assert time.monotonic() - started >= 0.5


def test_what_is_held_passes_when_it_is_released(client: Client, proxy: Proxy, broker: FakeBroker) -> None:
    rule = proxy.add(Rule(ApiKey.AddOffsetsToTxn, Side.REQUEST, Deed.HOLD))
    client.ask(ApiKey.AddOffsetsToTxn, b"held")
    client.ask(ApiKey.EndTxn, b"then")
    assert rule.done.wait(10)
    assert client.hears_nothing()
    assert broker.got == []
    proxy.release(rule)
    assert [client.hears(), client.hears()] == [b"held", b"then"]


def test_a_stranded_request_reaches_the_broker_late_while_its_client_has_long_asked_again(
    client: Client, proxy: Proxy, broker: FakeBroker, connect: Connect
) -> None:
    rule = proxy.add(Rule(ApiKey.EndTxn, Side.REQUEST, Deed.STRAND))
    client.ask(ApiKey.EndTxn, b"late")
    assert client.hears() == b""
    again = connect(proxy)
    again.ask(ApiKey.EndTxn, b"soon")
    assert again.hears() == b"soon"
    assert broker.got == [(26, b"soon")]
    proxy.release(rule)
    assert rule.answered.wait(10)
    assert rule.answer[4:] == b"late"
    assert broker.got == [(26, b"soon"), (26, b"late")]


def test_an_answer_can_be_given_another_error(client: Client, proxy: Proxy, broker: FakeBroker) -> None:
    topic = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic
    part = topic.TxnOffsetCommitResponsePartition
    partitions = [part(partition_index=number, error_code=0) for number in (0, 1)]
    for version in (0, 3):
        true = TxnOffsetCommitResponse(0, [topic(name="events", partitions=partitions)], version=version)
        true.with_header(correlation_id=7)
        changed = with_error(22)(Request(ApiKey.TxnOffsetCommit, version, 7, ""), true.encode(header=True))
        found = TxnOffsetCommitResponse.decode(changed, version=version, header=True)
        assert found.header.correlation_id == 7
        assert [(p.partition_index, p.error_code) for p in found.topics[0].partitions] == [(0, 22), (1, 22)]
    proxy.add(Rule(ApiKey.Fetch, Side.ANSWER, Deed.CHANGE, change=lambda request, frame: frame[:4] + b"false"))
    client.ask(ApiKey.Fetch, b"true")
    assert client.hears() == b"false"


def test_a_broker_forgets_half_open_connections_and_their_clients_are_not_told(
    client: Client, proxy: Proxy, broker: FakeBroker, connect: Connect
) -> None:
    client.ask(ApiKey.Fetch, b"heed")
    assert client.hears() == b"heed"
    proxy.half_open()
    assert _comes(lambda: broker.ended == ["fin"])
    client.ask(ApiKey.Fetch, b"void")
    assert client.hears_nothing()
    new = connect(proxy)
    new.ask(ApiKey.Fetch, b"new!")
    assert new.hears() == b"new!"
    assert [body for _, body in broker.got] == [b"heed", b"new!"]


def test_nothing_passes_a_frozen_line_and_everything_comes_after(
    client: Client, proxy: Proxy, broker: FakeBroker, connect: Connect
) -> None:
    proxy.freeze()
    client.ask(ApiKey.Fetch, b"cold")
    late = connect(proxy)
    late.ask(ApiKey.Fetch, b"late")
    assert client.hears_nothing()
    assert broker.got == []
    proxy.heal()
    assert (client.hears(), late.hears()) == (b"cold", b"late")


def test_lost_messages_come_late_and_in_order_and_many_losses_on_end_are_a_reset(
    proxy: Proxy, broker: FakeBroker, connect: Connect
) -> None:
    proxy.dice.seed(5)
    proxy.loss = 0.3
    client = connect(proxy)
    started = time.monotonic()
    for number in range(8):
        client.ask(ApiKey.Produce, b"%04d" % number)
    assert [client.hears() for _ in range(8)] == [b"%04d" % number for number in range(8)]
    assert time.monotonic() - started > 0.2
    proxy.loss, proxy.resets = 0.0, 1.0
    client.ask(ApiKey.Produce, b"gone")
    with pytest.raises(ConnectionResetError):
        client.hears()


def test_a_broker_that_is_down_ends_the_connection(broker: FakeBroker, connect: Connect) -> None:
    broker.close()
    with ExitStack() as held:
        nobody = held.enter_context(socket.socket())
        nobody.bind((HOST, 0))  # bound and not listening: nobody else gets the port
        proxy = held.enter_context(Proxy(nobody.getsockname()[1]))
        client = connect(proxy)
        client.ask(ApiKey.Fetch, b"????")
        assert client.hears() == b""


def test_a_failing_rule_is_told_when_the_proxy_stops(broker: FakeBroker, connect: Connect) -> None:
    def wrong(request: Request, frame: bytes) -> bytes:
        raise ValueError("of the test")

    proxy = Proxy(broker.port).start()
    proxy.add(Rule(ApiKey.Fetch, Side.ANSWER, Deed.CHANGE, change=wrong))
    client = connect(proxy)
    client.ask(ApiKey.Fetch, b"what")
    assert client.hears() == b""
    with pytest.raises(ValueError, match="of the test"):
        proxy.stop()


def _comes(is_true: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True

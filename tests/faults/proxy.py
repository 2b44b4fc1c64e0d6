"""A TCP proxy that knows Kafka's request header: it can delay, drop, hold, cut or change one message, or spoil the whole line.

It stands in front of one broker, whose listener for proxied clients advertises the proxy's port. Clients cannot tell it from the
broker. Rules are set by the test, which sees what they did; the proxy itself lives in a thread of its own.

    rule = proxy.add(Rule(ApiKey.EndTxn, Side.ANSWER, Deed.CUT))
    ...
    assert rule.done.wait(10)
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Self

from kafka.protocol.api_key import ApiKey

HOST: Final = "127.0.0.1"
_HEADER: Final = struct.Struct(">hhih")  # api key, its version, correlation id, length of the client's name
RESENT_AFTER_S: Final = 0.2  # as Linux does for a lost packet, twice as long each time
LOST_FOR_GOOD: Final = 7  # losses on end after which the line is reset, as after a TCP time-out
_ANSWERED_S: Final = 10.0


class Side(Enum):
    """Which half of the talk a rule is about."""

    REQUEST = "request"
    ANSWER = "answer"


class Deed(Enum):
    """What becomes of the message that a rule is about."""

    DELAY = "delay"  # for `seconds`; what follows on the connection waits behind it
    HOLD = "hold"  # until `release`; what follows on the connection waits behind it
    DROP = "drop"  # it alone is lost, the connection stays
    CUT = "cut"  # it is lost and the connection with it
    RESET = "reset"  # the same with RST instead of FIN
    STRAND = "strand"  # a request: the client loses the connection, the broker gets it at `release` all the same
    CHANGE = "change"  # `change` makes another message of it


@dataclass(frozen=True)
class Request:
    """What the header of a request says."""

    api: int
    version: int
    correlation: int
    client: str

    @classmethod
    def of(cls, frame: bytes) -> Request:
        api, version, correlation, length = _HEADER.unpack_from(frame)
        return cls(api, version, correlation, frame[_HEADER.size : _HEADER.size + max(length, 0)].decode())


@dataclass(eq=False)
class Rule:
    """What to do with the messages of one API, from the `nth` that matches on, `count` times."""

    api: ApiKey
    side: Side
    deed: Deed
    nth: int = 1
    count: float = 1  # math.inf for ever
    client: str = ""  # part of the client's name
    seconds: float = 0.0
    change: Callable[[Request, bytes], bytes] = lambda _, frame: frame
    seen: int = 0
    done: threading.Event = field(default_factory=threading.Event)  # it was applied at least once
    answered: threading.Event = field(default_factory=threading.Event)  # the broker answered a stranded request
    answer: bytes = b""
    released: threading.Event = field(default_factory=threading.Event)

    def takes(self, request: Request, side: Side) -> bool:
        """Count a message that it is about; tell whether this is one to act on."""
        if side is not self.side or request.api != self.api or self.client not in request.client:
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.count


class Proxy:
    """Stands in front of one broker; a context manager. Every method may be called from any thread."""

    def __init__(self, upstream: int = 0, *, seed: int = 0) -> None:
        """`upstream` is the broker's port for proxied clients, which may be set later, before the first client comes."""
        self.upstream = upstream
        self.port = 0
        self.loss = 0.0  # the share of messages that are lost on the way and sent again, as TCP does
        self.resets = 0.0  # the share of messages that meet a reset instead
        self.is_frozen = False
        self.dice = random.Random(seed)
        self.rules: list[Rule] = []
        self.lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self.failures: list[BaseException] = []  # of the proxy itself

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        """Cut everything and be gone. Raises what went wrong in the proxy itself: a test must not pass for that."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self.failures:
            raise self.failures[0]

    def add(self, rule: Rule) -> Rule:
        """Set a rule, which holds from now on; the first of those that take a message has it."""
        self.rules.append(rule)
        return rule

    def release(self, rule: Rule) -> None:
        """Let go of what a rule holds or has stranded."""
        rule.released.set()

    def freeze(self) -> None:
        """No byte passes any more, in either direction; connections stay, new ones are accepted into silence."""
        self.is_frozen = True

    def half_open(self) -> None:
        """The broker loses every connection that there is now, and no client is told; new connections work."""
        self._do(self._each(lambda line: line.forget_broker()))

    def reset(self) -> None:
        """Every connection ends with RST on both sides."""
        self._do(self._each(lambda line: line.cut(with_reset=True)))

    def heal(self) -> None:
        """No rule and no disturbance any more; what was held goes on."""
        for rule in self.rules:
            self.release(rule)
        self.rules.clear()
        self.loss = self.resets = 0.0
        self.is_frozen = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _each(self, deed: Callable[[_Line], None]) -> None:
        for line in list(self.lines):
            deed(line)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        line = _Line(self, client, to_client)
        self.lines.add(line)
        try:
            await line.serve()
        finally:
            self.lines.discard(line)

    async def _close(self) -> None:
        self.heal()
        if self._server is not None:
            self._server.close()
        await self._each(lambda line: line.cut())
        while self.lines:
            await asyncio.sleep(0.01)


class _Line:
    """One client's connection and the one to the broker that belongs to it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client, self._to_client = client, to_client
        self._to_broker: asyncio.StreamWriter | None = None
        self._asked: dict[int, Request] = {}
        self._stranded: Rule | None = None
        self._is_forgotten = False

    async def serve(self) -> None:
        try:
            while self._proxy.is_frozen:
                await asyncio.sleep(0.02)
            broker, self._to_broker = await asyncio.open_connection(HOST, self._proxy.upstream)
        except OSError:
            self.cut()
            return
        asking = asyncio.create_task(self._carry(self._client, self._to_broker, Side.REQUEST))
        answering = asyncio.create_task(self._carry(broker, self._to_client, Side.ANSWER))
        await asyncio.wait([asking, answering], return_when=asyncio.FIRST_COMPLETED)
        if self._is_forgotten or self._stranded is not None:
            await asking
        self.cut()
        ends = await asyncio.gather(asking, answering, return_exceptions=True)
        self._proxy.failures += [each for each in ends if isinstance(each, Exception)]

    def cut(self, *, with_reset: bool = False) -> None:
        for writer in (self._to_client, self._to_broker):
            if writer is not None:
                _end(writer, with_reset=with_reset)

    def forget_broker(self) -> None:
        self._is_forgotten = True
        if self._to_broker is not None:
            _end(self._to_broker)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, side: Side) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                (size,) = struct.unpack(">i", await source.readexactly(4))
                frame = await source.readexactly(size)
                passed = await self._weather(await self._treat(frame, side))
                if passed is not None and not target.is_closing():
                    target.write(struct.pack(">i", len(passed)) + passed)
                    await target.drain()
                if self._stranded is not None and side is Side.REQUEST:
                    await self._see_off()
                    return

    async def _treat(self, frame: bytes, side: Side) -> bytes | None:
        """Give what is to be passed on, None for nothing."""
        if side is Side.REQUEST:
            request = Request.of(frame)
            self._asked[request.correlation] = request
        else:
            request = self._asked.pop(int.from_bytes(frame[:4]), Request(-1, 0, 0, ""))
            if self._stranded is not None:
                if request.api == self._stranded.api:
                    self._stranded.answer = frame
                    self._stranded.answered.set()
                return None  # nobody hears it, so no rule is about it
        rule = next((each for each in list(self._proxy.rules) if each.takes(request, side)), None)
        if rule is None:
            return frame
        rule.done.set()
        return await self._apply(rule, request, frame)

    async def _apply(self, rule: Rule, request: Request, frame: bytes) -> bytes | None:
        match rule.deed:
            case Deed.DELAY:
                await asyncio.sleep(rule.seconds)
            case Deed.HOLD:
                await _until_released(rule)
            case Deed.STRAND:
                self._stranded = rule
                _end(self._to_client)
                await _until_released(rule)
            case Deed.CHANGE:
                return rule.change(request, frame)
            case Deed.CUT | Deed.RESET:
                self.cut(with_reset=rule.deed is Deed.RESET)
                return None
            case Deed.DROP:
                return None
        return frame

    async def _see_off(self) -> None:
        """Wait for the broker's answer to a stranded request, which nobody else will hear."""
        for _ in range(int(_ANSWERED_S / 0.01)):
            if not self._asked:
                break
            await asyncio.sleep(0.01)

    async def _weather(self, frame: bytes | None) -> bytes | None:
        """Let a message suffer what the line does to all."""
        proxy = self._proxy
        while proxy.is_frozen:
            await asyncio.sleep(0.02)
        lost = 0
        while proxy.dice.random() < proxy.loss and lost < LOST_FOR_GOOD:
            await asyncio.sleep(RESENT_AFTER_S * 2**lost)
            lost += 1
        if lost == LOST_FOR_GOOD or proxy.dice.random() < proxy.resets:
            self.cut(with_reset=True)
            return None
        return frame


async def _until_released(rule: Rule) -> None:
    """Looked at now and then: one rule may stand in several proxies, each with a loop of its own."""
    while not rule.released.is_set():
        await asyncio.sleep(0.005)


def _end(writer: asyncio.StreamWriter, *, with_reset: bool = False) -> None:
    """Close a connection; with a reset the peer is told that nothing of it holds any more."""
    if with_reset and (raw := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if with_reset:
        writer.transport.abort()
    else:
        writer.close()

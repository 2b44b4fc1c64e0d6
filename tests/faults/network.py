"""Rows 8 to 11: what befalls the lines between workers and brokers. Each function returns when the lines are whole again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError
from kafka.protocol.api_key import ApiKey

from tests.faults.answers import with_error
from tests.faults.line import Line
from tests.faults.proxy import Deed, Rule, Side

# So that a test need not wait a minute for a request on a dead connection to be given up; sessions are 6 s, see the fleet.
IMPATIENT: Final = (
    "kafka.socket.timeout.ms=4000",
    "kafka.socket.connection.setup.timeout.ms=2000",
    "kafka.max.poll.interval.ms=15000",
)
HAPPENS_S: Final = 30.0
REFUSALS: Final = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REBALANCE_IN_PROGRESS,
)


class DidNotHappen(Exception):
    """No request came by that the fault is about: the workers do nothing."""


def lose_commit_answer(line: Line, lasts_s: float) -> None:
    """Row 8: the broker commits, the connection breaks before it can say so."""
    _once(line, Rule(ApiKey.EndTxn, Side.ANSWER, Deed.CUT))


def delay_commit(line: Line, lasts_s: float) -> None:
    """Row 9: the client loses the connection and asks again; the first request arrives in the midst of the next transaction."""
    late = _add(line, Rule(ApiKey.EndTxn, Side.REQUEST, Deed.STRAND))
    _await(late)
    midst = _add(line, Rule(ApiKey.TxnOffsetCommit, Side.REQUEST, Deed.HOLD))
    _await(midst)
    _release(line, late)
    late.answered.wait(HAPPENS_S)
    line.heal()


def refuse_offsets(line: Line, lasts_s: float) -> None:
    """Row 10: the group's coordinator refuses the offsets, for one reason after the other."""
    for code in REFUSALS:
        _once(line, Rule(ApiKey.TxnOffsetCommit, Side.ANSWER, Deed.CHANGE, change=with_error(code)))


def lose_half(line: Line, lasts_s: float) -> None:
    """Row 11: every second message is lost on the way and sent again, as TCP does; seven losses on end are a reset."""
    for proxy in line.proxies:
        proxy.loss = 0.5
    time.sleep(lasts_s)
    line.heal()


def reset_often(line: Line, lasts_s: float) -> None:
    """Row 11: one message in fifty meets a reset."""
    for proxy in line.proxies:
        proxy.resets = 0.02
    time.sleep(lasts_s)
    line.heal()


def half_open(line: Line, lasts_s: float) -> None:
    """Row 11: the brokers lose all connections, and no client is told."""
    for proxy in line.proxies:
        proxy.half_open()
    time.sleep(lasts_s)


def freeze(line: Line, lasts_s: float) -> None:
    """Row 11: for a while nothing passes, and nobody is told; then everything does."""
    for proxy in line.proxies:
        proxy.freeze()
    time.sleep(lasts_s)
    line.heal()


DISTURBANCES: Final[dict[str, Callable[[Line, float], None]]] = {
    "lost commit answer": lose_commit_answer,
    "late commit": delay_commit,
    "refused offsets": refuse_offsets,
    "half of all lost": lose_half,
    "resets": reset_often,
    "half-open": half_open,
    "frozen": freeze,
}


def _once(line: Line, rule: Rule) -> None:
    _await(_add(line, rule))
    line.heal()


def _add(line: Line, rule: Rule) -> Rule:
    for proxy in line.proxies:
        proxy.add(rule)
    return rule


def _release(line: Line, rule: Rule) -> None:
    for proxy in line.proxies:
        proxy.release(rule)


def _await(rule: Rule) -> None:
    if not rule.done.wait(HAPPENS_S):
        raise DidNotHappen(f"{rule.api.name} did not come by in {HAPPENS_S:.0f} s")

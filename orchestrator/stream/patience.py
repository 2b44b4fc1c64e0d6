"""Outlasting brokers that are out of reach while partitions are opened."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException

from orchestrator.errors import Unreachable
from orchestrator.observe.logs import logger
from orchestrator.stream.commit import Interrupted
from orchestrator.stream.positions import unreachable

log = logger(__name__)

T = TypeVar("T")

# How long an opening outlasts brokers that are out of reach; who starts the process again tries for longer.
REACH_TIMEOUT_S: Final = 60.0
_PAUSE_S: Final = 1.0


def patiently(work: Callable[[], T], what: str, is_stopped: Callable[[], bool], **noted: Any) -> T:
    """Do it, and for a minute do it again where Kafka does not answer; `what` is read and is named then, the rest is logged.

    Raises Interrupted where it is not wanted any more, Unreachable after the minute.
    """
    deadline = time.monotonic() + REACH_TIMEOUT_S
    while True:
        try:
            return work()
        except (KafkaException, Unreachable) as error:
            if time.monotonic() > deadline:
                raise error if isinstance(error, Unreachable) else unreachable(what, error) from error
            log.warning("restore_waits", why=str(error).splitlines()[0], **noted)
        if is_stopped():
            raise Interrupted
        time.sleep(_PAUSE_S)

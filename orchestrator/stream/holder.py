"""Which member of the group has a worker's name, asked of Kafka by a process of its own.

librdkafka ends the process that asks a group's coordinator through the Admin API when the connection is lost meanwhile (its
issues 4605 and 5397: "Assertion `eonce->refcnt > 0' failed"). A fenced worker asks just then: so a child asks, and its end is
no more than an answer that did not come. The older call without that fault tells nothing where one of the brokers is down.

    echo '{"conf": {"bootstrap.servers": "..."}, "group": "app", "name": "w0"}' | python -m orchestrator.stream.holder
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct

from orchestrator import kafka
from orchestrator.observe.logs import logger

log = logger(__name__)

ASK_TIMEOUT_S: Final = 5.0
_START_S: Final = 5.0  # what the child's start may take beyond that, on a busy machine

Holder = Callable[[], str | None]


class Answer(Struct, frozen=True):
    """The member's id, "" for none, None where that was not told, and then why."""

    holder: str | None
    why: str = ""


def holder_in_group(conf: Mapping[str, Any], group: str, name: str) -> Holder:
    """Give who asks for the id of the group's member that has this `group.instance.id`. Each call blocks up to 10 s."""
    question = json.dumps({"conf": dict(conf), "group": group, "name": name}).encode()  # by a pipe: it may have a password
    command = [sys.executable, "-m", "orchestrator.stream.holder"]

    def ask() -> str | None:
        try:
            done = subprocess.run(command, input=question, capture_output=True, timeout=ASK_TIMEOUT_S + _START_S, check=False)
        except subprocess.TimeoutExpired:
            answer = Answer(None, "no answer")
        else:
            answer = Answer(**json.loads(done.stdout)) if done.returncode == 0 else Answer(None, f"ended with {done.returncode}")
        if answer.holder is None:
            log.warning("group_not_described", why=answer.why)
        return answer.holder

    return ask


def ask_here(conf: Mapping[str, Any], group: str, name: str) -> Answer:
    """Ask in this process. Blocks up to 6 s."""
    client = kafka.admin(conf)  # held until the answer is there: a client that is let go of takes its futures along
    try:
        found = client.describe_consumer_groups([group], request_timeout=ASK_TIMEOUT_S)[group].result(ASK_TIMEOUT_S + 1)
    except TimeoutError:
        return Answer(None, "no answer")
    except KafkaException as error:
        told = error.args[0]
        return Answer("") if told.code() == KafkaError.GROUP_ID_NOT_FOUND else Answer(None, told.name())
    return Answer(next((member.member_id for member in found.members if member.group_instance_id == name), ""))


if __name__ == "__main__":
    told = ask_here(**json.load(sys.stdin))
    json.dump({"holder": told.holder, "why": told.why}, sys.stdout)

"""Whether the source topics are still there: tells a topic that was deleted from brokers that do not know it yet.

A broker that starts may answer with no topics, or with no brokers; so no single answer counts. A topic is gone when the brokers
have answered for `GONE_AFTER_S` on end, have known other topics each time, and never this one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from faust.types import TP

from orchestrator import kafka
from orchestrator.errors import TopicMismatch

LOOK_EVERY_S: Final = 10.0
GONE_AFTER_S: Final = 30.0
_ANSWER_S: Final = 5.0

UNKNOWN_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


class SourceWatch:
    """Looks at the cluster's topics while there is reason to: one list of all topics every `LOOK_EVERY_S`, no cost otherwise."""

    def __init__(self, topics: Collection[str], client: Mapping[str, Any], now: Callable[[], float] = monotonic) -> None:
        self._topics = frozenset(topics)
        self._client_config = client
        self._now = now
        self._client: Any = None
        self._missing_since: dict[str, float] = {}
        self.is_suspicious = False

    def suspect(self) -> None:
        """Note that some topic was not found; may come from any thread."""
        self.is_suspicious = True

    def look(self) -> None:
        """Ask for the topics. Blocks up to 5 s; raises TopicMismatch where a source topic is gone."""
        self._client = self._client or kafka.admin(self._client_config)
        try:
            # All topics: to ask for one by name could make it anew.
            found = self._client.list_topics(timeout=_ANSWER_S)
        except KafkaException:
            self.heard(0, ())
        else:
            self.heard(len(found.brokers), found.topics)

    def heard(self, brokers: int, topics: Collection[str]) -> None:
        """Take an answer: how many brokers, and which topics, none of either where nobody answered. Raises as `look` does."""
        if not brokers or not topics:
            self._missing_since.clear()
            return
        now = self._now()
        missing = self._topics.difference(topics)
        self._missing_since = {topic: self._missing_since.get(topic, now) for topic in sorted(missing)}
        self.is_suspicious = bool(missing)
        gone = [topic for topic, since in self._missing_since.items() if now - since >= GONE_AFTER_S]
        if gone:
            raise TopicMismatch(
                f"the brokers have not known a source topic for {GONE_AFTER_S:.0f} s; it was deleted",
                where=", ".join(gone),
                next_step="orchestrator topics create makes it anew, empty; a worker that had read of it then finds its position "
                "gone (ORC-006), and begins anew only under another app name in streams.yaml",
            )


def check_together(topics: Sequence[str], partitions: int, assigned: Set[TP]) -> None:
    """Raise TopicMismatch where the partitions that are assigned are not the same of all source topics, or too many."""
    numbers = sorted({tp.partition for tp in assigned})
    apart = [TP(topic, n) for topic in topics for n in numbers if TP(topic, n) not in assigned]
    added = [n for n in numbers if n >= partitions]
    if added:
        raise TopicMismatch(
            f"the source topics have more than the {partitions} partitions of streams.yaml; producers spread "
            "customers over all of them, so that one customer's records now come in several",
            where=f"partition {added[0]}",
            next_step="stop the producers; begin anew with topics of another count under another app name in streams.yaml",
        )
    if apart:
        raise TopicMismatch(
            "the source topics are not co-partitioned",
            where=f"{apart[0].topic}/{apart[0].partition}",
            next_step="give all of them the partition count of streams.yaml: orchestrator topics create",
        )

"""The decision log on the wire: one Handling record for everything that one record, or one timer instant, did to a customer."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from orchestrator.engine.handling import Decision, Handling
from orchestrator.names import Kind
from orchestrator.wire.binary import END, NOT_NULL, NULL, long, optional, text, text_map
from orchestrator.wire.ours import decode_ours, our_schema

KeyValueHeaders = tuple[bytes, bytes, list[tuple[str, bytes]]]

_NOTHING_MORE: Final = NULL + NULL + END  # no key, no action, no detail
_KEPT: Final = 20_000  # combinations; beyond that something else than the topology varies, and all are forgotten


# What is counted: kind, journey, version, state, step, reason, by, outcome, arm, channel, and the branch that was taken.
Counted = tuple[Any, ...]


class HandlingEncoder:
    """Writes decision logs; keeps the bytes of what repeats, so that six decisions take 5 us. One a worker.

    It counts as it writes, for the metrics, since it has looked up where anyway: under 0.1 us a decision. Adding up later, by the
    same words, takes three times that.
    """

    def __init__(self) -> None:
        self._prefix = our_schema("Handling").prefix
        # The bytes, how often they were written since the counts were taken, and by which branch, for decisions that have one.
        self._repeated: dict[tuple[str | int, ...], list[Any]] = {}
        self._earlier: Counter[Counted] = Counter()
        self._events: dict[str, bytes] = {"": NULL}
        self._sources: dict[tuple[str, int], bytes] = {}

    def encode(self, handling: Handling, topic: str = "", partition: int = 0, offset: int = 0) -> KeyValueHeaders:
        """Give (key, value, headers). `topic`, `partition` and `offset` are the source record's, left out for timers."""
        customer = handling.customer.encode()
        event = self._events.get(handling.event)
        if event is None:
            event = self._events[handling.event] = NOT_NULL + text(handling.event)
        parts = [
            self._prefix, long(len(customer)), customer, long(handling.at), event, optional(handling.event_id),
            self._source(topic, partition, offset) if topic and handling.event else NULL,
        ]  # fmt: skip
        if handling.decisions:
            parts.append(long(len(handling.decisions)))
            parts += self._decisions(handling.decisions)
        parts.append(END)
        return customer, b"".join(parts), []

    def _decisions(self, decisions: list[Decision]) -> list[bytes]:
        repeated, parts = self._repeated, []
        instance, instance_bytes = "", NULL
        for decision in decisions:
            # What comes from the topology, in the order of Handling.avsc: few different combinations, so their bytes are kept.
            combination = (
                decision.kind, decision.journey, decision.version, decision.state, decision.step, decision.reason, decision.by,
                decision.outcome, decision.arm, decision.channel,
            )  # fmt: skip
            known = repeated.get(combination) or self._remember(combination, decision)
            known[1] += 1
            parts.append(known[0])
            if decision.instance != instance:
                instance = decision.instance
                instance_bytes = optional(instance)
            parts.append(instance_bytes)
            key, action_id, detail = decision.key, decision.action_id, decision.detail
            if key or action_id or detail:
                parts.append(optional(key) + optional(action_id) + (text_map(detail) if detail else END))
                if known[2] is not None and detail:
                    known[2][detail.get("branch", "")] += 1
            else:
                parts.append(_NOTHING_MORE)
        return parts

    def take_counts(self) -> Counter[Counted]:
        """Give how often each decision was written since this was last asked."""
        counts, self._earlier = self._earlier, Counter()
        for words, known in self._repeated.items():
            if known[1]:
                for branch, count in (known[2] or {"": known[1]}).items():
                    counts[*words, branch] += count
                known[1], known[2] = 0, None if known[2] is None else Counter()
        return counts

    def _remember(self, combination: tuple[str | int, ...], decision: Decision) -> list[Any]:
        if len(self._repeated) >= _KEPT:
            self._earlier = self.take_counts()
            self._repeated.clear()
        words = (decision.state, decision.step, decision.reason, decision.by, decision.outcome, decision.arm, decision.channel)
        start = text(decision.kind) + optional(decision.journey) + long(decision.version)
        encoded = start + b"".join([optional(word) for word in words])
        branches = Counter[str]() if decision.kind == Kind.BRANCH_TAKEN else None
        self._repeated[combination] = found = [encoded, 0, branches]
        return found

    def _source(self, topic: str, partition: int, offset: int) -> bytes:
        known = self._sources.get((topic, partition))
        if known is None:
            known = self._sources[topic, partition] = NOT_NULL + text(topic) + long(partition)
        return known + long(offset)


def decode_handling(value: bytes) -> dict[str, Any]:
    """Read one decision log record: the fields of Handling.avsc, times in ms. Raises ValueError for anything else."""
    return decode_ours("Handling", value)

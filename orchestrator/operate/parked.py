"""Instances that stand parked: which they are, why and since when, and having workers try them again or give them up.

Who is parked stands in the changelog; the failure code and the time stand in the decision log, of which only the partitions and
customers concerned are looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.identity import uuid_text
from orchestrator.language.model import Streams
from orchestrator.names import Kind, Operation
from orchestrator.operate import documents
from orchestrator.operate.operations import Request
from orchestrator.wire.handlings import decode_handling


class Parked(Struct, frozen=True):
    """One instance. `reason` is why it stands still, `code` the failure code of its call, if it is one; `at` is when, in ms UTC.

    Both are unknown ("" and 0) where the decision log no longer has them. `context` and `call` hold what the journey knows and
    what the call was sent: personal data.
    """

    customer: str
    partition: int
    journey: str
    version: int
    key: str
    state: str
    step: str
    instance: str
    reason: str
    context: dict[str, Any]
    call: dict[str, Any]
    code: str = ""
    at: int = 0


class Selection(Struct, frozen=True):
    """Which are meant; "" and None are any. Times are ms UTC, [since, until)."""

    journey: str = ""
    step: str = ""
    code: str = ""
    customer: str = ""
    since: int | None = None
    until: int | None = None

    def may_be(self, one: Parked) -> bool:
        """Tell by the document alone."""
        asked = ((self.journey, one.journey), (self.step, one.step), (self.customer, one.customer))
        return all(word in ("", found) for word, found in asked)

    def is_meant(self, one: Parked) -> bool:
        """Tell by all that is known. What nobody knows the time of is in no span."""
        if self.code not in ("", one.code):
            return False
        if self.since is None and self.until is None:
            return True
        return one.at > 0 and (self.since is None or one.at >= self.since) and (self.until is None or one.at < self.until)


def find(
    conf: Mapping[str, Any],
    streams: Streams,
    selection: Selection,
    progress: Callable[[str], documents.Progress] = lambda what: lambda done, total: None,
) -> list[Parked]:
    """Give the parked instances that are meant, the longest parked first. Blocks; raises as `documents.read` does.

    `progress` gives a progress for each of the two parts of the reading.
    """
    found = [
        each
        for held in documents.documents(conf, streams, progress=progress("reading the changelog"))
        for each in _of(held)
        if selection.may_be(each)
    ]
    known = _failures(conf, streams, found, progress("reading the decisions")) if found else {}
    told = [replace(each, code=known[each.instance][0], at=known[each.instance][1]) if each.instance in known else each
            for each in found]  # fmt: skip
    return sorted((each for each in told if selection.is_meant(each)), key=lambda each: (each.at, each.customer))


def count(conf: Mapping[str, Any], streams: Streams) -> dict[str, int]:
    """Give how many instances stand parked now, by journey/step and why. Blocks: it reads the changelog; raises as that does."""
    found = Counter(
        f"{each.journey}/{each.step} {each.reason}" for held in documents.documents(conf, streams) for each in _of(held)
    )
    return dict(sorted(found.items()))


def _of(found: documents.Found) -> Iterator[Parked]:
    for each in found.document().instances:
        if each.parked:
            call = each.kept[2] if each.kept is not None and len(each.kept) > 2 and isinstance(each.kept[2], dict) else {}
            yield Parked(
                found.customer, found.partition, each.journey, each.version, each.key, each.state, each.step,
                uuid_text(each.id), each.parked, each.context, call,
            )  # fmt: skip


def _failures(
    conf: Mapping[str, Any], streams: Streams, parked: Iterable[Parked], progress: documents.Progress
) -> dict[str, tuple[str, int]]:
    """Give code and time of the latest failure of each instance."""
    wanted = {each.customer.encode() for each in parked}
    instances = {each.instance for each in parked}
    bounds = documents.ranges(conf, streams.transitions, {each.partition for each in parked})
    latest: dict[str, tuple[str, int]] = {}
    for message in documents.read(conf, streams.transitions, bounds, progress):
        if message.key() not in wanted:
            continue
        try:
            handling = decode_handling(message.value() or b"")
        except ValueError:
            continue
        for decision in handling["decisions"]:
            if decision["kind"] == Kind.CALL_FAILED and decision["instance"] in instances:
                latest[decision["instance"]] = (decision["reason"] or "", handling["at"])
    return latest


def requests(operation: str, parked: Sequence[Parked], by: str, reason: str, at: int) -> list[Request]:
    """Ask for each of them to be tried again or given up, while it stands where it was found. Rule A4 holds for what follows."""
    assert operation in (Operation.RETRY, Operation.FAIL)
    return [
        Request(operation, each.customer, by, reason, at, journey=each.journey, key=each.key, step=each.step) for each in parked
    ]

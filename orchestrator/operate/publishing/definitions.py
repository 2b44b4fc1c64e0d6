"""What was published, read from the definitions topic, and which partitions run it, read from the journal. Blocks on Kafka."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.errors import NotLiveYet
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.wire.journal import decode_journal
from orchestrator.wire.programs import ProgramBoard, revision_of

_LOOK_BACK: Final = 64  # offsets of a journal's end in which its last record is looked for; half are markers of transactions
_PAUSE_S: Final = 0.5


def read_board(conf: Mapping[str, Any], streams: Streams) -> ProgramBoard:
    """Read all that was published for an app. Raises Unreachable, TopicMismatch where the topic is missing."""
    board = ProgramBoard(streams.app)
    bounds = documents.ranges(conf, streams.definitions, [0])
    board.read((message.key(), message.value()) for message in documents.read(conf, streams.definitions, bounds))
    return board


def running(conf: Mapping[str, Any], streams: Streams) -> dict[int, int]:
    """Give the revision that each partition's last cycle ran, 0 for that of a worker's folder or none. Raises as `read_board`."""
    ends = documents.ranges(conf, streams.journal, range(streams.partitions))
    found = dict.fromkeys(ends, 0)
    bounds = {number: (max(low, high - _LOOK_BACK), high) for number, (low, high) in ends.items()}
    for message in documents.read(conf, streams.journal, bounds):
        found[message.partition()] = revision_of(decode_journal(message.value()).program)
    return found


def wait_until_live(conf: Mapping[str, Any], streams: Streams, number: int, wait_s: float) -> None:
    """Wait until every partition runs a revision or a later one. Raises NotLiveYet after `wait_s`."""
    deadline = time.monotonic() + wait_s
    while behind := sorted(n for n, revision in running(conf, streams).items() if revision < number):
        if time.monotonic() > deadline:
            raise NotLiveYet(
                f"revision {number} is published; {len(behind)} of {streams.partitions} partitions do not run it yet",
                where=f"partitions {', '.join(map(str, behind[:10]))}{', ...' if len(behind) > 10 else ''}",
                next_step="see whether their workers run, and for program_not_taken in their logs; do not publish it again",
            )
        time.sleep(_PAUSE_S)

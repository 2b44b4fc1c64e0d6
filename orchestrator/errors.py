"""The one tree of errors that the orchestrator raises.

    OrchestratorError
    ├── UsageError               ORC-001  exit 2  the call itself is wrong: option, file, setting
    ├── InvalidTopology          ORC-002  exit 1  journeys, policy, streams or schemas do not validate
    ├── Unreachable              ORC-003  exit 3  Kafka or another dependency cannot be reached
    │   ├── NotLiveYet           ORC-032  exit 3  it is published, and not every partition runs it yet
    │   └── Unanswered           ORC-020  exit 3  no worker has handled a request yet
    ├── RefusedByState           ORC-004  exit 4  what is asked does not fit how things stand now
    │   ├── TopicMismatch        ORC-005  exit 4  a topic is missing or has the wrong partition count
    │   ├── PositionLost         ORC-006  exit 4  the position to read from no longer exists in the log
    │   ├── StateLocked          ORC-007  exit 4  another worker uses the state directory
    │   ├── RecordTooLarge       ORC-012  exit 4  a record is over a size limit of its topic or of the producer
    │   ├── StoreUnusable        ORC-013  exit 4  a local store is sound, but the disk is full or does not let it be written
    │   ├── NotAllowed           ORC-014  exit 4  Kafka does not let this principal do what the worker must do
    │   ├── NotPublishable       ORC-030  exit 4  what is to be published does not fit what runs
    │   ├── StalePlan            ORC-031  exit 4  something else was published since the plan was made
    │   ├── OperationRefused     ORC-021  exit 4  the worker did not do what an operator asked for
    │   ├── NotAuthenticated     ORC-080  exit 4  Kafka refuses the password, token or certificate, or its own is not trusted
    │   ├── WorkerRefuses        ORC-050  exit 4  a worker does not answer to this token or certificate over HTTP
    │   ├── ProgramUnknown       ORC-040  exit 4  the journal names a program that is not at hand
    │   ├── HistoryGone          ORC-041  exit 4  the log no longer reaches back to where a replay begins
    │   └── FolderTaken          ORC-042  exit 4  a folder holds the work of another replay
    ├── StoreDamaged             ORC-008  exit 1  a local store cannot be trusted; it is rebuilt from the changelog
    ├── WorkerFenced             ORC-009  exit 1  a second worker with the same id lives; this one dropped its work
    ├── BrokenInput              ORC-010  exit 1  a file of events has lines that are no events; the lines were printed
    └── RunFailed                ORC-011  exit 1  a process that a command started for its own use ended or got stuck

Data never raises: bytes that do not validate and handlers that fail become incidents. These errors are for people, so each
says what happened, where, and what to do next, and none carries the contents of a record.
"""

from __future__ import annotations

from typing import ClassVar

from orchestrator.names import ExitCode


class OrchestratorError(Exception):
    """Base of every error raised on purpose; `str()` gives one line fit for stderr."""

    code: ClassVar[str] = "ORC-000"
    exit_code: ClassVar[ExitCode] = ExitCode.NO

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        self.what = what
        self.where = where
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f"\n  next: {self.next_step}" if self.next_step else ""
        return f"{self.code} {self.what}{place}{advice}"


class UsageError(OrchestratorError):
    """The command, an option, a file name or a setting is wrong."""

    code = "ORC-001"
    exit_code = ExitCode.USAGE


class InvalidTopology(OrchestratorError):
    """Journeys, policy, streams or schemas do not validate; the problems were printed or are in `what`."""

    code = "ORC-002"


class Unreachable(OrchestratorError):
    """A dependency (Kafka, the schema registry) did not answer in the stated time."""

    code = "ORC-003"
    exit_code = ExitCode.UNREACHABLE


class RefusedByState(OrchestratorError):
    """The request is right, but not as things stand (group active, plan stale, topic wrong)."""

    code = "ORC-004"
    exit_code = ExitCode.REFUSED


class OperationRefused(RefusedByState):
    """A worker handled an operator's request and did nothing: the customer had moved on, or the request did not fit."""

    code = "ORC-021"


class Unanswered(Unreachable):
    """A request is written, and no worker has handled it in the stated time; it stands."""

    code = "ORC-020"


class TopicMismatch(RefusedByState):
    """A topic is missing, or its partition count differs from streams.yaml."""

    code = "ORC-005"


class PositionLost(RefusedByState):
    """The offset to go on from lies outside the log; going on would skip or repeat records."""

    code = "ORC-006"


class StateLocked(RefusedByState):
    """Another process holds the state directory."""

    code = "ORC-007"


class RecordTooLarge(RefusedByState):
    """A record that must be written is over a size limit of its topic or of the producer; its cycle cannot be committed."""

    code = "ORC-012"


class StoreUnusable(RefusedByState):
    """A local store cannot be written or opened: the disk is full or refuses. Nothing is lost; Kafka has all that it lacks."""

    code = "ORC-013"


class NotAllowed(RefusedByState):
    """Kafka does not let this principal do what must be done; an ACL was removed, or never given."""

    code = "ORC-014"


class NotAuthenticated(RefusedByState):
    """Kafka refuses the password, token or certificate of this process, or its own certificate is not trusted here."""

    code = "ORC-080"


class WorkerRefuses(RefusedByState):
    """A worker shows no state over HTTP to whoever asked: the token or certificate is absent, unknown, or lacks the right."""

    code = "ORC-050"


class ProgramUnknown(RefusedByState):
    """The journal says that a cycle was handled by a program whose files are not at hand."""

    code = "ORC-040"


class HistoryGone(RefusedByState):
    """The journal or the events from which a replay must begin were deleted or compacted."""

    code = "ORC-041"


class FolderTaken(RefusedByState):
    """The folder to write to has the work of another replay in it."""

    code = "ORC-042"


class NotPublishable(RefusedByState):
    """What is to be published is valid, but does not fit what runs: versions, topics or instances stand against it."""

    code = "ORC-030"


class StalePlan(RefusedByState):
    """The plan was made on another revision than the one that is live now."""

    code = "ORC-031"


class NotLiveYet(Unreachable):
    """What was asked for is published and stands, but some partitions have not switched to it in the stated time."""

    code = "ORC-032"


class StoreDamaged(OrchestratorError):
    """A local store is damaged, foreign or of another format."""

    code = "ORC-008"


class WorkerFenced(OrchestratorError):
    """A newer producer or group member of this worker's name exists; what was pending here is dropped.

    `is_own_doing` tells that this worker was away for longer than its time-outs, which explains the fencing by itself.
    """

    code = "ORC-009"

    def __init__(self, what: str, *, where: str = "", next_step: str = "", is_own_doing: bool = False) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.is_own_doing = is_own_doing


class BrokenInput(OrchestratorError):
    """A file that the user gave has lines that cannot be read; nothing was done with any of them."""

    code = "ORC-010"


class RunFailed(OrchestratorError):
    """A process that a command started for its own use, such as the demo's worker, ended too early or got stuck."""

    code = "ORC-011"

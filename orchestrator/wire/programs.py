"""Published programs on the wire: a key for each file by its hash, and one for each revision of an app, on the definitions topic.

Every revision has a key of its own, so compaction keeps them all: a journal of any age still finds the program that it names.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import fastavro
import msgspec

from orchestrator.errors import NotPublishable
from orchestrator.structs import resolved
from orchestrator.wire.ours import decode_ours, is_ours, our_schema

_SCHEMA: Final = "Revision"
_EARLIER: Final = "history/Revision-2"  # as releases without `freezes` write and read it
_DIGEST_DIGITS: Final = 16


class RevisionFile(msgspec.Struct, frozen=True):
    """One file of a revision. Fields as in Revision.avsc."""

    name: str
    kind: str
    sha256: str


class Freeze(msgspec.Struct, frozen=True):
    """A pause in which a journey's timers stand still: from `since` to `until`, ms UTC, 0 for as long as nobody resumes it."""

    journey: str
    since: int
    until: int = 0


@resolved
class Revision(msgspec.Struct, frozen=True):
    """What was published. Fields as in Revision.avsc."""

    app: str
    number: int
    digest: str
    files: tuple[RevisionFile, ...]
    entries: Mapping[str, int] = {}
    paused: tuple[str, ...] = ()
    by: str = ""
    reason: str = ""
    at: int = 0
    freezes: tuple[Freeze, ...] = ()


def sha256_of(content: bytes) -> str:
    """Give the hash under which a file's content stands."""
    return hashlib.sha256(content).hexdigest()


def digest_of(files: Sequence[RevisionFile]) -> str:
    """Give 16 hex digits that stand for the names, kinds and contents of files."""
    whole = "".join(f"{each.kind} {each.name} {each.sha256}\n" for each in files)
    return sha256_of(whole.encode())[:_DIGEST_DIGITS]


def program_name(digest: str, semantics: int, revision: int = 0) -> str:
    """Give what the journal calls a program; without a revision it is that of a worker's own folder."""
    return f"{digest}-{semantics}@{revision}" if revision else f"{digest}-{semantics}"


def revision_of(program: str) -> int:
    """Give the revision that a program's name in the journal tells, 0 where it was never published."""
    number = program.rpartition("@")[2] if "@" in program else ""
    return int(number) if number.isdigit() else 0


def semantics_of(program: str) -> int:
    """Give the number of the semantics that a program's name in the journal tells, 0 where it tells none."""
    number = program.partition("@")[0].rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def freezes_of(revision: Revision) -> dict[str, tuple[tuple[int, int], ...]]:
    """Give the pauses in which timers stand still, by journey, earliest first: (since, until) each."""
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    for each in sorted(revision.freezes, key=lambda each: each.since):
        found[each.journey] = (*found.get(each.journey, ()), (each.since, each.until))
    return found


def encode_file(app: str, content: bytes) -> tuple[bytes, bytes]:
    """Give key and value of a record with a file's content."""
    return f"file/{app}/{sha256_of(content)}".encode(), content


def encode_revision(revision: Revision) -> tuple[bytes, bytes]:
    """Give key and value of a record that makes a revision live.

    Where no timers ever stood still it has the form that workers of earlier releases can read.
    """
    schema = our_schema(_SCHEMA if revision.freezes else _EARLIER)
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, msgspec.to_builtins(revision))
    return f"revision/{revision.app}/{revision.number}".encode(), out.getvalue()


class ProgramBoard:
    """All that was published for an app, from the records of the definitions topic in their order.

    `revisions` are by number, those that can be read; `contents` by hash.
    """

    def __init__(self, app: str) -> None:
        self.newest = 0  # number of the latest revision, 0 for none
        self.revisions: dict[int, Revision] = {}
        self.contents: dict[str, bytes] = {}
        self._app = app

    def read(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take in (key, value) pairs; those that publish nothing for this app are left to others."""
        for key, value in records:
            kind, _, rest = (key or b"").decode(errors="replace").partition("/")
            app, _, name = rest.rpartition("/")
            if value is None or app != self._app:
                continue
            if kind == "file":
                self.contents[name] = value
            elif kind == "revision" and name.isdigit():
                self.newest = max(self.newest, int(name))
                with suppress(ValueError):  # of another version of the orchestrator: `latest` says so
                    schema = _EARLIER if is_ours(_EARLIER, value) else _SCHEMA
                    self.revisions[int(name)] = msgspec.convert(decode_ours(schema, value), Revision)

    @property
    def latest(self) -> Revision | None:
        """The revision that is live, None where nothing was ever published. Raises NotPublishable where it cannot be read."""
        if self.newest and self.newest not in self.revisions:
            raise NotPublishable(
                f"revision {self.newest} was written by another version of the orchestrator",
                where=self._app,
                next_step="use the version that published it; an earlier revision must not run again by itself",
            )
        return self.revisions.get(self.newest)

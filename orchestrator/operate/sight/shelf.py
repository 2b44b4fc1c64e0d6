"""What the ledger knows of each action: of some thousands in memory, of the rest in a file that SQLite makes and removes.

The file has no name in any folder once it is open, so nothing is left of it, whatever ends the process. Rejected: to forget what
is sent and answered, since a command that is there twice, or a report that nobody logged, shows only beside what it doubles.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

Place = tuple[str, str, str]  # journey, step, channel

IN_MEMORY: Final = 5_000  # actions of a partition; each takes 300 bytes or so
_CACHE_KIB: Final = 4_096  # of the file
_BATCH: Final = 1_000


class Action(Struct, array_like=True, gc=False):
    """What is known of one action: decisions, commands, reports."""

    place: Place = ("", "", "")
    customer: str = ""
    last: str = ""
    reason: str = ""
    emissions: int = 0
    commands: int = 0
    is_call: bool = False
    reported: str = ""
    reported_at: int = 0
    logged: bool = False


class Shelf:
    """The actions of one partition by id, and the ids of events that were met. One thread at a time; blocks on the disk."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE action (id TEXT PRIMARY KEY, customer TEXT, body BLOB) WITHOUT ROWID")
        self._file.execute("CREATE INDEX of_customer ON action (customer)")
        self._file.execute("CREATE TABLE event (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._file.execute("BEGIN")  # never committed: nobody else reads it
        self._near: dict[str, Action] = {}
        self._decode = msgspec.msgpack.Decoder(Action).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def action(self, action_id: str) -> Action:
        """Give an action to be read and changed until the next one is asked for; a new one where it is not known."""
        found = self._near.get(action_id)
        if found is None:
            if len(self._near) >= IN_MEMORY:
                self._put_away()
            row = self._file.execute("SELECT body FROM action WHERE id = ?", (action_id,)).fetchone()
            found = self._near[action_id] = Action() if row is None else self._decode(row[0])
        return found

    def of_customer(self, customer: str) -> Iterator[tuple[str, Action]]:
        """Give the actions of a customer, to be changed."""
        self._put_away()
        rows = self._file.execute("SELECT id FROM action WHERE customer = ? ORDER BY id", (customer,)).fetchall()
        for (action_id,) in rows:
            yield action_id, self.action(action_id)

    def actions(self) -> Iterator[tuple[str, Action]]:
        """Give all actions, by id, to be read."""
        self._put_away()
        rows = self._file.execute("SELECT id, body FROM action ORDER BY id")
        while batch := rows.fetchmany(_BATCH):
            for action_id, body in batch:
                yield action_id, self._decode(body)

    def is_new(self, event_id: str) -> bool:
        """Tell whether an event's id is met for the first time."""
        return self._file.execute("INSERT OR IGNORE INTO event VALUES (?)", (event_id,)).rowcount == 1

    def close(self) -> None:
        """Let go of the file, which is then gone."""
        self._file.close()

    def _put_away(self) -> None:
        rows = [(action_id, each.customer, self._encode(each)) for action_id, each in self._near.items()]
        self._file.executemany("INSERT OR REPLACE INTO action VALUES (?, ?, ?)", rows)
        self._near.clear()

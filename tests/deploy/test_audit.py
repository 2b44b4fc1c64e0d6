"""`make audit`: that a known weakness fails it, that none does not, and that no answer is never taken for a good one.

A server on this machine stands for the database of advisories; uv asks it as it asks api.osv.dev.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.house.tree import ROOT

WEAK = "msgspec"
_EVER = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}
ADVISORY = {
    "id": "TEST-2026-1", "modified": "2026-01-01T00:00:00Z", "summary": "Made up for a test.",
    "affected": [{"package": {"ecosystem": "PyPI", "name": WEAK}, "ranges": [_EVER]}],
}  # fmt: skip


class Database(ThreadingHTTPServer):
    """Knows an advisory on one package, and which packages it was asked for."""

    def __init__(self, weak: str) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.weak = weak
        self.asked: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answers(BaseHTTPRequestHandler):
    server: Database

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = [each["package"]["name"] for each in body["queries"]]
        self.server.asked.update(names)
        found = {"id": ADVISORY["id"], "modified": ADVISORY["modified"]}
        self._say({"results": [{"vulns": [found]} if name == self.server.weak else {} for name in names]})

    def do_GET(self) -> None:
        self._say(ADVISORY)

    def _say(self, what: object) -> None:
        text = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(params=[""])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with Database(request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def audit(url: str, *settings: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "audit", f"AUDIT_URL={url}", *settings]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_what_the_image_has_is_asked_for_and_passes_where_nothing_is_known(database: Database) -> None:
    done = audit(database.url)
    assert done.returncode == 0, done.stderr
    assert {"confluent-kafka", "msgspec", "rocksdict"} <= database.asked
    assert "pytest" not in database.asked, "the image has no tests"


@pytest.mark.parametrize("database", [WEAK], indirect=True)
def test_a_known_weakness_fails_it_in_ci_too(database: Database) -> None:
    done = audit(database.url, "AUDIT_UNREACHED=0")
    assert done.returncode != 0
    assert WEAK in done.stdout
    assert ADVISORY["id"] in done.stdout
    assert "NOTHING WAS AUDITED" not in done.stderr


def test_no_answer_is_said_and_fails_it_unless_that_was_allowed(database: Database) -> None:
    database.shutdown()
    database.server_close()
    done = audit(database.url)
    assert done.returncode != 0
    assert "NOTHING WAS AUDITED" in done.stderr
    allowed = audit(database.url, "AUDIT_UNREACHED=0")
    assert allowed.returncode == 0
    assert "NOTHING WAS AUDITED" in allowed.stderr

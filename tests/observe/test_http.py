"""The HTTP side alone: who may see what, and that no client can keep others out or make it say what it should not."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from orchestrator.errors import UsageError
from orchestrator.observe import http as served
from orchestrator.observe.callers import Caller, load_callers
from orchestrator.observe.http import Access, Answer, Request, Route, Tls, serve

READER = Caller("alice", frozenset({"read"}), token="a" * 32)
REVEALER = Caller("bob", frozenset({"read", "reveal"}), token="b" * 32)
MACHINE = Caller("grafana", frozenset({"read"}), certificate="grafana.monitoring")


def _fails(_: Request) -> Answer:
    raise ValueError("customer ann@example.com")


ROUTES: Mapping[str, Route] = {
    "/open": Route(lambda _: Answer({"status": "alive"})),
    "/state": Route(lambda request: Answer({"caller": request.caller.name if request.caller else ""}), "read"),
    "/values": Route(lambda request: Answer({"said": request.body}), "reveal", "POST"),
    "/fails": Route(_fails),
}


class Asked(NamedTuple):
    status: int
    body: Any


@pytest.fixture
def address() -> str:
    return serve("0", ROUTES, Access((READER, REVEALER, MACHINE)))


def _ask(address: str, path: str, token: str = "", method: str = "GET", body: bytes | None = None, **headers: str) -> Asked:
    connection = http.client.HTTPConnection(address, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given | ({"Authorization": f"Bearer {token}"} if token else {}))
    answer = connection.getresponse()
    found = Asked(answer.status, json.loads(answer.read() or b"null"))
    connection.close()
    return found


def test_what_shows_state_needs_a_known_token_with_the_right(address: str) -> None:
    assert _ask(address, "/open") == (200, {"status": "alive"})
    assert _ask(address, "/state").status == 401
    assert _ask(address, "/state", "a" * 31).status == 401
    assert _ask(address, "/state", "a" * 33).status == 401
    assert _ask(address, "/state", Authorization="Basic " + "a" * 32).status == 401
    assert _ask(address, "/state", "\xe9" * 32).status == 401
    assert _ask(address, "/state", "a" * 32) == (200, {"caller": "alice"})
    assert _ask(address, "/values", "a" * 32, "POST", b"{}") == (403, {"error": "this needs the right reveal"})
    assert _ask(address, "/values", "b" * 32, "POST", b'{"x": 1}') == (200, {"said": {"x": 1}})


def test_what_is_no_question_is_refused_without_repeating_it(address: str) -> None:
    assert _ask(address, "/nothing?customer=ann").status == 404
    assert _ask(address, "/values", "b" * 32).status == 405
    assert _ask(address, "/open", method="DELETE") == (501, {"error": "Not Implemented"})
    for body in (b"{", b"[]", b"\xff"):
        assert _ask(address, "/values", "b" * 32, "POST", body).status == 400
    assert _ask(address, "/fails").status == 500
    assert "ann@" not in json.dumps(_ask(address, "/fails").body)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /open HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"o" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /open HTTP/1.1\r\n" + b"".join(b"H%d: 1\r\n" % n for n in range(5_000)) + b"\r\n",
        b"POST /values HTTP/1.1\r\nAuthorization: Bearer " + b"b" * 32 + b"\r\nContent-Length: 99999999\r\n\r\n{",
        b"POST /values HTTP/1.1\r\nAuthorization: Bearer " + b"b" * 32 + b"\r\nContent-Length: -1\r\n\r\n{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_hostile_input_is_refused_and_the_next_is_answered(address: str, sent: bytes) -> None:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(sent)
        try:
            answer = client.recv(65_536)
        except ConnectionResetError:  # it closed with some of ours unread
            answer = b""
    assert not answer or answer.split()[1][:1] == b"4" or b"error" in answer
    assert b"ooo" not in answer
    assert _ask(address, "/open").status == 200


def test_slow_clients_are_closed_and_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "LIFE_S", 1.0)
    address = serve("0", ROUTES, Access())
    host, port = address.split(":")
    slow = [socket.create_connection((host, int(port)), timeout=30) for _ in range(3 * served.CONNECTIONS)]
    for each in slow:
        try:
            each.sendall(b"GET /open HTTP/1.1\r\nX: ")
        except OSError:
            continue  # closed already, for one that came later
    assert _ask(address, "/open").status == 200
    drip = slow[-1]
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            drip.sendall(b"x")  # always in time for a limit on silence
            time.sleep(0.05)
    except OSError:
        pass
    assert time.monotonic() < deadline, "a client that drips was never closed"
    for each in slow:
        each.close()
    assert _ask(address, "/open").status == 200


def test_state_is_not_shown_in_the_clear_to_other_machines() -> None:
    with pytest.raises(UsageError, match="in the clear"):
        serve("0.0.0.0:0", ROUTES, Access((READER,)))
    host, port = serve("0.0.0.0:0", ROUTES, Access()).split(":")
    assert (host, _ask(f"127.0.0.1:{port}", "/open").status) == ("0.0.0.0", 200)


# TLS


class Certificates(NamedTuple):
    server: Tls
    authority: Path
    client: Path
    stranger: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    made.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    for name, issuer in (("client", authority), ("stranger", other)):
        issued = issuer.issue_cert("any@example.org", common_name="grafana.monitoring")
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    tls = Tls(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    return Certificates(tls, folder / "ca.pem", folder / "client.pem", folder / "stranger.pem")


def _ask_over_tls(address: str, path: str, certificates: Certificates, client: Path | None = None) -> int:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    if client is not None:
        context.load_cert_chain(client)
    connection = http.client.HTTPSConnection(address, timeout=30, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_client_certificate_is_as_good_as_a_token_if_the_authority_signed_it(certificates: Certificates) -> None:
    address = serve("127.0.0.1:0", ROUTES, Access((READER, MACHINE), certificates.server))
    assert _ask_over_tls(address, "/open", certificates) == 200
    assert _ask_over_tls(address, "/state", certificates) == 401
    assert _ask_over_tls(address, "/state", certificates, certificates.client) == 200
    with pytest.raises((ssl.SSLError, OSError)):
        _ask_over_tls(address, "/state", certificates, certificates.stranger)
    with pytest.raises((http.client.HTTPException, OSError)):
        _ask(address, "/open")  # in the clear
    assert _ask_over_tls(address, "/open", certificates) == 200


def test_a_handshake_that_is_never_finished_holds_up_nobody(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "LIFE_S", 1.0)
    address = serve("127.0.0.1:0", ROUTES, Access((), certificates.server))
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as silent:
        assert _ask_over_tls(address, "/open", certificates) == 200
        assert silent.recv(1) == b"", "it was not closed"


@pytest.mark.parametrize("spoilt", ["certificate", "key", "client_ca"])
def test_files_that_are_no_certificates_are_told(certificates: Certificates, tmp_path: Path, spoilt: str) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    parts = {name: getattr(certificates.server, name) for name in ("certificate", "key", "client_ca")}
    with pytest.raises(UsageError, match="cannot be used"):
        serve("0", ROUTES, Access((), Tls(**parts | {spoilt: tmp_path / "no.pem"})))


# The file of callers


def test_callers_are_read_and_show_no_token(tmp_path: Path) -> None:
    path = tmp_path / "access"
    path.write_text("# who\n\nalice  read,reveal  token:0123456789abcdef\n grafana read cert:grafana.monitoring\n")
    alice, grafana = load_callers(path)
    assert (alice.name, alice.rights, alice.token) == ("alice", {"read", "reveal"}, "0123456789abcdef")
    assert (grafana.certificate, grafana.token) == ("grafana.monitoring", "")
    assert "0123456789abcdef" not in repr((alice, grafana))


@pytest.mark.parametrize(
    "line", ["alice", "alice write token:0123456789abcdef", "a read token:short", "a read s3cret0123456789", "a read cert:"]
)
def test_a_line_that_is_no_caller_is_told_by_its_number_only(tmp_path: Path, line: str) -> None:
    path = tmp_path / "access"
    path.write_text(f"\n{line}\n")
    with pytest.raises(UsageError) as caught:
        load_callers(path)
    assert f"{path}:2" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_process_that_is_started_again_gets_its_port_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, urllib.request; from orchestrator.observe import http; "
        "a = http.serve(sys.argv[1], {'/o': http.Route(lambda _: http.Answer(1))}, http.Access()); "
        "urllib.request.urlopen(f'http://{a}/o').read(); print(a)"
    )
    port = "0"
    for _ in range(2):  # the server closes first, so that its side of the connection lingers
        done = subprocess.run([sys.executable, "-c", code, port], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        port = done.stdout.strip().rpartition(":")[2]


def test_many_at_once_are_all_answered(address: str) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(_ask(address, "/state", "a" * 32).status)) for _ in range(40)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert found == [200] * 40

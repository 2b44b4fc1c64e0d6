"""A Kafka that trusts nobody: TLS, client certificates, SCRAM, OAuth tokens, and ACLs. Certificates are made on the spot.

Each listener is one way to come in. The plain one is the tests' own: who comes there is a super user.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal, Self

import trustme
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives import serialization

from tests.brokers.kafka_process import KafkaBroker, Listeners, free_ports

Way = Literal["tls", "mtls", "scram", "oauth"]

WAYS: Final[tuple[Way, ...]] = ("tls", "mtls", "scram", "oauth")
PROTOCOLS: Final[Mapping[Way, str]] = {"tls": "SSL", "mtls": "SSL", "scram": "SASL_SSL", "oauth": "SASL_SSL"}
_LOGIN: Final = "org.apache.kafka.common.security"


class SecuredKafka:
    """One broker with a listener for each way. A `Broker` by its plain listener; a context manager."""

    kind: Final = "kafka"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))
        self._write_certificate("broker", self._ca.issue_cert("127.0.0.1", "localhost", common_name="broker"))
        with free_ports(2 + len(WAYS)) as (direct, controller, *ports):
            self._ports = dict(zip(WAYS, ports, strict=True))
            self._listeners = Listeners(1, direct, controller)
        self._broker = KafkaBroker(listeners=self._listeners, settings=self._settings(), heap="384m")
        self._tokens = TokenServer()

    def __enter__(self) -> Self:
        self._broker.start()
        self.bootstrap = self._broker.bootstrap
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.remove()
        self._tokens.close()

    def create_topic(self, name: str, partitions: int, **config: str) -> None:
        self._broker.create_topic(name, partitions, **config)

    def remove(self) -> None:
        """Whoever made it removes it."""

    def address(self, way: Way) -> str:
        return f"127.0.0.1:{self._ports[way]}"

    def admin(self) -> AdminClient:
        """A client that may do everything."""
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def add_user(self, name: str, password: str) -> None:
        """Give somebody a password for SCRAM, and wait until the broker takes it."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        client = self.admin()  # held: a client that is let go of takes its answers along
        made = client.alter_user_scram_credentials([UserScramCredentialUpsertion(name, info, password.encode())])
        made[name].result(30)

    def settings(self, way: Way, name: str, password: str = "", *, ca: Path | None = None) -> str:
        """What somebody's settings file says, its secrets in files beside it. With another `ca` the broker is not trusted."""
        home = self.folder / f"{way}-{name}"
        home.mkdir(exist_ok=True)
        lines = {"security.protocol": PROTOCOLS[way], "ssl.ca.location": str(ca or self.ca)}
        if way == "mtls":
            certificate = self._write_certificate(f"{way}-{name}/client", self._ca.issue_cert("client.test", common_name=name))
            lines |= {"ssl.certificate.location": str(certificate), "ssl.key.location": str(certificate)}
        if way == "scram":
            secret = home / "password"
            secret.write_text(f"{password}\n")
            lines |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": name, "sasl.password_file": str(secret)}
        if way == "oauth":
            secret = home / "client-secret"
            secret.write_text(f"{password}\n")
            lines |= {
                "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": name,
                "sasl.oauthbearer.client.secret_file": str(secret), "sasl.oauthbearer.token.endpoint.url": self._tokens.url,
            }  # fmt: skip
        return f'bootstrap_server = "{self.address(way)}"\n[kafka]\n' + "".join(f'"{k}" = "{v}"\n' for k, v in lines.items())

    def _write_certificate(self, name: str, leaf: trustme.LeafCert) -> Path:
        """Key and chain in one file, the key as PKCS#8, which Java demands."""
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + b"".join(each.bytes() for each in leaf.cert_chain_pems)
        path = self.folder / f"{name}.pem"
        path.write_bytes(text)
        return path

    def _settings(self) -> dict[str, str]:
        names = {way: way.upper() for way in WAYS}
        plain = {"PLAINTEXT": self._listeners.direct, **{names[way]: port for way, port in self._ports.items()}}
        endpoints = ",".join(f"{name}://127.0.0.1:{port}" for name, port in plain.items())
        protocols = ",".join(f"{names[way]}:{PROTOCOLS[way]}" for way in WAYS)
        return {
            "listeners": f"{endpoints},CONTROLLER://127.0.0.1:{self._listeners.controller}",
            "advertised.listeners": endpoints,
            "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{protocols}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                f'{_LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


class TokenServer:
    """Gives a token, unsigned, to whoever shows a client id and a secret that is not `wrong`."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Tokens)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        name, _, secret = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
        if secret == "wrong":
            self.send_error(401)
            return
        now = int(time.time())
        parts = ({"alg": "none"}, {"sub": name, "iat": now, "exp": now + 3600, "scope": "kafka"})
        token = ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts) + "."
        body = json.dumps({"access_token": token, "token_type": "bearer", "expires_in": 3600}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to standard error."""

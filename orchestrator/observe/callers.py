"""Who may see what over HTTP: a file that names callers, what each may do, and the token or certificate that tells who calls.

    # name        rights          known by
    alice         read,reveal     token:6b1f0c4e9d...
    grafana       read            cert:grafana.monitoring

`read` shows how things stand and customers' documents with their values masked, `reveal` shows the values. A certificate is known
by the common name of its subject, and only where the server asks for certificates.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from orchestrator.errors import UsageError

Right = Literal["read", "reveal"]
RIGHTS: Final = ("read", "reveal")
LEAST_TOKEN: Final = 16  # characters; a shorter one could be guessed
_NEXT: Final = "each line says NAME RIGHTS token:TOKEN or cert:COMMON-NAME, for example: alice read,reveal token:6b1f..."


class Caller(Struct, frozen=True):
    """Somebody who may call, and how to tell that it is them; one of `token` and `certificate` is empty."""

    name: str
    rights: frozenset[str]
    token: str = ""
    certificate: str = ""

    def __repr__(self) -> str:
        """Show no token."""
        return f"Caller({self.name})"


def load_callers(path: Path) -> tuple[Caller, ...]:
    """Read the file. Raises UsageError for a line that is none, without showing what it holds."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of callers cannot be read: {type(error).__name__}", where=str(path)) from None
    meant = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    return tuple(_caller(words, f"{path}:{number}") for number, words in meant)


def _caller(words: Sequence[str], where: str) -> Caller:
    if len(words) != 3:
        raise UsageError(f"a caller has three words, not {len(words)}", where=where, next_step=_NEXT)
    name, rights, known_by = words
    strange = [right for right in rights.split(",") if right not in RIGHTS]
    if strange:
        raise UsageError(f"there is no right {strange[0]!r}", where=where, next_step=f"rights are {', '.join(RIGHTS)}")
    kind, _, word = known_by.partition(":")
    if kind == "token" and len(word) >= LEAST_TOKEN:
        return Caller(name, frozenset(rights.split(",")), token=word)
    if kind == "cert" and word:
        return Caller(name, frozenset(rights.split(",")), certificate=word)
    raise UsageError(
        f"a caller is known by token: with at least {LEAST_TOKEN} characters, or by cert:", where=where, next_step=_NEXT
    )


def who_calls(callers: Sequence[Caller], authorization: str, certificate: Mapping[str, Any] | None) -> Caller | None:
    """Give who calls, None for a stranger. `certificate` is what `SSLSocket.getpeercert` gives, once it was verified."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token:
        offered = token.strip().encode(errors="replace")
        # All are compared, each in constant time, so that no answer comes sooner for a token that is nearly right.
        found = [each for each in callers if each.token and hmac.compare_digest(each.token.encode(), offered)]
        if found:
            return found[0]
    name = _common_name(certificate or {})
    return next((each for each in callers if name and each.certificate == name), None)


def _common_name(certificate: Mapping[str, Any]) -> str:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""

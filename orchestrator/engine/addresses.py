"""Address duplicates (rule X1, rulings A67, A68): two customers with one address are not both sent the same step.

A send that is emitted or held claims its address, in a note that the partition's customers share. The note's name is a hash of
channel, address, journey and step; it holds which customers sent and until when that stands against others, by hashes as well:
nothing in it says an address or a customer id.

The claim is on the address at the decision, also where the profile changes while the send is held. A send that left has claimed
it whatever became of it later: an outcome `bounced` frees a cap slot, not the address.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from orchestrator.engine import notes
from orchestrator.engine.contact import LATE_MS
from orchestrator.engine.identity import uuid_bytes
from orchestrator.engine.values import key_text
from orchestrator.language.expressions import compile_expression

if TYPE_CHECKING:
    from orchestrator.engine.handling import Action
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import AddressDedupe, Channel

KIND: Final = "address"
DUPLICATE: Final = "duplicate_address"

_PHONE = re.compile(r"\+?[\d\s().\-/\u2010-\u2015]*\d[\d\s().\-/\u2010-\u2015]*")
_INVISIBLE: Final = "Cf"  # Unicode's category of marks that contact lists leave around a number that was copied


class Claim(Struct, array_like=True, gc=False):
    """That a customer's send, left or held, stands against other customers' before `until`, ms UTC.

    `customer` is 8 bytes of the id's SHA-256, `action` the action id's 16 bytes.
    """

    customer: bytes
    action: bytes
    until: int


_read = msgspec.msgpack.Decoder(list[Claim])


class AddressRule:
    """The policy's `dedupe.addresses`, ready to run. A channel without an address expression compares nothing."""

    __slots__ = ("_expressions", "_window_ms")

    def __init__(self, dedupe: AddressDedupe | None, channels: Mapping[str, Channel]) -> None:
        self._window_ms = 0 if dedupe is None else dedupe.window_ms
        compared = () if dedupe is None else dedupe.channels
        known = ((name, channels[name].address) for name in compared if name in channels)
        self._expressions = {name: compile_expression(expr.source, expr.timestamps) for name, expr in known if expr is not None}

    def note_of(self, turn: Turn, action: Action) -> str:
        """Give the name of the note in which a send claims its address, "" where it has none to compare."""
        expression = self._expressions.get(action.channel)
        if expression is None:
            return ""
        address = normalised(expression.evaluate(turn.scope({}, None)))
        if not address:
            return ""
        return _name(action.channel, address, action.journey, action.step)

    def is_claimed(self, turn: Turn, name: str) -> bool:
        """Tell whether another customer has sent to the address, in [its time, its time + window), or is about to.

        A late record finds sends that left after its time. They count: its own would leave after them.
        """
        mine = _person(turn)
        return any(claim.customer not in mine and turn.now < claim.until for claim in _claims(turn, name))

    def emitted(self, turn: Turn, name: str, action: Action) -> None:
        """Claim the address for a send that leaves now. It takes the place of all that the customer has claimed for less long."""
        mine = Claim(_hashed(turn.customer), uuid_bytes(action.action_id), turn.now + self._window_ms)
        others = [
            claim
            for claim in _claims(turn, name)
            if claim.action != mine.action and (claim.customer != mine.customer or claim.until > mine.until)
        ]
        _keep(turn, name, [*others, mine])

    def held(self, turn: Turn, name: str, action: Action) -> None:
        """Claim the address for a send that is held: as long as it may still leave."""
        mine = Claim(_hashed(turn.customer), uuid_bytes(action.action_id), action.expires_at)
        _keep(turn, name, [*(claim for claim in _claims(turn, name) if claim.action != mine.action), mine])

    def freed(self, turn: Turn, name: str, action_id: str) -> None:
        """Give up the claim of a held send that will not leave."""
        mine, claims = uuid_bytes(action_id), _claims(turn, name)
        if any(claim.action == mine for claim in claims):
            _keep(turn, name, [claim for claim in claims if claim.action != mine])

    def erase(self, turn: Turn) -> None:
        """Give up all that the person claims with the addresses of now (rule F1); earlier ones are let go of at their time."""
        mine = _person(turn)
        for channel, expression in self._expressions.items():
            address = normalised(expression.evaluate(turn.scope({}, None)))
            names = {_name(channel, address, *step) for step in turn.program.sending} if address else ()
            for name in sorted(names):
                claims = _claims(turn, name)
                if any(claim.customer in mine for claim in claims):
                    _keep(turn, name, [claim for claim in claims if claim.customer not in mine])


def normalised(value: Any) -> str:
    """Give an address in the form in which equal ones are equal, "" for what is none.

    What has an `@` is an e-mail address: trimmed, case-folded, NFC. What has digits and nothing else but what people put
    between them is a phone number: a leading `+` and the digits, whatever their script. All else: trimmed, NFC. Nothing
    that only some provider does is assumed, such as dots that do not count.
    """
    text = "" if isinstance(value, bool) else (key_text(value) or "").strip()
    if "@" in text:
        folded = unicodedata.normalize("NFD", text).casefold()
        return unicodedata.normalize("NFC", folded)
    plain = "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != _INVISIBLE)
    if _PHONE.fullmatch(plain):
        digits = "".join(str(unicodedata.decimal(each)) for each in plain if each.isdecimal())
        return f"+{digits}" if plain.startswith("+") else digits
    return unicodedata.normalize("NFC", text)


def _name(channel: str, address: str, journey: str, step: str) -> str:
    named = "\x1f".join((channel, address, journey, step))
    return f"{KIND}:{sha256(named.encode()).hexdigest()[:32]}"


def _person(turn: Turn) -> set[bytes]:
    """Give all ids of the customer, those that were merged into it too, as claims have them."""
    merged = turn.document.merged
    return {_hashed(name) for name in (turn.customer, *(merged.ids if merged is not None else ()))}


def _hashed(customer: str) -> bytes:
    return sha256(customer.encode()).digest()[:8]


def _claims(turn: Turn, name: str) -> list[Claim]:
    return notes.read(turn.note(name), _read) or []


def _keep(turn: Turn, name: str, claims: list[Claim]) -> None:
    """Keep the claims that a record may still find, a late one included."""
    note = turn.note(name)
    claims = [claim for claim in claims if turn.now < claim.until + LATE_MS]
    if claims:
        notes.write(note, claims, max(claim.until for claim in claims) + LATE_MS)
    else:
        note.stored = None

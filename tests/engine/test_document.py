from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine import dedupe
from orchestrator.engine.contact import LATE_MS, Contact
from orchestrator.engine.document import NEVER, Consent, Document, Instance, Marker
from orchestrator.engine.engine import Customer, Engine
from orchestrator.engine.identity import event_hash
from orchestrator.engine.storing import FORMAT, HEAD, decode, encode, next_due, with_seen
from orchestrator.language.model import EventDedupe
from tests.engine.world import POLICY, START, World, offset_ms, topology

times = st.integers(0, 2**46)
names = st.text(max_size=10)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
instances = st.builds(
    Instance, id=st.binary(min_size=16, max_size=16), journey=names, version=st.integers(1, 99), key=names, started=times,
    state=names, step=names, due=times, expires=times, visits=st.dictionaries(names, st.integers(1, 9), max_size=3),
    context=st.dictionaries(names, plain, max_size=3), kept=st.none() | st.lists(plain, max_size=2), parked=names,
)  # fmt: skip
documents = st.builds(
    Document, seen=st.binary(max_size=30), instances=st.lists(instances, max_size=3),
    markers=st.dictionaries(names, st.builds(Marker, entered=times, ended=times, entered_by=st.binary(max_size=16)), max_size=3),
    profile=st.dictionaries(names, st.tuples(plain, times), max_size=3),
    consents=st.lists(st.builds(Consent, channel=names, purpose=names, granted=st.booleans(), time=times), max_size=3),
    lazy_contact=st.none() | st.builds(Contact, latest=st.dictionaries(names, times, max_size=2)),
)  # fmt: skip


def read(stored: bytes) -> Document:
    """Decode all of a document: `contact` is left undecoded until somebody asks for it."""
    found = decode(stored)
    assert found.contact is None or found.contact.latest is not None
    return found


@given(documents)
def test_documents_round_trip_and_show_their_next_deadline_undecoded(document: Document) -> None:
    stored = encode(document)
    if document.is_empty:
        assert stored is None
        assert next_due(stored) == NEVER
        return
    assert stored is not None
    assert stored[0] == FORMAT
    assert read(stored) == document
    assert encode(decode(stored)) == encode(read(stored)) == stored
    dues = [due for one in document.instances for due in (one.due, one.expires) if due]
    assert next_due(stored) == int.from_bytes(stored[1:9], "big") == min(dues, default=NEVER)


@given(documents, st.binary(max_size=70_000) | st.integers(0, 300).map(bytes))
def test_another_memory_of_ids_is_put_into_a_stored_document_as_if_it_were_encoded_anew(document: Document, seen: bytes) -> None:
    stored = encode(document)
    if stored is None:
        return
    document.seen = seen
    anew = with_seen(stored, seen)
    if len(seen) > 0xFFFF:
        assert anew is None
        return
    assert anew is not None
    assert read(anew) == document
    assert document.is_empty or anew == encode(document), "the engine forgets an empty document, and never empties a memory"


def test_a_document_of_an_older_form_is_encoded_anew() -> None:
    import msgspec

    older = HEAD.pack(FORMAT, NEVER) + msgspec.msgpack.encode([b"seen", [], {}])
    assert with_seen(older, b"other") is None
    customer = Customer("c", older)
    document = customer.open()
    document.seen = b"other"
    customer.keep_seen(document)
    assert customer.stored == encode(document)


def test_an_older_document_without_the_last_fields_is_read() -> None:
    import msgspec

    older = bytes([FORMAT]) + (NEVER).to_bytes(8, "big") + msgspec.msgpack.encode([b"", []])
    assert decode(older) == Document()


def test_a_document_with_nothing_in_it_becomes_none() -> None:
    world = World(WINBACK)
    world.event("profile.updated", "0s", id="")  # it names nothing; a null would be remembered
    assert world.customer().stored is None


# Dedupe: rule I2, rulings A09 and A52.

RULE = EventDedupe(window_ms=1000, max=3)


def test_a09_a52_the_window_ends_at_exactly_first_plus_window() -> None:
    seen, forgotten = dedupe.remember(b"", event_hash("a"), 5000, RULE)
    assert forgotten == 0
    assert [dedupe.is_repeat(seen, event_hash("a"), time, RULE) for time in (4000, 5999, 6000)] == [True, True, False]
    assert not dedupe.is_repeat(seen, event_hash("b"), 5001, RULE)


def test_a09_max_forgets_the_oldest_and_counts_it_while_the_window_forgets_silently() -> None:
    seen = b""
    for number in range(3):
        seen, forgotten = dedupe.remember(seen, event_hash(str(number)), number, RULE)
        assert forgotten == 0
    seen, forgotten = dedupe.remember(seen, event_hash("3"), 3, RULE)
    assert forgotten == 1
    assert [dedupe.is_repeat(seen, event_hash(str(number)), 4, RULE) for number in range(4)] == [False, True, True, True]
    seen, forgotten = dedupe.remember(seen, event_hash("later"), 5000 + LATE_MS, RULE)
    assert (forgotten, len(seen)) == (0, dedupe.ENTRY)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5000)), max_size=40))
def test_a52_dedupe_agrees_with_a_plain_table(events: list[tuple[int, int]]) -> None:
    seen, table = b"", defaultdict[int, list[int]](list)
    rule = EventDedupe(window_ms=1000, max=1000)
    for number, time in events:
        hashed = event_hash(str(number))
        repeat = dedupe.is_repeat(seen, hashed, time, rule)
        assert repeat == any(time < handled + 1000 for handled in table[number])
        if not repeat:
            table[number].append(time)
            seen, _ = dedupe.remember(seen, hashed, time, rule)


def test_i2_a_late_repeat_is_known_though_its_window_was_over_when_others_were_handled() -> None:
    world = World(WINBACK, policy=POLICY + "\ndedupe: {events: {window: 24h, max: 256}}\n")
    for event_id, at in (("a", "0h"), ("b", "25h"), ("a", "20h")):
        world.event("purchase.made", at, id=event_id)
    assert world.count("duplicate_events") == 1


def test_a09_forgetting_by_max_is_counted_in_the_handling() -> None:
    world = World(WINBACK, policy=POLICY + "\ndedupe: {events: {window: 24h, max: 2}}\n")
    for number in range(4):
        world.event("purchase.made", number)
    assert world.count("forgotten_event_ids") == 2


# How much a customer costs.

WINBACK = """
journey: winback
version: 1
purpose: care
entry: {on: purchase.made, reentry: always}
start: waiting
states:
  waiting:
    steps:
      - {id: quiet, hold_until: [{on: purchase.made, go: bought_again}], timeout: 60d}
      - {id: miss-you, send: {channel: email, template: miss-you}}
      - {id: quiet-90, hold_until: [{on: purchase.made, go: bought_again}], timeout: 30d}
      - {id: last-offer, send: {channel: email, template: last-offer}}
      - {id: stop, end: {}}
  bought_again: {final: true}
"""


def _life(purchases: int, more: dict[str, Any]) -> int:
    world = World(WINBACK)
    for number in range(purchases):
        world.event("purchase.made", offset_ms(f"{40 * number}d"), id=f"order-{number}")
    if more:
        world.event("profile.updated", offset_ms("400d"), **more)
        for channel in ("email", "sms"):
            world.consent("granted", offset_ms("400d"), channel=channel, source="web-form", version="3")
    return len(world.customer().stored or b"")


@pytest.mark.parametrize(
    ("life", "purchases", "more", "limit"),
    [
        ("one purchase", 1, {}, 160),
        ("ten purchases", 10, {}, 235),
        ("ten purchases, a profile and two consents", 10, {"plan": "pro", "email": "anna@example.com", "country": "AU"}, 420),
    ],
)
def test_documents_stay_small(life: str, purchases: int, more: dict[str, Any], limit: int) -> None:
    size = _life(purchases, more)
    print(f"{life}: {size} bytes")
    assert size <= limit


def test_stored_stays_the_same_object_where_nothing_changed() -> None:
    engine = Engine(topology(WINBACK))
    customer = Customer("c1", None)
    from orchestrator.engine.record import Record

    engine.handle(customer, Record("purchase.made", "c1", "x", START, {}), START)
    stored = customer.stored
    assert engine.handle(customer, Record("unheard", "c1", "y", START, {}), START) == []
    assert engine.handle(customer, Record("profile.updated", "c1", "", START, {}), START) == []
    assert customer.stored is stored

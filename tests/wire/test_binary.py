"""Avro's binary numbers: held against fastavro where their bytes are put together in another way."""

from __future__ import annotations

import io

import fastavro
import pytest

from orchestrator.wire.binary import long

EDGES = [1 << bits for bits in (0, 6, 13, 20, 27, 34, 41, 48, 62)]
NUMBERS = sorted({0, (1 << 63) - 1, -(1 << 63), *(sign * (edge + by) for edge in EDGES for by in (-1, 0, 1) for sign in (-1, 1))})


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_at_an_edge_has_the_bytes_of_fastavro(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    assert long(number) == out.getvalue()


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(number: int) -> None:
    with pytest.raises(OverflowError, match="64 bits"):
        long(number)

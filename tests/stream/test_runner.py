"""What a worker tells others of where it is reached."""

from __future__ import annotations

import re
import socket

import pytest

from orchestrator.settings import Settings
from orchestrator.stream.runner import serve_http


@pytest.mark.parametrize(
    ("address", "advertised", "told"),
    [
        ("127.0.0.1:0", "", r"127\.0\.0\.1:[1-9]\d*"),
        ("0", "", r"127\.0\.0\.1:[1-9]\d*"),
        ("0.0.0.0:0", "", re.escape(socket.gethostname()) + r":[1-9]\d*"),
        ("0.0.0.0:0", "journeys-0.journeys:9400", r"journeys-0\.journeys:9400"),
        ("", "", ""),
    ],
)
def test_a_worker_tells_an_address_at_which_others_may_find_it(address: str, advertised: str, told: str) -> None:
    _, found = serve_http(Settings(http_address=address, advertised=advertised))
    assert re.fullmatch(told, found)

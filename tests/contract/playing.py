"""`orchestrator channel check` against a service that is running."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.brokers import Broker
from tests.house.tree import ROOT


def played(broker: Broker, actions: str, outcomes: str) -> set[str]:
    """Play the cases to the service of these topics; give those that found something."""
    check = ["channel", "check", "--actions-topic", actions, "--outcomes-topic", outcomes, "--wait", "20", "--json"]
    where = ["--bootstrap-server", broker.bootstrap, "--topologies", str(ROOT / "topologies")]
    done = subprocess.run([sys.executable, "-m", "orchestrator", *check, *where], capture_output=True, text=True, check=False)
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    found = {each["name"] for each in verdicts if each["fault"]}
    assert done.returncode == (1 if found else 0), done.stderr
    return found

"""The verbs of the language, one file each: settings, parse, check and meaning. A new verb is a new file and a line in TABLE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.engine.verbs.alert import Alert
from orchestrator.engine.verbs.call import Call
from orchestrator.engine.verbs.delay import Delay
from orchestrator.engine.verbs.end import End
from orchestrator.engine.verbs.go import Go
from orchestrator.engine.verbs.hold_until import HoldUntil
from orchestrator.engine.verbs.randomize import Randomize
from orchestrator.engine.verbs.send import Send
from orchestrator.engine.verbs.set import Set
from orchestrator.engine.verbs.split import Split
from orchestrator.engine.verbs.start import Start
from orchestrator.engine.verbs.verb import Verb

TABLE: Final[Mapping[str, Verb]] = {
    verb.name: verb for verb in (Send(), Call(), HoldUntil(), Delay(), Split(), Randomize(), Set(), Start(), Alert(), Go(), End())
}

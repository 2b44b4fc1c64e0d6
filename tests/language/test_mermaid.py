"""A journey as a Mermaid diagram: every state, every way, nothing that Mermaid would misread."""

from __future__ import annotations

from orchestrator.engine.verbs import TABLE
from orchestrator.language.composer import compose
from orchestrator.language.journeys import read_journey
from orchestrator.language.mermaid import mermaid
from orchestrator.language.problems import Problems

JOURNEY = """
journey: j
version: 1
purpose: p
entry: {on: [a.b, c]}
exit: [{on: closed, outcome: gone}]
start: one-two
states:
  one-two:
    on: [{event: paid, go: end}]
    steps:
      - {id: wait, hold_until: [{on: x, go: end}, {on: y, go: one_two}], timeout: 1d, on_timeout: one_two}
  one_two:
    steps:
      - {id: stop, end: {outcome: lapsed}}
  end: {final: true, outcome: done}
"""
DRAWN = """\
stateDiagram-v2
    state "one-two<br/>hold_until wait" as s_one_dtwo
    state "one_two<br/>end stop" as s_one__two
    state "end" as s_end
    [*] --> s_one_dtwo: a.b, c
    s_one_dtwo --> s_end: paid
    s_one_dtwo --> s_end: wait
    s_one_dtwo --> s_one__two: wait
    s_one__two --> [*]: lapsed
    s_end --> [*]: done
    note right of s_one_dtwo: ends at once on closed (gone)
"""


def test_every_state_and_way_is_drawn_once_under_names_that_mermaid_takes() -> None:
    problems = Problems()
    node = compose("j.yaml", JOURNEY.encode(), problems)
    assert node is not None

    assert mermaid(read_journey(node, problems, TABLE).journey, TABLE) == DRAWN
    assert list(problems) == []

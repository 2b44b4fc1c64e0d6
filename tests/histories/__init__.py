"""Recorded runs as JSON that must replay byte for byte: what went in, what came out, and the customers' documents at the end.

A test that fails here says that the same history now gives something else. Where that is meant, `engine.SEMANTICS` is raised, the
change is told in CHANGELOG.md, and the histories are recorded anew: `python -m tests.histories`. Some of those of before move to
`earlier/`: as long as `engine.EARLIER_SEMANTICS` names their number, they must replay, too.
"""

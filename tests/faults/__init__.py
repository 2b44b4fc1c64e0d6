"""Faults: a real Kafka and real workers, broken on purpose, judged by `tests.checker`. See `python -m tests.faults --help`."""

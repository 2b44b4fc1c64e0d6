"""Ours and others on the same work, measured in one run: `make bench`, or `python -m benchmarks --help`."""

"""Journey orchestrator: customer journeys written in YAML, run on Kafka, exactly once."""

from orchestrator import compiled as compiled  # before any module that may be compiled

__version__ = "0.1.0"

"""Journey orchestrator: customer journeys written in YAML, run on Kafka, exactly once."""

__version__ = "0.1.0"

"""Backtests: a draft of a journey over recorded events in virtual time, beside the live version. Nothing is written to Kafka."""

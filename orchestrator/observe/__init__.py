"""Logs and metrics: what a running worker says about itself."""

"""Metrics on data the model has not seen, and verdicts."""

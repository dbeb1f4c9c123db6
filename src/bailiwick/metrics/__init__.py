"""Observations of live traffic, kept as mergeable rollups, and feedback."""

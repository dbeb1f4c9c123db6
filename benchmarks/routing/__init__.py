"""Routing measured: a simulated fleet, off-policy estimates against the truth, two corpora, and the cost of a decision."""

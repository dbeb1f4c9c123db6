"""Routing measured: a simulated fleet, off-policy estimates beside the truth, two corpora, CPU per decision."""

"""Simulations of the statistics: populations, and how often each method is wrong on them."""

"""A linear text classifier trained under differential privacy."""

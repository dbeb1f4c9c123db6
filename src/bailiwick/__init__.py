"""Bailiwick: the control plane and gateway for fleets of domain models."""

__version__ = "0.1.0"
